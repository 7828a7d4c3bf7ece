// RankProgram: what one rank runs each step, as plans/rank-program.ts declares it. Names are resolved to indices when it is
// read from JavaScript (convert.h); check_program then proves the shapes, so that binding and running need not look again.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "moesaic/kernel.h"
#include "status.h"

namespace moesaic {

// In place of a weight's index: there is no bias, there are no sinks.
constexpr int32_t kNone = -1;

enum class Precision { kExact, kFast };
enum class RowsKind { kTokens, kLogits };

struct ProgramDims {
  int32_t hidden_size = 0;
  int32_t vocab_size = 0;
  int32_t head_dim = 0;
  int32_t num_heads = 0;
  int32_t num_kv_heads = 0;
  int32_t num_experts = 0;
  int32_t experts_per_token = 0;
  int32_t intermediate_size = 0;
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

// The experts of a checkpoint tensor that a weight takes: [begin, end) of `total`. Rows and columns are the load plan's affair.
struct WeightSource {
  int32_t expert_begin = 0;
  int32_t expert_end = 1;
  int32_t total_experts = 1;
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

// In the order of mk_op, so that index() is the op's number in the ABI.
using Op = std::variant<RopeTableOp, EmbedOp, RmsNormOp, LinearOp, RopeKvWriteOp, AttentionOp, RouterOp, ExpertsOp, CombineOp,
                        GatherRowsOp, SampleOp, Mxfp4DecodeOp, Mxfp4EncodeOp>;
static_assert(std::variant_size_v<Op> == MK_OP_COUNT);

// Their names in a RankProgram.
constexpr const char* kOpNames[MK_OP_COUNT] = {"rope_table", "embed",        "rms_norm",    "linear",  "rope_kv_write",
                                               "attention",  "router",       "experts",     "combine", "gather_rows",
                                               "sample",     "mxfp4_decode", "mxfp4_encode"};

inline mk_op op_kind(const Op& op) { return static_cast<mk_op>(op.index()); }
inline const char* op_name(mk_op kind) { return kOpNames[kind]; }

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
};

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
int32_t max_rows(const ProgramLimits& limits, RowsKind kind);
int32_t max_blocks_per_row(const ProgramLimits& limits);
// The sample op's logits buffer, or kNone.
int32_t find_logits(const RankProgram& program);

// Global id of the local expert 0 of an experts op.
int32_t first_expert(const RankProgram& program, const ExpertsOp& op);

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
