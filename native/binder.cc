#include "binder.h"

#include <algorithm>
#include <cstring>

#include "device_reason.h"
#include "op_args.h"
#include "text.h"

namespace moesaic {
namespace {

constexpr int64_t kMaxArenaBytes = int64_t{1} << 52;  // sizes must be exact in a JavaScript number

bool contains(const std::vector<int32_t>& list, int32_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

class Binder {
 public:
  Binder(const RankProgram& program, const mk_device& device, std::vector<const KernelPackage*> packages)
      : program_(program), device_(device), packages_(std::move(packages)) {}

  StatusOr<BoundProgram> bind() {
    bound_.weights.resize(program_.weights.size());
    if (lay_out_workspace(program_, {}, nullptr, shapes_) < 0) return too_large();
    lay_out_weights(program_, {}, nullptr, shapes_);
    for (const Placement placement : {Placement::kReplicated, Placement::kSharded})
      if (Status status = bind_ops(placement); !status.ok()) return status;
    const mk_begin_step_args begin_step = make_begin_step_args(program_, shapes_);
    if (Status status = bind_alone(MK_OP_BEGIN_STEP, &begin_step, bound_.begin_step); !status.ok()) return status;
    // Rows whose candidates do not suffice are sampled from their whole logits.
    const mk_sample_args full_sample = make_full_sample_args(program_, shapes_);
    if (program_.is_vocab_sharded())
      if (Status status = bind_alone(MK_OP_SAMPLE, &full_sample, bound_.full_sample); !status.ok()) return status;
    if (Status status = place_weights(); !status.ok()) return status;
    if (Status status = size_arenas(); !status.ok()) return status;
    return std::move(bound_);
  }

 private:
  Status bind_ops(Placement placement) {
    placement_ = placement;
    list_ = make_instances(program_, ops(), shapes_);
    const auto num_ops = static_cast<int32_t>(ops().size());
    for (int32_t first = 0; first < num_ops; first += kernels().back().num_ops)
      if (Status status = bind_at(first); !status.ok()) return status;
    return {};
  }

  // An op that the engine runs beside those of the program.
  Status bind_alone(mk_op op, const void* args, BoundKernel& bound) {
    const mk_op_instance instance{op, args};
    const auto reason_of = [&](const mk_kernel& kernel) { return device_reason(kernel, device_, &instance, 1).text; };
    std::vector<Refusal> refused;
    const Choice choice = choose(
        [&](const mk_kernel& kernel) { return kernel.num_ops == 1 && kernel.ops[0] == op; }, reason_of, refused);
    if (choice.kernel == nullptr)
      return Status(Code::kUnimplemented, text(op_name(op), ", which the engine runs: no kernel", sentence_of(refused)));
    bound = {choice.package, choice.kernel, 0, 1, bound_.kernel_memory.scratch_bytes.size(), op == MK_OP_SAMPLE,
             std::move(refused)};
    return take_memory(*choice.package, *choice.kernel, &instance, 1);
  }

  const std::vector<Op>& ops() const { return program_.ops_of(placement_); }
  std::vector<BoundKernel>& kernels() { return bound_.kernels[static_cast<size_t>(placement_)]; }

  Status bind_at(int32_t first) {
    if (is_collective(ops()[first])) {
      kernels().push_back({nullptr, nullptr, first, 1, 0, writes_logits_only(first, 1), {}});
      return {};
    }
    std::vector<Refusal> refused;
    const Choice choice = choose([&](const mk_kernel& kernel) { return computes(kernel, list_.instances, first); },
                                 [&](const mk_kernel& kernel) { return decline_reason(kernel, first); }, refused);
    if (choice.kernel != nullptr) return accept(*choice.package, *choice.kernel, first, std::move(refused));
    // Without it, rows are sampled from their whole logits.
    if (std::holds_alternative<SampleShardOp>(ops()[first])) {
      kernels().push_back({nullptr, nullptr, first, 1, 0, true, {}});
      return {};
    }
    return Status(Code::kUnimplemented,
                  text(op_place(placement_, first), " (", op_name(ops()[first]), "): no kernel", sentence_of(refused)));
  }

  struct Choice {
    const KernelPackage* package;
    const mk_kernel* kernel;
  };

  // The first kernel without a reason against it: packages in order; within one, longer sequences first.
  template <typename Suits, typename ReasonOf>
  Choice choose(const Suits& suits, const ReasonOf& reason_of, std::vector<Refusal>& refused) const {
    for (const KernelPackage* package : packages_) {
      const size_t num_before = refused.size();
      for (const mk_kernel* kernel : package->kernels) {
        if (!suits(*kernel)) continue;
        std::string reason = reason_of(*kernel);
        if (reason.empty()) return {package, kernel};
        refused.push_back({package, kernel, std::move(reason)});
      }
      if (refused.size() == num_before) refused.push_back({package, nullptr, "has no kernel for it"});
    }
    return {nullptr, nullptr};
  }

  static std::string sentence_of(const std::vector<Refusal>& refused) {
    std::string sentence;
    for (const Refusal& refusal : refused) {
      const std::string who = refusal.kernel == nullptr ? "" : text(refusal.kernel->name, " ");
      sentence += text("; ", refusal.package->name, ": ", who, refusal.reason);
    }
    return sentence;
  }

  // Why this kernel cannot have the ops from `first` on, or "".
  std::string decline_reason(const mk_kernel& kernel, int32_t first) const {
    if (const int32_t buffer = needed_intermediate(first, kernel.num_ops); buffer >= 0)
      return text("would not store \"", program_.buffers[buffer].name, "\", which a later op reads");
    std::string reason = device_reason(kernel, device_, &list_.instances[first], kernel.num_ops).text;
    if (!reason.empty()) return reason;
    for (int32_t i = first; i < first + kernel.num_ops; ++i)
      for (const MatrixUse& use : op_matrices(ops()[i]))
        if (reason = layout_reason(kernel, use); !reason.empty()) return reason;
    return reason;
  }

  // A buffer that the sequence writes on its way and a later op reads, or -1.
  int32_t needed_intermediate(int32_t first, int32_t num_ops) const {
    const int32_t last = first + num_ops - 1;
    const std::vector<int32_t> written_last = op_access(program_, ops()[last]).writes;
    for (int32_t i = first; i < last; ++i)
      for (const int32_t buffer : op_access(program_, ops()[i]).writes)
        if (!contains(written_last, buffer) && is_read_from(last + 1, buffer)) return buffer;
    return -1;
  }

  bool is_read_from(int32_t first, int32_t buffer) const {
    for (size_t i = first; i < ops().size(); ++i) {
      const OpAccess access = op_access(program_, ops()[i]);
      if (contains(access.reads, buffer)) return true;
      if (contains(access.replaces, buffer)) return false;
    }
    return false;
  }

  std::string layout_reason(const mk_kernel& kernel, const MatrixUse& use) const {
    const std::string& name = program_.weights[use.weight].name;
    if (kernel.packing == nullptr) return "has no packing for its weights";
    const BoundWeight& bound = bound_.weights[use.weight];
    if (bound.packing != nullptr &&
        (std::strcmp(bound.packing->layout_id, kernel.packing->layout_id) != 0 || bound.desc.slot != use.slot))
      return text("wants \"", name, "\" in layout ", kernel.packing->layout_id, ", but an op before it has it in layout ",
                  bound.packing->layout_id);
    const mk_weight_desc desc = describe_weight(use.weight, use.slot);
    const int64_t bytes = kernel.packing->packed_bytes(&desc);
    if (bytes < 0) return text("cannot pack \"", name, "\"");
    if (bytes % 64 != 0) return text("packs \"", name, "\" into ", bytes, " bytes, not a multiple of 64");
    return "";
  }

  mk_weight_desc describe_weight(int32_t index, mk_weight_slot slot) const {
    const WeightTensor& weight = program_.weights[index];
    return {sizeof(mk_weight_desc), slot,        weight.source_dtype, weight.stored_dtype,
            weight.num_experts,     weight.rows, weight.cols};
  }

  Status accept(const KernelPackage& package, const mk_kernel& kernel, int32_t first, std::vector<Refusal> refused) {
    for (int32_t i = first; i < first + kernel.num_ops; ++i)
      for (const MatrixUse& use : op_matrices(ops()[i])) {
        BoundWeight& weight = bound_.weights[use.weight];
        if (weight.packing == nullptr) weight.packing = kernel.packing;
        weight.desc = describe_weight(use.weight, use.slot);
      }
    kernels().push_back({&package, &kernel, first, kernel.num_ops, bound_.kernel_memory.scratch_bytes.size(),
                         writes_logits_only(first, kernel.num_ops), std::move(refused)});
    return take_memory(package, kernel, &list_.instances[first], kernel.num_ops);
  }

  bool writes_logits_only(int32_t first, int32_t num_ops) const {
    for (int32_t i = first; i < first + num_ops; ++i) {
      if (std::holds_alternative<RopeKvWriteOp>(ops()[i])) return false;
      for (const int32_t buffer : op_access(program_, ops()[i]).writes)
        if (program_.buffers[buffer].rows != RowsKind::kLogits) return false;
    }
    return true;
  }

  Status take_memory(const KernelPackage& package, const mk_kernel& kernel, const mk_op_instance* parts, int32_t num_parts) {
    const auto bytes = [&](auto* count) { return count == nullptr ? 0 : count(&device_, parts, num_parts); };
    const int64_t workspace_bytes = bytes(kernel.workspace_bytes);
    const int64_t scratch_bytes = bytes(kernel.scratch_bytes);
    if (workspace_bytes < 0 || scratch_bytes < 0)
      return Status(Code::kInternal, text("kernel ", kernel.name, " of package ", package.name, " asks for negative memory"));
    bound_.kernel_memory.workspace_bytes = std::max(bound_.kernel_memory.workspace_bytes, workspace_bytes);
    bound_.kernel_memory.scratch_bytes.push_back(scratch_bytes);
    return {};
  }

  Status place_weights() {
    for (size_t i = 0; i < program_.weights.size(); ++i) {
      const WeightTensor& tensor = program_.weights[i];
      BoundWeight& weight = bound_.weights[i];
      if (tensor.is_matrix && weight.packing == nullptr)
        return Status(Code::kInvalidArgument,
                      text("program.weights[", i, "] (", tensor.name, "): no op uses it, so it has no layout"));
      if (!tensor.is_matrix) weight.desc = describe_weight(static_cast<int32_t>(i), MK_SLOT_WEIGHT);
      weight.bytes = tensor.is_matrix ? weight.packing->packed_bytes(&weight.desc)
                                      : (int64_t{tensor.num_experts} * tensor.rows * 4 + 63) / 64 * 64;
      weight.offset = bound_.weights_bytes;
      bound_.weights_bytes += weight.bytes;
      if (weight.bytes > kMaxArenaBytes || bound_.weights_bytes > kMaxArenaBytes) return too_large();
    }
    return {};
  }

  Status size_arenas() {
    bound_.kv_block_bytes = kv_block_bytes(program_);
    if (bound_.kv_block_bytes < 0 ||
        __builtin_mul_overflow(bound_.kv_block_bytes, int64_t{program_.limits.num_blocks}, &bound_.kv_bytes))
      return too_large();
    Storage sizes_only;
    bound_.workspace_bytes = lay_out_workspace(program_, bound_.kernel_memory, nullptr, sizes_only);
    bound_.exchange_bytes = staging_bytes(program_);
    if (bound_.workspace_bytes < 0 || bound_.workspace_bytes > kMaxArenaBytes || bound_.kv_bytes > kMaxArenaBytes)
      return too_large();
    return {};
  }

  static Status too_large() {
    return Status(Code::kInvalidArgument, "program.limits: the arenas would be larger than any machine's memory");
  }

  const RankProgram& program_;
  const mk_device& device_;
  const std::vector<const KernelPackage*> packages_;
  Storage shapes_;  // no memory behind it
  Placement placement_ = Placement::kReplicated;  // of the list that is being bound
  OpInstances list_;
  BoundProgram bound_;
};

}  // namespace

StatusOr<BoundProgram> bind_program(const RankProgram& program, const EngineOptions& options, const mk_device& device) {
  if (Status status = check_program(program); !status.ok()) return status;
  if (program.precision == Precision::kFast && device.kind == MK_DEVICE_CPU)
    return Status(Code::kUnimplemented, "program.precision: \"fast\" has no kernels for the CPU; use \"exact\"");
  StatusOr<std::vector<const KernelPackage*>> packages = open_packages(options.packages);
  if (!packages.ok()) return packages.status();
  return Binder(program, device, std::move(packages.value())).bind();
}

}  // namespace moesaic
