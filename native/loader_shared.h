// Shared reads: rows of which every rank of a host needs a few columns, too few to read from a disk. One rank reads whole rows
// and broadcasts them, and each packs its own columns. In the plan's order, on the calling thread.
#pragma once

#include <vector>

#include "loader.h"
#include "loader_files.h"
#include "pieces.h"

namespace moesaic {

struct SharedLoad {
  const std::vector<WeightTarget>& targets;
  const LoadPlan& plan;
  const StatusOr<std::vector<PlannedFile>>& files;
  const LoadWatch& watch;
  SharedReadExchange* exchange;  // null: no shared read has several ranks
};

// Adds to the report of the rank's own reads. When those failed nothing is read any more, but the ranks that count on this one
// are told why. Returns the first failure of this rank or of one that it shares reads with.
StatusOr<LoadReport> load_shared(const SharedLoad& load, StatusOr<LoadReport> own);

// Most bytes of the whole rows of a shared read, scales included: the memory that it takes on every rank.
constexpr int64_t kMaxSharedBytes = 64 << 20;

}  // namespace moesaic
