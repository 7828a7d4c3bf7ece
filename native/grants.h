// Granted steps: what the lead runs by itself after a plan's own step, until a row finishes, the grant is used up, or somebody
// has something else to do.
#pragma once

#include <atomic>
#include <cstdint>

#include "status.h"
#include "step.h"

namespace moesaic {

// Lives on the engine thread, but for end.
class Grants {
 public:
  // Whether the run that the plan was to go on with ended before: then nothing of it is to be run.
  bool is_void(const StepPlan& plan) const {
    return plan.follows_step_id != 0 && plan.follows_step_id != last_step_id_;
  }
  // Error: invalid_argument, when a granted step would decode a row that has sampled nothing.
  static Status check(const StepPlan& plan);
  // The step has run. Whether the next one that its plan grants is to be run: decided once, before anybody hears of the result.
  bool runs_on(const StepPlan& plan, const StepResult& result);
  // Any thread: no granted step up to this id is begun any more.
  void end(int64_t step_id);

 private:
  int64_t last_step_id_ = 0;
  std::atomic<int64_t> end_id_{0};
};

// Makes the plan of the granted step after it out of a plan: every row decodes the token that it sampled last. Allocates nothing.
void advance(StepPlan& plan);

}  // namespace moesaic
