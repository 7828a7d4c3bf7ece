#include "op_args.h"

#include "step.h"

namespace moesaic {
namespace {

// One function per op: fields in the order of its args struct.
struct ArgsMaker {
  const RankProgram& program;
  const Storage& storage;

  const mk_buffer& buffer(int32_t index) const { return storage.buffers[index]; }
  mk_weight weight(int32_t index) const {
    if (index == kNone) return {nullptr, MK_F32, 0, 0, 0};
    return storage.weights[index];
  }
  mk_kv kv(int32_t group, int32_t group_layer) const { return kv_of_layer(program, storage, group, group_layer); }

  OpArgs operator()(const RopeTableOp& op) const {
    return mk_rope_table_args{sizeof(mk_rope_table_args), &storage.step, storage.inv_freq, program.attention_scaling,
                              buffer(op.out)};
  }
  OpArgs operator()(const EmbedOp& op) const {
    return mk_embed_args{sizeof(mk_embed_args), &storage.step, weight(op.weight), buffer(op.out)};
  }
  OpArgs operator()(const RmsNormOp& op) const {
    return mk_rms_norm_args{sizeof(mk_rms_norm_args), buffer(op.x), weight(op.weight), buffer(op.out), op.eps};
  }
  OpArgs operator()(const LinearOp& op) const {
    return mk_linear_args{sizeof(mk_linear_args), buffer(op.x),   weight(op.weight), weight(op.bias),
                          buffer(op.out),         op.accumulate ? 1 : 0};
  }
  OpArgs operator()(const RopeKvWriteOp& op) const {
    return mk_rope_kv_write_args{sizeof(mk_rope_kv_write_args), &storage.step,   buffer(op.qkv), buffer(op.rope),
                                 kv(op.group, op.group_layer),  program.dims.num_heads};
  }
  OpArgs operator()(const AttentionOp& op) const {
    return mk_attention_args{sizeof(mk_attention_args), &storage.step,  buffer(op.qkv),
                             weight(op.sinks),          kv(op.group, op.group_layer), buffer(op.out),
                             program.dims.num_heads,    op.window,      op.scale};
  }
  OpArgs operator()(const RouterOp& op) const {
    return mk_router_args{sizeof(mk_router_args), buffer(op.x),          weight(op.weight),
                          weight(op.bias),        buffer(op.expert_ids), buffer(op.expert_weights)};
  }
  OpArgs operator()(const ExpertsOp& op) const {
    return mk_experts_args{sizeof(mk_experts_args), buffer(op.x),         buffer(op.expert_ids),
                           weight(op.gate_up),      weight(op.gate_up_bias), weight(op.down),
                           weight(op.down_bias),    buffer(op.out),       storage.local_experts,
                           program.dims.num_global_experts, op.alpha, op.limit};
  }
  OpArgs operator()(const CombineOp& op) const {
    return mk_combine_args{sizeof(mk_combine_args), buffer(op.y), buffer(op.expert_weights), buffer(op.out)};
  }
  OpArgs operator()(const GatherRowsOp& op) const {
    return mk_gather_rows_args{sizeof(mk_gather_rows_args), buffer(op.x), storage.step_arrays.logits_tokens, buffer(op.out)};
  }
  OpArgs operator()(const SampleOp& op) const { return sample_args(buffer(op.logits)); }
  OpArgs operator()(const SampleShardOp& op) const {
    const ShardSampling& shard = storage.shard_sampling;
    mk_sample_shard_args args{};
    args.struct_size = sizeof(mk_sample_shard_args);
    args.sample = sample_args(buffer(op.logits));
    args.vocab_begin = program.dims.vocab_begin;
    args.global_vocab = program.dims.global_vocab_size;
    args.max_candidates = kMaxCandidates;
    args.candidate_ids = shard.candidate_ids;
    args.candidate_logits = shard.candidate_logits;
    args.candidate_raw = shard.candidate_raw;
    args.raw_max = shard.raw_max;
    args.raw_sum = shard.raw_sum;
    args.processed_max = shard.processed_max;
    args.processed_sum = shard.processed_sum;
    args.best_id = shard.best_id;
    args.best_score = shard.best_score;
    return args;
  }
  OpArgs operator()(const Mxfp4DecodeOp& op) const {
    return mk_mxfp4_decode_args{sizeof(mk_mxfp4_decode_args), buffer(op.blocks), buffer(op.scales), buffer(op.out)};
  }
  OpArgs operator()(const Mxfp4EncodeOp& op) const {
    return mk_mxfp4_encode_args{sizeof(mk_mxfp4_encode_args), buffer(op.x), buffer(op.blocks), buffer(op.scales)};
  }
  OpArgs operator()(const AddOp& op) const { return mk_add_args{sizeof(mk_add_args), buffer(op.x), buffer(op.out)}; }
  OpArgs operator()(const BeginStepOp&) const { return make_begin_step_args(program, storage); }
  // No kernel computes these.
  template <typename Collective>
  OpArgs operator()(const Collective&) const {
    return {};
  }

  mk_sample_args sample_args(const mk_buffer& logits) const {
    const StepArrays& step = storage.step_arrays;
    mk_sample_args args{};
    args.struct_size = sizeof(mk_sample_args);
    args.logits = logits;
    args.num_sampled = step.num_sampled;
    args.rows = step.sample_rows;
    args.seq_lens = step.sample_seq_lens;
    args.sampling = &storage.sampling;
    args.history_tokens = storage.history;
    args.history_table = storage.rows.tables[0];
    args.max_blocks = max_blocks_per_row(program.limits);
    args.block_size = program.limits.block_size;
    args.token_ids = step.sampled_ids;
    args.last_sampled = storage.rows.last_sampled;
    args.logprobs = step.logprobs;
    args.max_top_logprobs = kMaxTopLogprobs;
    args.top_ids = step.top_ids;
    args.top_logprobs = step.top_logprobs;
    return args;
  }
};

}  // namespace

OpArgs make_args(const RankProgram& program, const Op& op, const Storage& storage) {
  return std::visit(ArgsMaker{program, storage}, op);
}

mk_begin_step_args make_begin_step_args(const RankProgram& program, const Storage& storage) {
  const StepArrays& step = storage.step_arrays;
  return {sizeof(mk_begin_step_args),
          &storage.step,
          step.planned_ids,
          storage.rows.last_sampled,
          step.token_ids,
          storage.history,
          storage.rows.tables[0],
          max_blocks_per_row(program.limits),
          program.limits.block_size};
}

mk_sample_args make_full_sample_args(const RankProgram& program, const Storage& storage) {
  mk_sample_args args = ArgsMaker{program, storage}.sample_args(storage.full_logits);
  args.num_sampled = storage.full_logits.num_rows;
  return args;
}

OpInstances make_instances(const RankProgram& program, const std::vector<Op>& ops, const Storage& shapes) {
  OpInstances made;
  for (const Op& op : ops) made.args.push_back(make_args(program, op, shapes));
  for (size_t i = 0; i < ops.size(); ++i)
    made.instances.push_back({is_collective(ops[i]) ? MK_OP_COUNT : op_kind(ops[i]), args_pointer(made.args[i])});
  return made;
}

bool computes(const mk_kernel& kernel, const std::vector<mk_op_instance>& instances, size_t first) {
  const auto num_ops = static_cast<size_t>(kernel.num_ops);
  if (first + num_ops > instances.size()) return false;
  for (size_t i = 0; i < num_ops; ++i)
    if (kernel.ops[i] != instances[first + i].op) return false;
  return true;
}

}  // namespace moesaic
