#include "executor.h"
#include "text.h"

namespace moesaic {

Status Executor::profile_step(const StepPlan& plan, StepResult& result, std::vector<double>& kernel_us) {
  if (program_.world_size > 1)
    return Status(Code::kUnimplemented, text("profileStep: wanted a rank that is alone, this one is of ", program_.world_size));
  is_profiled_ = true;
  Status status = step(plan, result);
  is_profiled_ = false;
  if (!status.ok()) static_cast<void>(device_->finish());  // a stream may be held back
  StatusOr<std::vector<double>> times = device_->read_marks();
  if (!status.ok()) return status;
  if (!times.ok()) return times.status();

  const std::vector<BoundKernel>& kernels = bound_.kernels[static_cast<size_t>(plan.placement)];
  const bool wants_logits = *host_.step_arrays.num_logits_rows > 0;
  kernel_us.assign(kernels.size(), 0);
  size_t at = 0;
  for (size_t i = 0; i < kernels.size() && at < times.value().size(); ++i)
    if (wants_logits || !kernels[i].logits_only) kernel_us[i] = times.value()[at++];
  return {};
}

}  // namespace moesaic
