// Connecting: how an engine gets its communicator.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "communicator.h"
#include "program.h"
#include "status.h"

namespace moesaic {

// In the order of binding.ts. auto: shared memory when all peers are on one host, else tcp.
enum class Transport { kAuto, kShm, kTcp };

// As connectEngine's options.
struct ConnectOptions {
  uint64_t epoch = 0;
  std::vector<PeerAddress> peers;
  std::vector<std::byte> key;
  int32_t deadline_ms = 10'000;
  Transport transport = Transport::kAuto;
};

// What a rank learns about the others before it works with them.
struct RankLayout {
  std::vector<GroupId> group_ids;     // by index in the program's groups; -1 for those that the rank is not in
  std::vector<int32_t> vocab_sizes;   // by rank: rows of lm_head
  // Sets of ranks of this host that may share what one of them reads while weights load.
  std::vector<std::pair<std::vector<int32_t>, GroupId>> host_groups;
};

// Blocks until all peers are there. Errors: invalid_argument for peers that are not the program's world; unavailable naming
// the peer that did not come; cancelled once `cancelled` is true.
StatusOr<std::unique_ptr<Communicator>> connect_ranks(const RankProgram& program, const ConnectOptions& options,
                                                      DataPlaneListener& listener, const std::atomic<bool>& cancelled);

// Registers the groups, and makes sure that the programs of all ranks belong together. A failure ends the epoch; error:
// failed_precondition when the programs differ.
StatusOr<RankLayout> meet_ranks(const RankProgram& program, const std::vector<PeerAddress>& peers, Communicator& communicator);

}  // namespace moesaic
