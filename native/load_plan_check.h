// Checks a load plan before the first byte is read: a wrong plan leaves the arena as it was.
#pragma once

#include <vector>

#include "loader.h"

namespace moesaic {

// kInvalidArgument, naming the read or the weight, unless every read lies in its file, has the bytes of its rows and fills
// whole granules of an existing weight, and all reads together fill every row of every weight exactly once. Shared reads are
// in file order, the same on all ranks, so that no two wait for each other. kFailedPrecondition: several ranks without an
// exchange.
Status check_load_plan(const std::vector<WeightTarget>& targets, const LoadPlan& plan, const SharedReadExchange* exchange);

}  // namespace moesaic
