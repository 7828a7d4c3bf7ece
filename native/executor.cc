#include "executor.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "text.h"

namespace moesaic {
namespace {

Status check_memory(const BoundProgram& bound, const ComputeDevice& device) {
  const int64_t wanted = bound.weights_bytes + bound.kv_bytes + bound.workspace_bytes;
  const StatusOr<int64_t> offered = device.memory_bytes();
  if (!offered.ok()) return offered.status();
  if (wanted <= offered.value()) return {};
  return Status(Code::kResourceExhausted,
                text("the arenas want ", wanted, " bytes (weights ", bound.weights_bytes, ", KV ", bound.kv_bytes,
                     ", workspace ", bound.workspace_bytes, "), this machine's ", device.name(), " offers ", offered.value(),
                     "; lower numBlocks, maxBatchedTokens or maxSequences, or use more ranks"));
}

// Counts that one captured step serves: few enough to be met again, close enough that little is launched in vain.
int32_t bucket_of(int32_t count, int32_t most) {
  if (count <= 4) return count;
  const int32_t granule = count <= 16 ? 4 : count <= 64 ? 8 : count <= 256 ? 32 : 128;
  return std::min((count + granule - 1) / granule * granule, most);
}

int32_t power_of_two_from(int32_t count, int32_t least, int32_t most) {
  int32_t power = least;
  while (power < count) power *= 2;
  return std::min(power, most);
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
  auto ticks = std::make_unique<std::atomic<uint64_t>>(0);
  StatusOr<std::unique_ptr<ComputeDevice>> device = ComputeDevice::open(program.precision, options, ticks.get());
  if (!device.ok()) return device.status();
  if (!device.value()->shares_memory() && program.world_size > 1)
    return Status(Code::kUnimplemented,
                  text("program.worldSize: a rank on a GPU works alone so far, this plan has ", program.world_size,
                       " ranks; use a plan of one rank, or device cpu"));
  StatusOr<BoundProgram> bound = bind_program(program, options, device.value()->properties());
  if (!bound.ok()) return bound.status();
  if (Status status = check_memory(bound.value(), *device.value()); !status.ok()) return status;
  StatusOr<Arenas> arenas = allocate(*device.value(), program, bound.value());
  if (!arenas.ok()) return arenas.status();
  std::unique_ptr<Executor> executor(new Executor(std::move(program), std::move(bound.value()), options.num_threads,
                                                  std::move(ticks), std::move(device.value()), std::move(arenas.value())));
  if (Status status = executor->lay_out(); !status.ok()) return status;
  return executor;
}

StatusOr<Executor::Arenas> Executor::allocate(ComputeDevice& device, const RankProgram& program, const BoundProgram& bound) {
  Arenas arenas;
  Status status;
  const auto keep = [&](Arena& arena, StatusOr<Arena> taken) {
    if (!taken.ok()) status = taken.status();
    else arena = std::move(taken.value());
    return status.ok();
  };
  Storage sizes_only;
  const bool has_all = keep(arenas.weights, device.allocate("the weights arena", bound.weights_bytes, true)) &&
                       keep(arenas.kv, device.allocate("the KV arena", bound.kv_bytes, false)) &&
                       keep(arenas.workspace, device.allocate("the workspace arena", bound.workspace_bytes, false)) &&
                       (device.shares_memory() ||
                        keep(arenas.mirror, device.allocate_host("the host's mirror of the state",
                                                                 lay_out_state(program, nullptr, sizes_only))));
  if (!has_all) return status;
  return arenas;
}

Executor::Executor(RankProgram program, BoundProgram bound, int32_t num_threads,
                   std::unique_ptr<std::atomic<uint64_t>> ticks, std::unique_ptr<ComputeDevice> device, Arenas arenas)
    : program_(std::move(program)),
      bound_(std::move(bound)),
      num_threads_(num_threads),
      counter_(std::move(ticks)),
      device_(std::move(device)),
      arenas_(std::move(arenas)),
      host_(device_->shares_memory() ? storage_ : mirror_),
      rows_(program_, host_),
      exchange_(program_, storage_),
      samples_(program_, storage_),
      work_(program_, device_->shares_memory()) {
  lay_out_workspace(program_, bound_.kernel_memory, arenas_.workspace.data(), storage_);
  lay_out_weights(program_, offsets_of(bound_.weights), arenas_.weights.data(), storage_);
  lay_out_kv(program_, arenas_.kv.data(), storage_);
  if (!device_->shares_memory()) lay_out_state(program_, arenas_.mirror.data(), mirror_);
  begin_step_args_ = make_begin_step_args(program_, storage_);
  for (const Placement placement : {Placement::kReplicated, Placement::kSharded}) {
    const auto list = static_cast<size_t>(placement);
    for (const Op& op : program_.ops_of(placement)) args_[list].push_back(make_args(program_, op, storage_));
    for (const BoundKernel& kernel : bound_.kernels[list]) {
      std::vector<const void*>& parts = parts_[list].emplace_back();
      for (int32_t i = 0; i < kernel.num_ops; ++i) parts.push_back(args_pointer(args_[list][kernel.first_op + i]));
    }
  }
  if (program_.weights.empty()) weights_state_ = Weights::kLoaded;
  if (program_.world_size > 1) message_.reserve(kFirstBytes);
}

// What kernels read and nobody writes again.
Status Executor::lay_out() {
  std::vector<int32_t> local_experts(program_.dims.num_global_experts, -1);
  for (size_t i = 0; i < program_.dims.local_experts.size(); ++i)
    local_experts[program_.dims.local_experts[i]] = static_cast<int32_t>(i);
  const int32_t one = 1;
  const auto write = [&](void* to, const auto* from, size_t count) {
    return device_->upload(to, from, static_cast<int64_t>(count * sizeof(*from)));
  };
  if (Status status = write(storage_.inv_freq, program_.inv_freq.data(), program_.inv_freq.size()); !status.ok()) return status;
  if (Status status = write(storage_.local_experts, local_experts.data(), local_experts.size()); !status.ok()) return status;
  if (program_.is_vocab_sharded())
    if (Status status = write(const_cast<int32_t*>(storage_.full_logits.num_rows), &one, 1); !status.ok()) return status;
  return device_->finish();
}

Status Executor::connect(const ConnectOptions& options, std::shared_ptr<DataPlaneListener> listener) {
  if (communicator_ != nullptr) return Status(Code::kFailedPrecondition, "the engine was connected before; open another");
  op_.store("connect", std::memory_order_relaxed);
  StatusOr<std::unique_ptr<Communicator>> communicator = connect_ranks(program_, options, *listener, is_aborted_);
  if (Status status = aborted(); !status.ok()) return status;
  if (!communicator.ok()) return communicator.status();
  {
    const std::lock_guard lock(connection_mutex_);
    listener_ = std::move(listener);
    communicator_ = std::move(communicator.value());
    has_communicator_ = true;
  }
  // From here on abort() ends calls; who came before it was seen is seen now.
  if (Status status = aborted(); !status.ok()) return give_up(std::move(status));
  StatusOr<RankLayout> layout = meet_ranks(program_, options.peers, *communicator_);
  if (!layout.ok()) return layout.status();
  exchange_.attach(*communicator_, std::move(layout.value()));
  const std::lock_guard lock(connection_mutex_);
  is_connected_ = true;
  return {};
}

Status Executor::aborted() const {
  const std::lock_guard lock(connection_mutex_);
  return abort_reason_.empty() ? Status() : Status(Code::kCancelled, "aborted: " + abort_reason_);
}

void Executor::abort(const std::string& reason) {
  grants_.end(INT64_MAX);
  {
    const std::lock_guard lock(connection_mutex_);
    if (has_ended_ || !abort_reason_.empty()) return;
    abort_reason_ = reason.empty() ? "no reason was given" : reason;
    is_aborted_ = true;
    if (!has_communicator_) return;
  }
  communicator_->abort(abort_reason_);
}

std::vector<CollectiveStats> Executor::collective_stats() const {
  const std::lock_guard lock(connection_mutex_);
  if (!is_connected_) return {};
  return exchange_.stats();
}

Status Executor::step(const StepPlan& plan, StepResult& result) {
  work_.begin_step();
  if (Status status = check_connected(); !status.ok()) return status;
  if (program_.rank != 0) return Status(Code::kFailedPrecondition, "only rank 0 steps by itself; call followLead");
  if (Status status = check_step(plan); !status.ok()) return status;
  if (Status status = rows_.begin_step(plan); !status.ok()) return status;
  if (program_.world_size > 1) {
    encode_plan(plan, message_);
    if (Status status = send_message(); !status.ok()) return status;
  }
  if (Status status = run_step(plan, result); !status.ok()) return give_up(std::move(status));
  result.runs_on = grants_.runs_on(plan, result);
  result.engine_us = work_.end_step(plan.step_id);
  return {};
}

Status Executor::check_step(const StepPlan& plan) const {
  if (weights_state_ != Weights::kLoaded)
    return Status(Code::kFailedPrecondition, "the engine's weights are not loaded; call loadWeights first");
  if (Status status = Grants::check(plan); !status.ok()) return status;
  if (plan.placement == Placement::kSharded && !program_.has_sharded_ops)
    return Status(Code::kInvalidArgument, "plan.tokenPlacement: the program has no shardedOps; use \"replicated\"");
  if (plan.placement == Placement::kReplicated && program_.has_sharded_ops && program_.ops.empty())
    return Status(Code::kInvalidArgument, "plan.tokenPlacement: the program has shardedOps only; use \"sharded\"");
  return {};
}

Status Executor::check_connected() const {
  if (program_.world_size == 1 || exchange_.is_attached()) return {};
  return Status(Code::kFailedPrecondition,
                text("rank ", program_.rank, " of ", program_.world_size, " is not connected; call connectEngine first"));
}

// The engine's steps follow each other on this thread, so a plan and its memory are used again.
Status Executor::follow() {
  if (Status status = check_connected(); !status.ok()) return status;
  if (program_.rank == 0) return Status(Code::kFailedPrecondition, "rank 0 is the lead; call step");
  StepPlan plan;
  StepResult result;
  reserve_plan(program_, plan);
  reserve_result(result);
  for (;;) {
    op_.store("await_plan", std::memory_order_relaxed);
    StatusOr<LeadHeader> header = receive_message();
    if (!header.ok()) return give_up(header.status());
    if (header.value().word == LeadWord::kEnd) {
      const std::lock_guard lock(connection_mutex_);
      has_ended_ = true;
      return {};
    }
    work_.begin_step();
    Status status = decode_plan(message_, program_, plan);
    if (status.ok()) status = check_step(plan);
    if (status.ok()) status = rows_.begin_step(plan);
    if (status.ok()) status = run_step(plan, result);
    if (!status.ok()) return give_up(std::move(status));
    work_.end_step(plan.step_id);
  }
}

Status Executor::end_epoch() {
  if (program_.world_size == 1) return {};
  if (Status status = check_connected(); !status.ok()) return status;
  if (program_.rank != 0) return Status(Code::kFailedPrecondition, "only rank 0 ends an epoch");
  encode_end(message_);
  if (Status status = send_message(); !status.ok()) return status;
  const std::lock_guard lock(connection_mutex_);
  has_ended_ = true;
  return {};
}

// A message is one broadcast, or two where it is long.
Status Executor::send_message() {
  const size_t first = std::min(message_.size(), kFirstBytes);
  const std::span<std::byte> all(message_);
  Status status = communicator_->broadcast(0, 0, all.first(first), nullptr, Patience::kWhileItLives);
  if (!status.ok() || first == all.size()) return status;
  return communicator_->broadcast(0, 0, all.subspan(first), nullptr, Patience::kDeadline);
}

StatusOr<LeadHeader> Executor::receive_message() {
  int64_t bytes = 0;
  message_.resize(kFirstBytes);
  // The lead may have nothing to do for long.
  Status status = communicator_->broadcast(0, 0, message_, &bytes, Patience::kWhileItLives);
  if (!status.ok()) return status;
  StatusOr<LeadHeader> header = decode_header(std::span(message_).first(static_cast<size_t>(bytes)), program_);
  if (!header.ok()) return header;
  const int64_t expected = std::min(header.value().bytes, static_cast<int64_t>(kFirstBytes));
  if (bytes != expected)
    return Status(Code::kInternal, text("the plan from rank 0: expected ", expected, " bytes, got ", bytes));
  message_.resize(static_cast<size_t>(header.value().bytes));
  if (header.value().bytes == expected) return header;
  const std::span<std::byte> rest = std::span(message_).subspan(kFirstBytes);
  status = communicator_->broadcast(0, 0, rest, &bytes, Patience::kDeadline);
  if (!status.ok()) return status;
  if (bytes != static_cast<int64_t>(rest.size()))
    return Status(Code::kInternal, text("the plan from rank 0: expected ", rest.size(), " more bytes, got ", bytes));
  return header;
}

// The peers are in this step too and must not wait for a rank that has left it.
Status Executor::give_up(Status status) {
  if (program_.world_size > 1) communicator_->abort(status.message());
  return status;
}

Status Executor::run_step(const StepPlan& plan, StepResult& result) {
  step_id_.store(plan.step_id, std::memory_order_relaxed);
  fill_step_arrays(plan);
  set_bounds(plan);
  if (plan.num_tokens() == 0) {
    if (Status status = send_state(); !status.ok()) return status;
    if (Status status = device_->finish(); !status.ok()) return status;
    return collect(plan, result);
  }
  GraphKey key;
  const bool has_graph = choose_graph(plan, key);
  const bool wants_logits = *host_.step_arrays.num_logits_rows > 0;
  const auto launches = [&] { return run_ops(plan.placement, wants_logits); };
  Status status = send_state();
  if (status.ok()) status = device_->run(has_graph && !is_profiled_ ? &key : nullptr, Launches(launches));
  if (status.ok() && has_graph && !is_profiled_) op_.store("captured_step", std::memory_order_relaxed);
  if (status.ok()) status = fetch_sampled();
  if (status.ok()) status = device_->finish();
  if (!status.ok())
    return Status(status.code(), text("step ", plan.step_id, ", at ", op_.load(),
                                      device_->shares_memory() ? ": " : " or before it: ", status.message()));
  return collect(plan, result);
}

// Exact where nothing is captured; where it is, as large as the key's bucket.
void Executor::set_bounds(const StepPlan& plan) {
  LaunchBounds& bounds = storage_.bounds;
  bounds = {plan.num_tokens(), exchange_.own_count(plan.num_tokens()), max_rows(program_, RowsKind::kReceived),
            *host_.step_arrays.num_logits_rows, plan.num_seqs(), 0, 0};
  for (int32_t seq = 0; seq < plan.num_seqs(); ++seq) {
    bounds.query_len = std::max(bounds.query_len, plan.query_starts[seq + 1] - plan.query_starts[seq]);
    bounds.seq_len = std::max(bounds.seq_len, plan.seq_lens[seq]);
  }
}

// Steps in which every sequence decodes one token and samples the next come again and again; others are launched as they are.
bool Executor::choose_graph(const StepPlan& plan, GraphKey& key) {
  LaunchBounds& bounds = storage_.bounds;
  if (device_->shares_memory() || bounds.query_len != 1 || bounds.logits_rows != bounds.seqs) return false;
  constexpr int32_t kShortest = 1024;
  const int32_t most = max_step_seqs(program_.limits);
  bounds.tokens = bounds.own = bounds.received = bounds.logits_rows = bounds.seqs = bucket_of(bounds.tokens, most);
  bounds.seq_len = power_of_two_from(bounds.seq_len, kShortest, std::max(kShortest, program_.limits.max_seq_len));
  key = {static_cast<int32_t>(plan.placement), bounds.tokens, bounds.logits_rows, bounds.seq_len};
  return true;
}

// The step's columns in one copy, and what changed of the rows.
Status Executor::send_state() {
  if (device_->shares_memory()) return {};
  const std::byte* from = arenas_.mirror.data();
  const auto* end = reinterpret_cast<const std::byte*>(host_.step_arrays.token_ids);
  if (Status status = device_->upload(arenas_.workspace.data(), from, end - from); !status.ok()) return status;
  for (const Rows::Written& piece : rows_.written()) {
    const int64_t offset = static_cast<const std::byte*>(piece.data) - from;
    std::byte* const to = arenas_.workspace.data() + offset;
    if (Status status = device_->upload(to, piece.data, piece.bytes); !status.ok()) return status;
  }
  return {};
}

Status Executor::fetch_sampled() {
  if (device_->shares_memory()) return {};
  const StepArrays& from = storage_.step_arrays;
  const StepArrays& to = host_.step_arrays;
  const int64_t num_sampled = *to.num_sampled;
  int32_t num_top = 0;
  for (int64_t i = 0; i < num_sampled; ++i) num_top = std::max(num_top, rows_.num_top_logprobs(to.sample_rows[i]));
  if (Status status = device_->download(to.sampled_ids, from.sampled_ids, num_sampled * 4); !status.ok()) return status;
  if (Status status = device_->download(to.logprobs, from.logprobs, num_sampled * 4); !status.ok()) return status;
  if (num_top == 0) return {};
  const int64_t bytes = num_sampled * kMaxTopLogprobs * 4;
  if (Status status = device_->download(to.top_ids, from.top_ids, bytes); !status.ok()) return status;
  return device_->download(to.top_logprobs, from.top_logprobs, bytes);
}

void Executor::fill_step_arrays(const StepPlan& plan) {
  const StepArrays& step = host_.step_arrays;
  *step.num_tokens = plan.num_tokens();
  *step.num_seqs = plan.num_seqs();
  *step.num_own = exchange_.own_count(plan.num_tokens());
  *step.num_received = 0;
  std::copy(plan.token_ids.begin(), plan.token_ids.end(), step.planned_ids);
  std::copy(plan.positions.begin(), plan.positions.end(), step.positions);
  std::copy(plan.seq_rows.begin(), plan.seq_rows.end(), step.seq_rows);
  std::copy(plan.query_starts.begin(), plan.query_starts.end(), step.query_starts);
  std::copy(plan.seq_lens.begin(), plan.seq_lens.end(), step.seq_lens);
  for (int32_t seq = 0; seq < plan.num_seqs(); ++seq)
    std::fill(step.token_seqs + plan.query_starts[seq], step.token_seqs + plan.query_starts[seq + 1], seq);
  fill_logits_rows(plan);
}

// Rows to sample come first, as the sample op wants them; rows whose logits are returned as they are follow.
void Executor::fill_logits_rows(const StepPlan& plan) {
  const StepArrays& step = host_.step_arrays;
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

Status Executor::run_ops(Placement placement, bool wants_logits) {
  const std::vector<BoundKernel>& kernels = bound_.kernels[static_cast<size_t>(placement)];
  const std::vector<Op>& ops = program_.ops_of(placement);
  op_.store("begin_step", std::memory_order_relaxed);
  const void* begin_step = args_pointer(begin_step_args_);
  if (Status status = launch(bound_.begin_step, &begin_step); !status.ok()) return status;
  if (Status status = mark(); !status.ok()) return status;
  for (size_t i = 0; i < kernels.size(); ++i) {
    if (kernels[i].logits_only && !wants_logits) continue;
    const Op& op = ops[kernels[i].first_op];
    op_.store(op_name(op), std::memory_order_relaxed);
    Status status;
    if (is_collective(op)) status = run_collective(placement, kernels[i]);
    else if (kernels[i].kernel != nullptr) status = run_kernel(placement, i);
    if (status.ok() && std::holds_alternative<SampleShardOp>(op))
      status = merge_samples(placement, kernels[i].kernel != nullptr);
    if (status.ok()) status = mark();
    if (!status.ok()) return status;
    counter_->fetch_add(kernels[i].num_ops, std::memory_order_relaxed);
  }
  return {};
}

Status Executor::run_collective(Placement placement, const BoundKernel& bound) {
  const Op& op = program_.ops_of(placement)[bound.first_op];
  const WorkLog::Collective collective(work_);
  Status status = exchange_.run(op);
  if (status.ok()) return status;
  return Status(status.code(), text(op_place(placement, bound.first_op), " (", op_name(op), "): ", status.message()));
}

Status Executor::run_kernel(Placement placement, size_t index) {
  const auto list = static_cast<size_t>(placement);
  const BoundKernel& bound = bound_.kernels[list][index];
  Status status = launch(bound, parts_[list][index].data());
  for (int32_t op = bound.first_op; status.ok() && op < bound.first_op + bound.num_ops; ++op)
    if (const auto* experts = std::get_if<mk_experts_args>(&args_[list][op])) work_.count_experts(placement, op, *experts);
  if (status.ok()) return status;
  return Status(status.code(), text(op_place(placement, bound.first_op), ": ", status.message()));
}

Status Executor::launch(const BoundKernel& bound, const void* const* parts) {
  mk_error error{};
  const mk_status status = bound.kernel->launch(parts, bound.num_ops, storage_.kernel_workspace,
                                                storage_.scratch[bound.scratch], device_->stream(), &error);
  if (status == MK_OK) return {};
  error.message[sizeof(error.message) - 1] = '\0';
  return Status(code_of(status),
                text("kernel ", bound.kernel->name, " of package ", bound.package->name, " failed: ", error.message));
}

Status Executor::merge_samples(Placement placement, bool has_candidates) {
  const mk_buffer& logits = storage_.buffers[logits_buffer(placement)];
  if (!has_candidates) {
    samples_.decide_nothing();
  } else {
    const WorkLog::Collective collective(work_);
    if (Status status = samples_.merge(exchange_, logits); !status.ok()) return status;
  }
  for (const int32_t index : samples_.undecided())
    if (Status status = sample_whole_row(logits, index); !status.ok()) return status;
  return {};
}

// A whole row, of which `own` is this rank's part.
Status Executor::gather_logits(const float* own) {
  const WorkLog::Collective collective(work_);
  return exchange_.gather_logits(own, static_cast<float*>(storage_.full_logits.data));
}

// Every rank samples the same row in the same way, so all know the token.
Status Executor::sample_whole_row(const mk_buffer& logits, int32_t index) {
  const float* own = static_cast<const float*>(logits.data) + int64_t{index} * logits.cols;
  if (Status status = gather_logits(own); !status.ok()) return status;
  mk_sample_args args = make_full_sample_args(program_, storage_);
  args.rows += index;
  args.seq_lens += index;
  args.token_ids += index;
  args.logprobs += index;
  args.top_ids += int64_t{index} * kMaxTopLogprobs;
  args.top_logprobs += int64_t{index} * kMaxTopLogprobs;
  const void* parts[] = {&args};
  return launch(bound_.full_sample, parts);
}

void Executor::reserve_result(StepResult& result) const {
  const auto num_rows = static_cast<size_t>(max_logits_rows(program_.limits));
  for (std::vector<int32_t>* column : {&result.seq_rows, &result.token_ids, &result.finishes}) column->reserve(num_rows);
  result.logprobs.reserve(num_rows);
  result.top_token_ids.reserve(num_rows * kMaxTopLogprobs);
  result.top_logprobs.reserve(num_rows * kMaxTopLogprobs);
}

Status Executor::collect(const StepPlan& plan, StepResult& result) {
  result.epoch = plan.epoch;
  result.step_id = plan.step_id;
  if (Status status = collect_sampled(result); !status.ok()) return status;
  collect_top_logprobs(result);
  return collect_logits(plan.placement, result);
}

Status Executor::collect_sampled(StepResult& result) {
  const StepArrays& step = host_.step_arrays;
  const int32_t num_sampled = *step.num_sampled;
  copy_to(result.seq_rows, step.sample_rows, num_sampled);
  copy_to(result.token_ids, step.sampled_ids, num_sampled);
  copy_to(result.logprobs, step.logprobs, num_sampled);
  result.finishes.resize(num_sampled);
  for (int32_t i = 0; i < num_sampled; ++i) {
    const int32_t token_id = step.sampled_ids[i];
    if (token_id < 0 || token_id >= program_.dims.global_vocab_size)
      return Status(Code::kInternal,
                    text("the sample kernel chose token id ", token_id, " of ", program_.dims.global_vocab_size));
    result.finishes[i] = rows_.record_sampled(step.sample_rows[i], step.sample_seq_lens[i], token_id);
  }
  return {};
}

void Executor::collect_top_logprobs(StepResult& result) {
  const StepArrays& step = host_.step_arrays;
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

// Rows of a cut vocabulary come together row by row; only the lead's are wanted, but all ranks have a part.
Status Executor::collect_logits(Placement placement, StepResult& result) {
  const StepArrays& step = host_.step_arrays;
  result.logits.clear();
  const int32_t num_wanted = *step.num_logits_rows - *step.num_sampled;
  if (num_wanted == 0) return {};
  const mk_buffer& logits = storage_.buffers[logits_buffer(placement)];
  const float* first = static_cast<const float*>(logits.data) + int64_t{*step.num_sampled} * logits.cols;
  if (!program_.is_vocab_sharded()) {
    if (program_.rank != 0) return {};
    result.logits.resize(static_cast<size_t>(num_wanted) * logits.cols);
    if (Status status = device_->download(result.logits.data(), first, int64_t{num_wanted} * logits.cols * 4); !status.ok())
      return status;
    return device_->finish();
  }
  op_.store("gather_logits", std::memory_order_relaxed);
  const auto* whole = static_cast<const float*>(storage_.full_logits.data);
  for (int32_t i = 0; i < num_wanted; ++i) {
    Status status = gather_logits(first + int64_t{i} * logits.cols);
    if (!status.ok()) return Status(status.code(), "gathering logits: " + status.message());
    if (program_.rank == 0) result.logits.insert(result.logits.end(), whole, whole + program_.dims.global_vocab_size);
  }
  return {};
}

Status Executor::write_buffer(int32_t index, const void* values, int64_t bytes) {
  if (Status status = device_->upload(storage_.buffers[index].data, values, bytes); !status.ok()) return status;
  return device_->finish();
}

Status Executor::read_buffer(int32_t index, void* values, int64_t bytes) {
  if (Status status = device_->download(values, storage_.buffers[index].data, bytes); !status.ok()) return status;
  return device_->finish();
}

EngineProgress Executor::progress() const {
  return {counter_->load(std::memory_order_relaxed), step_id_.load(std::memory_order_relaxed),
          op_.load(std::memory_order_relaxed)};
}

}  // namespace moesaic
