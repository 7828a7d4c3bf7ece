// Kernel arguments of an op: the args struct of kernel.h, filled from the program and from where its data lie.
#pragma once

#include <variant>
#include <vector>

#include "moesaic/kernel.h"
#include "program.h"
#include "storage.h"

namespace moesaic {

// In the order of mk_op, as Op is.
using OpArgs = std::variant<mk_rope_table_args, mk_embed_args, mk_rms_norm_args, mk_linear_args, mk_rope_kv_write_args,
                            mk_attention_args, mk_router_args, mk_experts_args, mk_combine_args, mk_gather_rows_args,
                            mk_sample_args, mk_mxfp4_decode_args, mk_mxfp4_encode_args, mk_add_args, mk_sample_shard_args,
                            mk_begin_step_args>;
static_assert(std::variant_size_v<OpArgs> == MK_OP_COUNT);

// Points into `storage`, which must outlive the args. Not for collectives.
OpArgs make_args(const RankProgram& program, const Op& op, const Storage& storage);

mk_begin_step_args make_begin_step_args(const RankProgram& program, const Storage& storage);

// Of a program that holds a part of the vocabulary: the sample op over one row of all of it, storage.full_logits.
mk_sample_args make_full_sample_args(const RankProgram& program, const Storage& storage);

// The struct as kernels get it.
inline const void* args_pointer(const OpArgs& args) {
  return std::visit([](const auto& held) -> const void* { return &held; }, args);
}

// One op list as kernels are asked about it. A collective's instance is of no op: no kernel computes it.
struct OpInstances {
  std::vector<OpArgs> args;
  std::vector<mk_op_instance> instances;  // point into args
};
// `shapes` may have no memory behind it, and must outlive the instances.
OpInstances make_instances(const RankProgram& program, const std::vector<Op>& ops, const Storage& shapes);

// Whether the kernel's ops are those from `first` on.
bool computes(const mk_kernel& kernel, const std::vector<mk_op_instance>& instances, size_t first);

}  // namespace moesaic
