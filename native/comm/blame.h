// Blame: from a peer that kept this rank waiting to the one that kept everybody waiting.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "../text.h"
#include "call.h"

namespace moesaic {

// A rank waits for `peer` in `call`.
struct Waiting {
  int32_t peer;
  CallKey call;
};

// ": rank 1 waits for rank 3 in all_reduce #16, rank 3 …", empty when `peer` is not known to wait. Rank r's own account is
// waiting_of(r). Ends where the chain does, or where it bites its tail: two ranks that wait for each other have lost their
// link.
template <typename WaitingOf>
std::string chain_from(int32_t peer, const Groups& groups, const WaitingOf& waiting_of) {
  std::string chain;
  std::vector<int32_t> seen;
  while (std::find(seen.begin(), seen.end(), peer) == seen.end()) {
    const std::optional<Waiting> waiting = waiting_of(peer);
    if (!waiting) break;
    chain += text(chain.empty() ? ": " : ", ", "rank ", peer, " waits for rank ", waiting->peer, " in ",
                  groups.describe(waiting->call));
    seen.push_back(peer);
    peer = waiting->peer;
  }
  return chain;
}

}  // namespace moesaic
