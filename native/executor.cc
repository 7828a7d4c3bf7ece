#include "executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>
#include <utility>

#include "device.h"
#include "text.h"

namespace moesaic {
namespace {

Status check_memory(const BoundProgram& bound, int64_t memory_bytes) {
  const int64_t wanted = bound.weights_bytes + bound.kv_bytes + bound.workspace_bytes;
  if (wanted <= memory_bytes) return {};
  return Status(Code::kResourceExhausted,
                text("the arenas want ", wanted, " bytes (weights ", bound.weights_bytes, ", KV ", bound.kv_bytes,
                     ", workspace ", bound.workspace_bytes, "), this machine offers ", memory_bytes,
                     "; lower numBlocks, maxBatchedTokens or maxSequences, or use more ranks"));
}

std::vector<int64_t> offsets_of(const std::vector<BoundWeight>& weights) {
  std::vector<int64_t> offsets;
  for (const BoundWeight& weight : weights) offsets.push_back(weight.offset);
  return offsets;
}

// A plan that passed our checks cannot be at fault: what a kernel still refuses is a bug of ours or of its own.
Code code_of(mk_status status) {
  if (status == MK_UNIMPLEMENTED) return Code::kUnimplemented;
  if (status == MK_RESOURCE_EXHAUSTED) return Code::kResourceExhausted;
  return Code::kInternal;
}

template <typename T>
void copy_to(std::vector<T>& to, const T* from, int64_t count) {
  to.assign(from, from + count);
}

}  // namespace

StatusOr<std::unique_ptr<Executor>> Executor::open(RankProgram program, const EngineOptions& options) {
  const DeviceInfo device = probe_device();
  StatusOr<BoundProgram> bound = bind_program(program, options, device.cpu_features);
  if (!bound.ok()) return bound.status();
  if (Status status = check_memory(bound.value(), device.memory_bytes); !status.ok()) return status;
  StatusOr<Arena> weights = Arena::map("the weights arena", bound.value().weights_bytes, true);
  if (!weights.ok()) return weights.status();
  StatusOr<Arena> kv = Arena::map("the KV arena", bound.value().kv_bytes, false);
  if (!kv.ok()) return kv.status();
  StatusOr<Arena> workspace = Arena::map("the workspace arena", bound.value().workspace_bytes, false);
  if (!workspace.ok()) return workspace.status();
  return std::unique_ptr<Executor>(new Executor(std::move(program), std::move(bound.value()), options.num_threads,
                                                std::move(weights.value()), std::move(kv.value()),
                                                std::move(workspace.value())));
}

Executor::Executor(RankProgram program, BoundProgram bound, int32_t num_threads, Arena weights, Arena kv, Arena workspace)
    : program_(std::move(program)),
      bound_(std::move(bound)),
      num_threads_(num_threads),
      weights_(std::move(weights)),
      kv_(std::move(kv)),
      workspace_(std::move(workspace)),
      rows_(program_, storage_),
      pool_(num_threads) {
  lay_out_workspace(program_, bound_.kernel_memory, workspace_.data(), storage_);
  lay_out_weights(program_, offsets_of(bound_.weights), weights_.data(), storage_);
  lay_out_kv(program_, kv_.data(), storage_);
  std::copy(program_.inv_freq.begin(), program_.inv_freq.end(), storage_.inv_freq);
  for (const Op& op : program_.ops) args_.push_back(make_args(program_, op, storage_));
  for (const BoundKernel& kernel : bound_.kernels) {
    std::vector<const void*>& parts = parts_.emplace_back();
    for (int32_t i = 0; i < kernel.num_ops; ++i) parts.push_back(args_pointer(args_[kernel.first_op + i]));
  }
  if (program_.weights.empty()) weights_state_ = Weights::kLoaded;
}

Status Executor::step(const StepPlan& plan, StepResult& result) {
  const auto begin = std::chrono::steady_clock::now();
  if (weights_state_ != Weights::kLoaded)
    return Status(Code::kFailedPrecondition, "the engine's weights are not loaded; call loadWeights first");
  if (plan.num_granted_steps != 0)
    return Status(Code::kUnimplemented, "plan.numGrantedSteps: this engine runs one step per plan; grant 0");
  if (Status status = rows_.begin_step(plan); !status.ok()) return status;
  step_id_.store(plan.step_id, std::memory_order_relaxed);
  fill_step_arrays(plan);
  if (plan.num_tokens() > 0)
    if (Status status = run_kernels(*storage_.step_arrays.num_logits_rows > 0); !status.ok()) return status;
  if (Status status = collect(plan, result); !status.ok()) return status;
  result.engine_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  return {};
}

void Executor::fill_step_arrays(const StepPlan& plan) {
  const StepArrays& step = storage_.step_arrays;
  *step.num_tokens = plan.num_tokens();
  *step.num_seqs = plan.num_seqs();
  std::copy(plan.positions.begin(), plan.positions.end(), step.positions);
  std::copy(plan.seq_rows.begin(), plan.seq_rows.end(), step.seq_rows);
  std::copy(plan.query_starts.begin(), plan.query_starts.end(), step.query_starts);
  std::copy(plan.seq_lens.begin(), plan.seq_lens.end(), step.seq_lens);
  for (int32_t seq = 0; seq < plan.num_seqs(); ++seq) fill_tokens(plan, seq);
  fill_logits_rows(plan);
}

void Executor::fill_tokens(const StepPlan& plan, int32_t seq) {
  const StepArrays& step = storage_.step_arrays;
  const int32_t row = plan.seq_rows[seq];
  for (int32_t t = plan.query_starts[seq]; t < plan.query_starts[seq + 1]; ++t) {
    const int32_t token_id = plan.token_ids[t] == kLastSampled ? rows_.last_sampled(row) : plan.token_ids[t];
    step.token_ids[t] = token_id;
    step.token_seqs[t] = seq;
    rows_.record_history(row, plan.positions[t], token_id);
  }
}

// Rows to sample come first, as the sample op wants them; rows whose logits are returned as they are follow.
void Executor::fill_logits_rows(const StepPlan& plan) {
  const StepArrays& step = storage_.step_arrays;
  int32_t num_rows = 0;
  for (int32_t seq = 0; seq < plan.num_seqs(); ++seq) {
    if (plan.outputs[seq] != kOutputSample) continue;
    step.logits_tokens[num_rows] = plan.query_starts[seq + 1] - 1;
    step.sample_rows[num_rows] = plan.seq_rows[seq];
    step.sample_seq_lens[num_rows] = plan.seq_lens[seq];
    ++num_rows;
  }
  *step.num_sampled = num_rows;
  for (int32_t seq = 0; seq < plan.num_seqs(); ++seq) {
    if (plan.outputs[seq] != kOutputLogits) continue;
    for (int32_t t = plan.query_starts[seq]; t < plan.query_starts[seq + 1]; ++t) step.logits_tokens[num_rows++] = t;
  }
  *step.num_logits_rows = num_rows;
}

Status Executor::run_kernels(bool wants_logits) {
  for (size_t i = 0; i < bound_.kernels.size(); ++i) {
    if (bound_.kernels[i].logits_only && !wants_logits) continue;
    if (Status status = run_kernel(i); !status.ok()) return status;
  }
  return {};
}

Status Executor::run_kernel(size_t index) {
  const BoundKernel& bound = bound_.kernels[index];
  op_.store(op_name(bound.kernel->ops[0]), std::memory_order_relaxed);
  mk_error error{};
  const mk_status status = bound.kernel->launch(parts_[index].data(), bound.num_ops, storage_.kernel_workspace,
                                                storage_.scratch[index], pool_.stream(), &error);
  counter_.fetch_add(bound.num_ops, std::memory_order_relaxed);
  if (status == MK_OK) return {};
  error.message[sizeof(error.message) - 1] = '\0';
  return Status(code_of(status), text("program.ops[", bound.first_op, "]: kernel ", bound.kernel->name, " of package ",
                                      bound.package->name, " failed: ", error.message));
}

Status Executor::collect(const StepPlan& plan, StepResult& result) {
  result.epoch = plan.epoch;
  result.step_id = plan.step_id;
  if (Status status = collect_sampled(result); !status.ok()) return status;
  collect_top_logprobs(result);
  collect_logits(result);
  return {};
}

Status Executor::collect_sampled(StepResult& result) {
  const StepArrays& step = storage_.step_arrays;
  const int32_t num_sampled = *step.num_sampled;
  copy_to(result.seq_rows, step.sample_rows, num_sampled);
  copy_to(result.token_ids, step.sampled_ids, num_sampled);
  copy_to(result.logprobs, step.logprobs, num_sampled);
  result.finishes.resize(num_sampled);
  for (int32_t i = 0; i < num_sampled; ++i) {
    const int32_t token_id = step.sampled_ids[i];
    if (token_id < 0 || token_id >= program_.dims.vocab_size)
      return Status(Code::kInternal, text("the sample kernel chose token id ", token_id, " of ", program_.dims.vocab_size));
    result.finishes[i] = rows_.record_sampled(step.sample_rows[i], step.sample_seq_lens[i], token_id);
  }
  return {};
}

void Executor::collect_top_logprobs(StepResult& result) {
  const StepArrays& step = storage_.step_arrays;
  const int32_t num_sampled = *step.num_sampled;
  int32_t num_top = 0;
  for (int32_t i = 0; i < num_sampled; ++i) num_top = std::max(num_top, rows_.num_top_logprobs(step.sample_rows[i]));
  result.num_top_logprobs = num_top;
  result.top_token_ids.clear();
  result.top_logprobs.clear();
  for (int32_t i = 0; i < num_sampled; ++i) {
    const int32_t* ids = step.top_ids + i * kMaxTopLogprobs;
    const float* logprobs = step.top_logprobs + i * kMaxTopLogprobs;
    result.top_token_ids.insert(result.top_token_ids.end(), ids, ids + num_top);
    result.top_logprobs.insert(result.top_logprobs.end(), logprobs, logprobs + num_top);
  }
}

void Executor::collect_logits(StepResult& result) {
  const StepArrays& step = storage_.step_arrays;
  result.logits.clear();
  const int32_t num_wanted = *step.num_logits_rows - *step.num_sampled;
  if (num_wanted == 0) return;
  const mk_buffer& logits = storage_.buffers[find_logits(program_)];
  const float* first = static_cast<const float*>(logits.data) + int64_t{*step.num_sampled} * logits.cols;
  copy_to(result.logits, first, int64_t{num_wanted} * logits.cols);
}

StatusOr<LoadReport> Executor::load(const LoadPlan& plan, const std::atomic<bool>& cancelled, const LoadProgress& progress) {
  if (Status status = begin_load(); !status.ok()) return status;
  return end_load(load_weights(weight_targets(), plan, num_threads_, cancelled, counter_, progress));
}

StatusOr<LoadReport> Executor::load_dummy(uint64_t seed, const std::atomic<bool>& cancelled, const LoadProgress& progress) {
  if (Status status = begin_load(); !status.ok()) return status;
  return end_load(load_dummy_weights(weight_targets(), seed, num_threads_, cancelled, counter_, progress));
}

// A load that failed leaves pieces behind; packing wants zeroed memory.
Status Executor::begin_load() {
  if (weights_state_ == Weights::kLoaded && !program_.weights.empty())
    return Status(Code::kFailedPrecondition, "the engine's weights are loaded already; open another engine");
  if (weights_state_ == Weights::kDirty) weights_.clear();
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
        {program_.weights[i].name, bound.desc, bound.packing, weights_.data() + bound.offset, bound.bytes});
  }
  return targets;
}

EngineProgress Executor::progress() const {
  return {counter_.load(std::memory_order_relaxed), step_id_.load(std::memory_order_relaxed),
          op_.load(std::memory_order_relaxed)};
}

}  // namespace moesaic
