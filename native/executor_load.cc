#include "executor.h"
#include "text.h"

namespace moesaic {

StatusOr<LoadReport> Executor::load(const LoadPlan& plan, const std::atomic<bool>& cancelled, const LoadProgress& progress) {
  if (Status status = begin_load(); !status.ok()) return status;
  return end_load(load_weights(weight_targets(), plan, num_threads_, cancelled, *counter_, progress, *device_,
                               exchange_.is_attached() ? &exchange_ : nullptr));
}

StatusOr<LoadReport> Executor::load_dummy(uint64_t seed, const std::atomic<bool>& cancelled, const LoadProgress& progress) {
  if (Status status = begin_load(); !status.ok()) return status;
  return end_load(load_dummy_weights(weight_targets(), seed, num_threads_, cancelled, *counter_, progress, *device_));
}

// A load that failed leaves pieces behind; packing wants zeroed memory.
Status Executor::begin_load() {
  if (weights_state_ == Weights::kLoaded && !program_.weights.empty())
    return Status(Code::kFailedPrecondition, "the engine's weights are loaded already; open another engine");
  if (weights_state_ == Weights::kDirty)
    if (Status status = arenas_.weights.clear(); !status.ok()) return status;
  op_.store("load", std::memory_order_relaxed);
  return {};
}

StatusOr<LoadReport> Executor::end_load(StatusOr<LoadReport> report) {
  weights_state_ = report.ok() ? Weights::kLoaded : Weights::kDirty;
  return report;
}

std::vector<WeightTarget> Executor::weight_targets() const {
  std::vector<WeightTarget> targets;
  for (size_t i = 0; i < program_.weights.size(); ++i) {
    const BoundWeight& bound = bound_.weights[i];
    targets.push_back(
        {program_.weights[i].name, bound.desc, bound.packing, arenas_.weights.data() + bound.offset, bound.bytes,
         &program_.weights[i].sources});
  }
  return targets;
}

}  // namespace moesaic
