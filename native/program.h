// RankProgram: what one rank runs each step, as plans/rank-program.ts declares it. Names are resolved to indices when it is
// read from JavaScript (convert.h); check_program then proves the shapes, so that binding and running need not look again.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "moesaic/kernel.h"
#include "status.h"

namespace moesaic {

// In place of a weight's index: there is no bias, there are no sinks.
constexpr int32_t kNone = -1;

enum class Precision { kExact, kFast };
// In the order of BufferSpec.rows of rank-program.ts.
enum class RowsKind { kTokens, kOwn, kReceived, kLogits };
// Who holds the hidden states: every rank all tokens', or each token owner its own tokens'.
enum class Placement : int32_t { kReplicated, kSharded };
inline constexpr int kNumPlacements = 2;

struct ProgramDims {
  int32_t hidden_size = 0;
  int32_t vocab_size = 0;
  int32_t head_dim = 0;
  int32_t num_heads = 0;
  int32_t num_kv_heads = 0;
  int32_t num_experts = 0;
  int32_t experts_per_token = 0;
  int32_t intermediate_size = 0;
  int32_t num_global_experts = 0;
  std::vector<int32_t> local_experts;              // global ids, ascending
  std::vector<std::vector<int32_t>> expert_ranks;  // by global id: the ranks that hold it
  int32_t global_vocab_size = 0;
  int32_t vocab_begin = 0;
};

struct ProgramLimits {
  int32_t max_batched_tokens = 0;
  int32_t max_sequences = 0;
  int32_t max_seq_len = 0;
  int32_t block_size = 0;
  int32_t num_blocks = 0;
};

struct KvGroup {
  bool sliding = false;
  int32_t window = 0;  // 0: all
  std::vector<int32_t> layers;
};

// The slice of a checkpoint tensor that a weight takes. Which bytes these are is the load plan's affair.
struct WeightSource {
  std::string tensor;
  std::vector<int64_t> shape;
  std::vector<int32_t> experts;  // global ids; {0} without experts
  int32_t row_begin = 0;
  int32_t row_end = 0;
  int32_t col_begin = 0;
  int32_t col_end = 0;
  int32_t dst_row = 0;
};

struct WeightTensor {
  std::string name;
  bool is_matrix = false;
  mk_dtype source_dtype = MK_BF16;
  mk_dtype stored_dtype = MK_BF16;
  int32_t num_experts = 1;
  int32_t rows = 0;
  int32_t cols = 0;
  std::vector<WeightSource> sources;
};

struct BufferSpec {
  std::string name;
  RowsKind rows = RowsKind::kTokens;
  int32_t cols = 0;
  mk_dtype dtype = MK_F32;
};

// Fields are indices into buffers, weights and KV groups; group_layer is the layer's index within its group.
struct RopeTableOp {
  int32_t out;
};
struct EmbedOp {
  int32_t weight, out;
};
struct RmsNormOp {
  int32_t x, weight, out;
  float eps;
};
struct LinearOp {
  int32_t x, weight, bias, out;
  bool accumulate;
};
struct RopeKvWriteOp {
  int32_t qkv, rope, group, group_layer;
};
struct AttentionOp {
  int32_t qkv, sinks, out, group, group_layer, window;
  float scale;
};
struct RouterOp {
  int32_t x, weight, bias, expert_ids, expert_weights;
};
struct ExpertsOp {
  int32_t x, expert_ids, gate_up, gate_up_bias, down, down_bias, out;
  float alpha, limit;
};
struct CombineOp {
  int32_t y, expert_weights, out;
};
struct GatherRowsOp {
  int32_t x, out;
};
struct SampleOp {
  int32_t logits;
};
struct Mxfp4DecodeOp {
  int32_t blocks, scales, out;
};
struct Mxfp4EncodeOp {
  int32_t x, blocks, scales;
};
struct AddOp {
  int32_t x, out;
};
// What a program's sample op is on a rank that holds a part of the vocabulary.
struct SampleShardOp {
  int32_t logits;
};
// What the engine begins every step with.
struct BeginStepOp {};

// Collectives: `group` is an index into the program's groups.
struct AllReduceOp {
  int32_t x, group;
};
struct ReduceScatterOp {
  int32_t x, out, group;
};
struct AllGatherOp {
  int32_t x, out, group;
};
struct OwnRowsOp {
  int32_t x, out;
};
struct ExchangeSlotsOp {
  int32_t y, expert_ids, group;
};
struct DispatchOp {
  int32_t x, expert_ids, out, out_ids, group;
};
struct CollectOp {
  int32_t x, expert_ids, out, group;
};
struct GatherLogitsRowsOp {
  int32_t x, out, group;
};

// Kernel ops in the order of mk_op, so that index() is the op's number in the ABI; then the collectives.
using Op = std::variant<RopeTableOp, EmbedOp, RmsNormOp, LinearOp, RopeKvWriteOp, AttentionOp, RouterOp, ExpertsOp, CombineOp,
                        GatherRowsOp, SampleOp, Mxfp4DecodeOp, Mxfp4EncodeOp, AddOp, SampleShardOp, BeginStepOp, AllReduceOp,
                        ReduceScatterOp, AllGatherOp, OwnRowsOp, ExchangeSlotsOp, DispatchOp, CollectOp, GatherLogitsRowsOp>;
constexpr size_t kNumOps = std::variant_size_v<Op>;
static_assert(std::is_same_v<std::variant_alternative_t<MK_OP_COUNT, Op>, AllReduceOp>);

// Their names in a RankProgram; no program says sample_shard or begin_step.
constexpr const char* kOpNames[kNumOps] = {
    "rope_table", "embed",        "rms_norm",     "linear",       "rope_kv_write",  "attention",  "router",   "experts",
    "combine",    "gather_rows",  "sample",       "mxfp4_decode", "mxfp4_encode",   "add",        "sample_shard", "begin_step",
    "all_reduce", "reduce_scatter", "all_gather", "own_rows",     "exchange_slots", "dispatch",   "collect",
    "gather_logits_rows"};

inline bool is_collective(const Op& op) { return op.index() >= MK_OP_COUNT; }
// Only of an op that is no collective.
inline mk_op op_kind(const Op& op) { return static_cast<mk_op>(op.index()); }
inline const char* op_name(mk_op kind) { return kOpNames[kind]; }
inline const char* op_name(const Op& op) { return kOpNames[op.index()]; }

struct RankProgram {
  int32_t rank = 0;
  int32_t world_size = 1;
  Precision precision = Precision::kExact;
  ProgramDims dims;
  ProgramLimits limits;
  std::vector<float> inv_freq;
  float attention_scaling = 1;
  std::vector<KvGroup> kv_groups;
  std::vector<WeightTensor> weights;
  std::vector<BufferSpec> buffers;
  std::vector<Op> ops;
  bool has_sharded_ops = false;
  std::vector<Op> sharded_ops;
  std::vector<std::vector<int32_t>> groups;
  std::vector<int32_t> token_owners;

  const std::vector<Op>& ops_of(Placement placement) const { return placement == Placement::kSharded ? sharded_ops : ops; }
  bool is_vocab_sharded() const { return dims.vocab_size != dims.global_vocab_size; }
};

// "program.ops[3]", "program.shardedOps[3]".
std::string op_place(Placement placement, size_t index);

// Lets one lambda or functor per op stand where std::visit wants one visitor.
template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

// Rows of state and tables, derived from the limits.
int32_t max_step_seqs(const ProgramLimits& limits);
int32_t max_logits_rows(const ProgramLimits& limits);
int32_t max_rows(const RankProgram& program, RowsKind kind);
int32_t max_blocks_per_row(const ProgramLimits& limits);
// The logits buffer of the placement's sample op, or kNone.
int32_t find_logits(const RankProgram& program, Placement placement);

// First token of owner `index` of `count` in a step of `num_tokens`; the end of the last one's at index = count.
inline int32_t owner_begin(int32_t num_tokens, size_t index, size_t count) {
  return static_cast<int32_t>(int64_t{num_tokens} * static_cast<int64_t>(index) / static_cast<int64_t>(count));
}
// Index of a rank among `ranks`, or -1.
int32_t index_of(const std::vector<int32_t>& ranks, int32_t rank);

// Buffers an op reads; those it writes; and of these the ones of which nothing older is left afterwards.
struct OpAccess {
  std::vector<int32_t> reads;
  std::vector<int32_t> writes;
  std::vector<int32_t> replaces;
};
OpAccess op_access(const RankProgram& program, const Op& op);

// The matrices of an op and the part each plays in it.
struct MatrixUse {
  int32_t weight;
  mk_weight_slot slot;
};
std::vector<MatrixUse> op_matrices(const Op& op);

// Every shape, dtype and row kind that the ops of kernel.h ask for. The message names the op and its field.
Status check_program(const RankProgram& program);

}  // namespace moesaic
