// For tests in C++: programs of a small mixture of experts without attention, cut over the ranks of a world, and plans for it.
// Both op lists use every collective there is; the experts and the vocabulary are dealt out among the ranks.
#pragma once

#include <string>
#include <vector>

#include "../binder.h"
#include "../program.h"
#include "../step.h"

namespace moesaic::test {

inline constexpr ProgramLimits kSmallLimits{64, 8, 40, 4, 100};

RankProgram world_program(int32_t rank, int32_t world_size, const ProgramLimits& limits = kSmallLimits);
// With the reference package, which lies beside this program.
EngineOptions reference_options();

// A part of a sequence: `tokens` tokens of `row` from position `begin` on, sampled. With `is_new` the row begins here and gets
// all its blocks.
struct Part {
  int32_t row;
  int32_t begin;
  int32_t tokens;
  bool is_new;
};
StepPlan world_step(const RankProgram& program, int64_t step_id, Placement placement, const std::vector<Part>& parts);

}  // namespace moesaic::test
