#include "work_log.h"

#include <algorithm>
#include <variant>

namespace moesaic {
namespace {

double microseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// Of each op of a list, how many experts ops come before it.
std::vector<int32_t> layers_of(const std::vector<Op>& ops) {
  std::vector<int32_t> layers;
  int32_t layer = 0;
  for (const Op& op : ops) {
    layers.push_back(layer);
    if (std::holds_alternative<ExpertsOp>(op)) ++layer;
  }
  return layers;
}

int32_t num_layers_of(const std::vector<Op>& ops) {
  return static_cast<int32_t>(
      std::count_if(ops.begin(), ops.end(), [](const Op& op) { return std::holds_alternative<ExpertsOp>(op); }));
}

size_t num_counters(const RankProgram& program, bool counts_experts) {
  if (!counts_experts) return 0;
  int32_t num_layers = 0;
  for (const Placement placement : {Placement::kReplicated, Placement::kSharded})
    num_layers = std::max(num_layers, num_layers_of(program.ops_of(placement)));
  return static_cast<size_t>(num_layers) * program.dims.num_global_experts;
}

}  // namespace

WorkLog::WorkLog(const RankProgram& program, bool counts_experts)
    : num_experts_(program.dims.num_global_experts), expert_tokens_(num_counters(program, counts_experts)) {
  for (const Placement placement : {Placement::kReplicated, Placement::kSharded})
    layers_[static_cast<size_t>(placement)] = layers_of(program.ops_of(placement));
}

void WorkLog::begin_step() {
  begin_ = std::chrono::steady_clock::now();
  in_collectives_ = {};
}

double WorkLog::end_step(int64_t step_id) {
  const auto end = std::chrono::steady_clock::now();
  const StepTime time{step_id, end, microseconds(end - begin_), microseconds(in_collectives_)};
  const std::lock_guard lock(mutex_);
  steps_[num_steps_++ % kMaxSteps] = time;
  return time.engine_us;
}

// Kernels have checked the ids; a count must not depend on that.
void WorkLog::count_experts(Placement placement, int32_t op, const mk_experts_args& args) {
  if (expert_tokens_.empty()) return;
  std::atomic<uint64_t>* const counts =
      expert_tokens_.data() + static_cast<size_t>(layers_[static_cast<size_t>(placement)][op]) * num_experts_;
  const auto* ids = static_cast<const int32_t*>(args.expert_ids.data);
  const int64_t num_ids = int64_t{*args.expert_ids.num_rows} * args.expert_ids.cols;
  for (int64_t i = 0; i < num_ids; ++i) {
    const int32_t id = ids[i];
    if (id < 0 || id >= num_experts_ || args.local_experts[id] < 0) continue;
    // No other thread writes.
    counts[id].store(counts[id].load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
}

std::vector<StepTime> WorkLog::steps_after(int64_t step_id) const {
  std::vector<StepTime> steps;
  const std::lock_guard lock(mutex_);
  const size_t begin = num_steps_ > kMaxSteps ? num_steps_ - kMaxSteps : 0;
  for (size_t i = begin; i < num_steps_; ++i)
    if (steps_[i % kMaxSteps].step_id > step_id) steps.push_back(steps_[i % kMaxSteps]);
  return steps;
}

std::vector<uint64_t> WorkLog::expert_tokens() const {
  std::vector<uint64_t> counts;
  counts.reserve(expert_tokens_.size());
  for (const std::atomic<uint64_t>& count : expert_tokens_) counts.push_back(count.load(std::memory_order_relaxed));
  return counts;
}

}  // namespace moesaic
