#include "grants.h"

#include <algorithm>
#include <numeric>

#include "text.h"

namespace moesaic {

Status Grants::check(const StepPlan& plan) {
  if (plan.num_granted_steps == 0) return {};
  for (size_t seq = 0; seq < plan.outputs.size(); ++seq)
    if (plan.outputs[seq] != kOutputSample)
      return Status(Code::kInvalidArgument, text("plan.numGrantedSteps: expected 0, since plan.outputs[", seq,
                                                 "] samples nothing that a granted step could decode"));
  return {};
}

bool Grants::runs_on(const StepPlan& plan, const StepResult& result) {
  last_step_id_ = plan.step_id;
  if (plan.num_granted_steps == 0 || plan.step_id < end_id_.load()) return false;
  return std::all_of(result.finishes.begin(), result.finishes.end(), [](int32_t finish) { return finish == kFinishNone; });
}

void Grants::end(int64_t step_id) {
  int64_t before = end_id_.load();
  while (before < step_id && !end_id_.compare_exchange_weak(before, step_id)) {
  }
}

void advance(StepPlan& plan) {
  const auto num_seqs = static_cast<size_t>(plan.num_seqs());
  ++plan.step_id;
  --plan.num_granted_steps;
  plan.token_ids.assign(num_seqs, kLastSampled);
  plan.positions.assign(plan.seq_lens.begin(), plan.seq_lens.end());
  std::iota(plan.query_starts.begin(), plan.query_starts.end(), 0);
  for (int32_t& seq_len : plan.seq_lens) ++seq_len;
  plan.new_rows.clear();
  for (std::vector<int32_t>& deltas : plan.block_deltas) deltas.clear();
  plan.finished_rows.clear();
  plan.masks.clear();
}

}  // namespace moesaic
