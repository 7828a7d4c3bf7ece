#include "program.h"

#include <algorithm>
#include <initializer_list>
#include <set>

#include "text.h"

namespace moesaic {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 44;

const char* dtype_name(mk_dtype dtype) {
  switch (dtype) {
    case MK_F32:
      return "f32";
    case MK_BF16:
      return "bf16";
    case MK_MXFP4:
      return "mxfp4";
    case MK_I32:
      return "i32";
    case MK_U8:
      return "u8";
  }
  return "unknown";
}

// Checks one op against the program. Keeps the first problem; later ones often follow from it.
class OpCheck {
 public:
  OpCheck(const RankProgram& program, Placement placement, size_t op_index)
      : program_(program), placement_(placement), op_index_(op_index) {}
  Status take_status() { return std::move(status_); }

  void operator()(const RopeTableOp& op) {
    const int32_t head_dim = program_.dims.head_dim;
    if (head_dim < 2 || head_dim % 2 != 0) fail("out", text("head dim ", head_dim, " is not an even number"));
    if (program_.inv_freq.size() != static_cast<size_t>(head_dim / 2))
      fail("out", text("expected ", head_dim / 2, " frequencies in program.rope.invFreq, got ", program_.inv_freq.size()));
    buffer("out", op.out, MK_F32, head_dim);
    tokens("out", op.out);
  }

  void operator()(const EmbedOp& op) {
    buffer("out", op.out, MK_F32, cols(op.out));
    matrix("weight", op.weight, program_.dims.global_vocab_size, cols(op.out));
    tokens("out", op.out);
  }

  void operator()(const RmsNormOp& op) {
    buffer("x", op.x, MK_F32, cols(op.x));
    buffer("out", op.out, MK_F32, cols(op.x));
    vector("weight", op.weight, 1, cols(op.x));
    same_rows({op.x, op.out});
  }

  void operator()(const LinearOp& op) {
    buffer("x", op.x, MK_F32, weight(op.weight).cols);
    buffer("out", op.out, MK_F32, weight(op.weight).rows);
    matrix("weight", op.weight, cols(op.out), cols(op.x));
    vector("bias", op.bias, 1, cols(op.out));
    same_rows({op.x, op.out});
    distinct({op.x, op.out});
  }

  void operator()(const RopeKvWriteOp& op) {
    buffer("qkv", op.qkv, MK_F32, qkv_cols());
    buffer("rope", op.rope, MK_F32, program_.dims.head_dim);
    heads("qkv");
    tokens("qkv", op.qkv);
    same_rows({op.qkv, op.rope});
    distinct({op.qkv, op.rope});
  }

  void operator()(const AttentionOp& op) {
    const ProgramDims& dims = program_.dims;
    buffer("qkv", op.qkv, MK_F32, qkv_cols());
    buffer("out", op.out, MK_F32, int64_t{dims.num_heads} * dims.head_dim);
    vector("sinks", op.sinks, 1, dims.num_heads);
    heads("qkv");
    window(op);
    tokens("qkv", op.qkv);
    same_rows({op.qkv, op.out});
    distinct({op.qkv, op.out});
  }

  void operator()(const RouterOp& op) {
    const int32_t num_experts = weight(op.weight).rows;
    global_experts("weight", num_experts);
    buffer("x", op.x, MK_F32, weight(op.weight).cols);
    matrix("weight", op.weight, num_experts, cols(op.x));
    vector("bias", op.bias, 1, num_experts);
    buffer("expertIds", op.expert_ids, MK_I32, cols(op.expert_ids));
    buffer("expertWeights", op.expert_weights, MK_F32, cols(op.expert_ids));
    if (cols(op.expert_ids) > num_experts)
      fail("expertIds", text("wants ", cols(op.expert_ids), " of ", num_experts, " experts"));
    same_rows({op.x, op.expert_ids, op.expert_weights});
    distinct({op.x, op.expert_ids, op.expert_weights});
  }

  void operator()(const ExpertsOp& op) {
    const int32_t num_experts = weight(op.gate_up).num_experts;
    const int32_t hidden = cols(op.x);
    const int32_t intermediate = weight(op.down).cols;
    buffer("x", op.x, MK_F32, weight(op.gate_up).cols);
    buffer("expertIds", op.expert_ids, MK_I32, cols(op.expert_ids));
    buffer("out", op.out, MK_F32, int64_t{cols(op.expert_ids)} * hidden);
    matrix("gateUp", op.gate_up, 2 * int64_t{intermediate}, hidden, num_experts);
    vector("gateUpBias", op.gate_up_bias, num_experts, 2 * int64_t{intermediate});
    matrix("down", op.down, hidden, intermediate, num_experts);
    vector("downBias", op.down_bias, num_experts, hidden);
    same_experts(op);
    same_rows({op.x, op.expert_ids, op.out});
    distinct({op.x, op.expert_ids, op.out});
  }

  void operator()(const CombineOp& op) {
    const int64_t slots = cols(op.expert_weights);
    buffer("expertWeights", op.expert_weights, MK_F32, slots);
    buffer("out", op.out, MK_F32, cols(op.out));
    buffer("x", op.y, MK_F32, slots * cols(op.out));
    same_rows({op.y, op.expert_weights, op.out});
    distinct({op.y, op.expert_weights, op.out});
  }

  void operator()(const GatherRowsOp& op) {
    buffer("x", op.x, MK_F32, cols(op.x));
    buffer("out", op.out, MK_F32, cols(op.x));
    tokens("x", op.x);
    rows("out", op.out, RowsKind::kLogits);
  }

  void operator()(const SampleOp& op) {
    buffer("logits", op.logits, MK_F32, program_.dims.vocab_size);
    rows("logits", op.logits, RowsKind::kLogits);
  }

  void operator()(const Mxfp4DecodeOp& op) { mxfp4("out", op.out, op.blocks, op.scales); }
  void operator()(const Mxfp4EncodeOp& op) { mxfp4("x", op.x, op.blocks, op.scales); }

  void operator()(const AddOp& op) {
    buffer("x", op.x, MK_F32, cols(op.x));
    buffer("out", op.out, MK_F32, cols(op.x));
    same_rows({op.x, op.out});
    distinct({op.x, op.out});
  }

  void operator()(const SampleShardOp& op) { (*this)(SampleOp{op.logits}); }
  void operator()(const BeginStepOp&) {}

  // Rows that ranks hold different ones of have no sum.
  void operator()(const AllReduceOp& op) {
    group("group", op.group);
    buffer("x", op.x, MK_F32, cols(op.x));
    if (const RowsKind kind = program_.buffers[op.x].rows; kind == RowsKind::kOwn || kind == RowsKind::kReceived)
      fail("x", "expected a buffer whose rows are the same on every rank (tokens or logits)");
  }

  void operator()(const ReduceScatterOp& op) {
    group("group", op.group);
    moved(op.x, RowsKind::kTokens, op.out, RowsKind::kOwn);
    neighbours(op.group);
  }

  void operator()(const AllGatherOp& op) {
    group("group", op.group);
    moved(op.x, RowsKind::kOwn, op.out, RowsKind::kTokens);
    has_owners(op.group);
  }

  void operator()(const OwnRowsOp& op) { moved(op.x, RowsKind::kTokens, op.out, RowsKind::kOwn); }

  void operator()(const ExchangeSlotsOp& op) {
    group("group", op.group);
    slots("y", op.y, op.expert_ids, RowsKind::kTokens);
    has_experts(op.group);
  }

  void operator()(const DispatchOp& op) {
    group("group", op.group);
    moved(op.x, RowsKind::kOwn, op.out, RowsKind::kReceived);
    moved_ids(op.expert_ids, op.out_ids);
    same_rows({op.x, op.expert_ids});
    has_experts(op.group);
    has_owners(op.group);
  }

  void operator()(const CollectOp& op) {
    group("group", op.group);
    moved(op.x, RowsKind::kReceived, op.out, RowsKind::kOwn);
    slots("out", op.out, op.expert_ids, RowsKind::kOwn);
    has_experts(op.group);
    has_owners(op.group);
  }

  void operator()(const GatherLogitsRowsOp& op) {
    group("group", op.group);
    moved(op.x, RowsKind::kOwn, op.out, RowsKind::kLogits);
    has_owners(op.group);
  }

 private:
  void fail(const char* field, const std::string& message) {
    if (!status_.ok()) return;
    status_ = Status(Code::kInvalidArgument, text(op_place(placement_, op_index_), ".", field, ": ", message));
  }

  // The own rank takes part: a rank runs the collectives of its own groups only.
  void group(const char* field, int32_t index) {
    if (index_of(program_.groups[index], program_.rank) < 0)
      fail(field, text("rank ", program_.rank, " is not in program.groups[", index, "]"));
  }

  void moved(int32_t x, RowsKind from, int32_t out, RowsKind to) {
    buffer("x", x, MK_F32, cols(x));
    buffer("out", out, MK_F32, cols(x));
    rows("x", x, from);
    rows("out", out, to);
  }

  void moved_ids(int32_t expert_ids, int32_t out_ids) {
    buffer("expertIds", expert_ids, MK_I32, program_.dims.experts_per_token);
    buffer("outIds", out_ids, MK_I32, program_.dims.experts_per_token);
    rows("outIds", out_ids, RowsKind::kReceived);
  }

  // A row of `y` has one output of `hidden` per slot.
  void slots(const char* field, int32_t y, int32_t expert_ids, RowsKind kind) {
    buffer("expertIds", expert_ids, MK_I32, program_.dims.experts_per_token);
    buffer(field, y, MK_F32, int64_t{program_.dims.experts_per_token} * program_.dims.hidden_size);
    rows(field, y, kind);
    same_rows({y, expert_ids});
  }

  void has_owners(int32_t group) {
    for (const int32_t owner : program_.token_owners)
      if (index_of(program_.groups[group], owner) < 0)
        return fail("group", text("rank ", owner, " owns tokens, but is not in program.groups[", group, "]"));
  }

  void has_experts(int32_t group) {
    if (program_.dims.experts_per_token < 1) return fail("op", "program.dims.expertsPerToken is 0");
    for (const std::vector<int32_t>& ranks : program_.dims.expert_ranks)
      for (const int32_t rank : ranks)
        if (index_of(program_.groups[group], rank) < 0)
          return fail("group", text("rank ", rank, " has experts, but is not in program.groups[", group, "]"));
  }

  // Members' rows must lie one after the other.
  void neighbours(int32_t group) {
    const std::vector<int32_t>& ranks = program_.groups[group];
    const int32_t first = index_of(program_.token_owners, ranks.front());
    for (size_t i = 0; i < ranks.size(); ++i)
      if (first < 0 || index_of(program_.token_owners, ranks[i]) != first + static_cast<int32_t>(i))
        return fail("group", text("the ranks of program.groups[", group, "] are no neighbours in program.tokenOwners"));
  }

  void global_experts(const char* field, int32_t num_experts) {
    if (num_experts != program_.dims.num_global_experts)
      fail(field, text("routes to ", num_experts, " experts, program.dims.numGlobalExperts is ",
                       program_.dims.num_global_experts));
  }

  void rows(const char* field, int32_t index, RowsKind kind) {
    constexpr const char* kRows[] = {"token", "own token", "received token", "logits row"};
    if (program_.buffers[index].rows != kind)
      fail(field, text("expected a buffer with one row per ", kRows[static_cast<size_t>(kind)]));
  }

  int32_t cols(int32_t buffer) const { return program_.buffers[buffer].cols; }
  const WeightTensor& weight(int32_t weight) const { return program_.weights[weight]; }
  int64_t qkv_cols() const {
    const ProgramDims& dims = program_.dims;
    return (int64_t{dims.num_heads} + 2 * int64_t{dims.num_kv_heads}) * dims.head_dim;
  }

  void buffer(const char* field, int32_t index, mk_dtype dtype, int64_t expected_cols) {
    const BufferSpec& spec = program_.buffers[index];
    if (spec.dtype != dtype || spec.cols != expected_cols)
      fail(field, text("expected a buffer of ", expected_cols, " ", dtype_name(dtype), " columns, but \"", spec.name, "\" has ",
                       spec.cols, " of ", dtype_name(spec.dtype)));
  }

  void matrix(const char* field, int32_t index, int64_t rows, int64_t expected_cols, int32_t num_experts = 1) {
    const WeightTensor& tensor = weight(index);
    if (!tensor.is_matrix) return fail(field, text("expected a matrix, but \"", tensor.name, "\" is a vector"));
    shape(field, tensor, num_experts, rows, expected_cols);
  }

  void vector(const char* field, int32_t index, int32_t num_experts, int64_t rows) {
    if (index == kNone) return;
    const WeightTensor& tensor = weight(index);
    if (tensor.is_matrix) return fail(field, text("expected a vector, but \"", tensor.name, "\" is a matrix"));
    shape(field, tensor, num_experts, rows, 1);
  }

  void shape(const char* field, const WeightTensor& tensor, int32_t num_experts, int64_t rows, int64_t expected_cols) {
    if (tensor.num_experts == num_experts && tensor.rows == rows && tensor.cols == expected_cols) return;
    fail(field, text("expected (experts, rows, cols) = (", num_experts, ", ", rows, ", ", expected_cols, "), but \"",
                     tensor.name, "\" is (", tensor.num_experts, ", ", tensor.rows, ", ", tensor.cols, ")"));
  }

  void heads(const char* field) {
    const ProgramDims& dims = program_.dims;
    if (dims.num_kv_heads < 1 || dims.num_heads < 1 || dims.num_heads % dims.num_kv_heads != 0)
      fail(field, text(dims.num_heads, " heads cannot share ", dims.num_kv_heads, " KV heads evenly"));
    if (dims.head_dim < 2 || dims.head_dim % 2 != 0) fail(field, text("head dim ", dims.head_dim, " is not an even number"));
  }

  // Keys behind a group's window may be gone: an op must not look further back than its group does.
  void window(const AttentionOp& op) {
    const KvGroup& group = program_.kv_groups[op.group];
    if (group.sliding && (op.window == 0 || op.window > group.window))
      fail("window", text("sees ", op.window == 0 ? std::string("all") : text(op.window), " keys, but KV group ", op.group,
                          " keeps only ", group.window));
  }

  void tokens(const char* field, int32_t index) { rows(field, index, RowsKind::kTokens); }

  void same_rows(std::initializer_list<int32_t> buffers) {
    const BufferSpec& first = program_.buffers[*buffers.begin()];
    for (const int32_t index : buffers) {
      const BufferSpec& spec = program_.buffers[index];
      if (spec.rows != first.rows)
        fail("op", text("\"", first.name, "\" and \"", spec.name, "\" differ in what a row is"));
    }
  }

  void distinct(std::initializer_list<int32_t> buffers) {
    for (auto a = buffers.begin(); a != buffers.end(); ++a)
      for (auto b = a + 1; b != buffers.end(); ++b)
        if (*a == *b) fail("op", text("\"", program_.buffers[*a].name, "\" is used twice, but this op cannot work in place"));
  }

  void same_experts(const ExpertsOp& op) {
    const std::vector<int32_t>& local = program_.dims.local_experts;
    if (static_cast<size_t>(weight(op.gate_up).num_experts) != local.size())
      fail("gateUp", text("holds ", weight(op.gate_up).num_experts, " experts, program.dims.localExperts has ", local.size()));
    for (const int32_t index : {op.gate_up, op.gate_up_bias, op.down, op.down_bias}) {
      if (index == kNone) continue;
      for (const WeightSource& source : weight(index).sources)
        if (source.experts != local)
          fail("op", text("\"", weight(index).name, "\" takes other experts than program.dims.localExperts"));
    }
  }

  void mxfp4(const char* field, int32_t values, int32_t blocks, int32_t scales) {
    if (cols(values) % 32 != 0) fail(field, text("expected a multiple of 32 columns, got ", cols(values)));
    buffer(field, values, MK_F32, cols(values));
    buffer("blocks", blocks, MK_U8, cols(values) / 2);
    buffer("scales", scales, MK_U8, cols(values) / 32);
    same_rows({values, blocks, scales});
    distinct({values, blocks, scales});
  }

  const RankProgram& program_;
  const Placement placement_;
  const size_t op_index_;
  Status status_;
};

Status check_weight(const WeightTensor& weight, size_t index) {
  const auto fail = [&](const std::string& message) {
    return Status(Code::kInvalidArgument, text("program.weights[", index, "] (", weight.name, "): ", message));
  };
  // Kernels compute sizes from these numbers without looking for overflow.
  if (int64_t{weight.num_experts} * weight.rows > kMaxElements / weight.cols) return fail("no machine holds so many elements");
  if (!weight.is_matrix) {
    if (weight.cols != 1) return fail(text("a vector has 1 column, not ", weight.cols));
    if (weight.source_dtype != MK_BF16 || weight.stored_dtype != MK_F32) return fail("a vector is bf16 stored as f32");
    return {};
  }
  if (weight.stored_dtype == MK_F32) return fail("a matrix is stored as bf16 or mxfp4, not f32");
  if (weight.source_dtype == MK_BF16 && weight.stored_dtype != MK_BF16) return fail("a bf16 matrix is stored as bf16");
  if (weight.source_dtype == MK_MXFP4 && weight.cols % 32 != 0)
    return fail(text("mxfp4 wants a multiple of 32 columns, not ", weight.cols));
  return {};
}

Status check_kv_groups(const std::vector<KvGroup>& groups) {
  std::set<int32_t> seen;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].sliding != (groups[g].window > 0))
      return Status(Code::kInvalidArgument,
                    text("program.kvGroups[", g, "].window: a sliding group has a window, a full one 0"));
    for (const int32_t layer : groups[g].layers)
      if (!seen.insert(layer).second)
        return Status(Code::kInvalidArgument, text("program.kvGroups[", g, "].layers: layer ", layer, " is there twice"));
  }
  if (groups[0].sliding)
    return Status(Code::kInvalidArgument, "program.kvGroups[0]: expected the full-attention group");
  return {};
}

Status check_limits(const ProgramLimits& limits) {
  if ((limits.block_size & (limits.block_size - 1)) != 0)
    return Status(Code::kInvalidArgument,
                  text("program.limits.blockSize: expected a power of two, got ", limits.block_size));
  return {};
}

Status check_one_sample(const RankProgram& program, Placement placement) {
  const auto is_sample = [](const Op& op) {
    return std::holds_alternative<SampleOp>(op) || std::holds_alternative<SampleShardOp>(op);
  };
  const std::vector<Op>& ops = program.ops_of(placement);
  if (std::count_if(ops.begin(), ops.end(), is_sample) > 1)
    return Status(Code::kInvalidArgument,
                  text("program.", placement == Placement::kSharded ? "shardedOps" : "ops", ": more than one sample op"));
  return {};
}

// A set of ranks of the world, ascending.
Status check_ranks(const std::string& place, const std::vector<int32_t>& ranks, int32_t world_size) {
  if (ranks.empty()) return Status(Code::kInvalidArgument, place + ": expected at least one rank");
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i] >= world_size)
      return Status(Code::kInvalidArgument, text(place, "[", i, "]: rank ", ranks[i], " of a world of ", world_size));
    if (i > 0 && ranks[i] <= ranks[i - 1])
      return Status(Code::kInvalidArgument, text(place, "[", i, "]: expected more than ", ranks[i - 1], ", got ", ranks[i]));
  }
  return {};
}

Status check_groups(const RankProgram& program) {
  for (size_t g = 0; g < program.groups.size(); ++g)
    if (Status status = check_ranks(text("program.groups[", g, "]"), program.groups[g], program.world_size); !status.ok())
      return status;
  if (program.groups.empty() || program.groups.front().size() != static_cast<size_t>(program.world_size))
    return Status(Code::kInvalidArgument, text("program.groups[0]: expected all ", program.world_size, " ranks"));
  return check_ranks("program.tokenOwners", program.token_owners, program.world_size);
}

Status check_experts(const RankProgram& program) {
  const ProgramDims& dims = program.dims;
  const auto fail = [](const std::string& message) { return Status(Code::kInvalidArgument, "program.dims." + message); };
  if (dims.expert_ranks.size() != static_cast<size_t>(dims.num_global_experts))
    return fail(text("expertRanks: expected one list per expert (", dims.num_global_experts, "), got ",
                     dims.expert_ranks.size()));
  if (dims.local_experts.size() != static_cast<size_t>(dims.num_experts))
    return fail(text("localExperts: expected ", dims.num_experts, " ids, got ", dims.local_experts.size()));
  std::vector<int32_t> local;
  for (size_t e = 0; e < dims.expert_ranks.size(); ++e) {
    if (Status status = check_ranks(text("program.dims.expertRanks[", e, "]"), dims.expert_ranks[e], program.world_size);
        !status.ok())
      return status;
    if (index_of(dims.expert_ranks[e], program.rank) >= 0) local.push_back(static_cast<int32_t>(e));
  }
  if (local != dims.local_experts)
    return fail(text("localExperts: expected the experts that expertRanks gives rank ", program.rank, ", ascending"));
  return {};
}

Status check_vocab(const ProgramDims& dims) {
  if (dims.vocab_begin <= dims.global_vocab_size - dims.vocab_size) return {};
  return Status(Code::kInvalidArgument, text("program.dims.vocabBegin: rows [", dims.vocab_begin, ", +", dims.vocab_size,
                                             ") of a vocabulary of ", dims.global_vocab_size));
}

Status check_ops(const RankProgram& program, Placement placement) {
  const std::vector<Op>& ops = program.ops_of(placement);
  for (size_t i = 0; i < ops.size(); ++i) {
    OpCheck check(program, placement, i);
    std::visit(check, ops[i]);
    if (Status status = check.take_status(); !status.ok()) return status;
  }
  return check_one_sample(program, placement);
}

bool covers_all_experts(const RankProgram& program) {
  return program.dims.local_experts.size() == static_cast<size_t>(program.dims.num_global_experts);
}

}  // namespace

Status check_program(const RankProgram& program) {
  if (program.rank >= program.world_size)
    return Status(Code::kInvalidArgument, text("program.rank: ", program.rank, " of a world of ", program.world_size));
  if (Status status = check_limits(program.limits); !status.ok()) return status;
  if (Status status = check_kv_groups(program.kv_groups); !status.ok()) return status;
  for (size_t i = 0; i < program.weights.size(); ++i)
    if (Status status = check_weight(program.weights[i], i); !status.ok()) return status;
  if (Status status = check_groups(program); !status.ok()) return status;
  if (Status status = check_experts(program); !status.ok()) return status;
  if (Status status = check_vocab(program.dims); !status.ok()) return status;
  if (Status status = check_ops(program, Placement::kReplicated); !status.ok()) return status;
  return check_ops(program, Placement::kSharded);
}

std::string op_place(Placement placement, size_t index) {
  return text("program.", placement == Placement::kSharded ? "shardedOps" : "ops", "[", index, "]");
}

OpAccess op_access(const RankProgram& program, const Op& op) {
  const Overloaded visitor{
      [](const RopeTableOp& o) { return OpAccess{{}, {o.out}, {o.out}}; },
      [](const EmbedOp& o) { return OpAccess{{}, {o.out}, {o.out}}; },
      [](const RmsNormOp& o) { return OpAccess{{o.x}, {o.out}, {o.out}}; },
      [](const LinearOp& o) {
        if (o.accumulate) return OpAccess{{o.x, o.out}, {o.out}, {}};
        return OpAccess{{o.x}, {o.out}, {o.out}};
      },
      [](const RopeKvWriteOp& o) { return OpAccess{{o.qkv, o.rope}, {o.qkv}, {}}; },
      [](const AttentionOp& o) { return OpAccess{{o.qkv}, {o.out}, {o.out}}; },
      [](const RouterOp& o) {
        return OpAccess{{o.x}, {o.expert_ids, o.expert_weights}, {o.expert_ids, o.expert_weights}};
      },
      [&](const ExpertsOp& o) {
        // Slots of experts elsewhere keep what they held.
        const bool is_whole = covers_all_experts(program);
        return OpAccess{{o.x, o.expert_ids}, {o.out}, is_whole ? std::vector<int32_t>{o.out} : std::vector<int32_t>{}};
      },
      [](const CombineOp& o) { return OpAccess{{o.y, o.expert_weights, o.out}, {o.out}, {}}; },
      [](const GatherRowsOp& o) { return OpAccess{{o.x}, {o.out}, {o.out}}; },
      [](const SampleOp& o) { return OpAccess{{o.logits}, {o.logits}, {}}; },
      [](const Mxfp4DecodeOp& o) { return OpAccess{{o.blocks, o.scales}, {o.out}, {o.out}}; },
      [](const Mxfp4EncodeOp& o) { return OpAccess{{o.x}, {o.blocks, o.scales}, {o.blocks, o.scales}}; },
      [](const AddOp& o) { return OpAccess{{o.x, o.out}, {o.out}, {}}; },
      [](const SampleShardOp& o) { return OpAccess{{o.logits}, {o.logits}, {}}; },
      [](const BeginStepOp&) { return OpAccess{}; },
      [](const AllReduceOp& o) { return OpAccess{{o.x}, {o.x}, {}}; },
      [](const ReduceScatterOp& o) { return OpAccess{{o.x}, {o.out}, {o.out}}; },
      [](const AllGatherOp& o) { return OpAccess{{o.x}, {o.out}, {o.out}}; },
      [](const OwnRowsOp& o) { return OpAccess{{o.x}, {o.out}, {o.out}}; },
      [](const ExchangeSlotsOp& o) { return OpAccess{{o.y, o.expert_ids}, {o.y}, {}}; },
      [](const DispatchOp& o) { return OpAccess{{o.x, o.expert_ids}, {o.out, o.out_ids}, {o.out, o.out_ids}}; },
      [](const CollectOp& o) { return OpAccess{{o.x, o.expert_ids}, {o.out}, {o.out}}; },
      [](const GatherLogitsRowsOp& o) { return OpAccess{{o.x}, {o.out}, {o.out}}; },
  };
  return std::visit(visitor, op);
}

std::vector<MatrixUse> op_matrices(const Op& op) {
  if (const auto* embed = std::get_if<EmbedOp>(&op)) return {{embed->weight, MK_SLOT_WEIGHT}};
  if (const auto* linear = std::get_if<LinearOp>(&op)) return {{linear->weight, MK_SLOT_WEIGHT}};
  if (const auto* router = std::get_if<RouterOp>(&op)) return {{router->weight, MK_SLOT_WEIGHT}};
  if (const auto* experts = std::get_if<ExpertsOp>(&op))
    return {{experts->gate_up, MK_SLOT_GATE_UP}, {experts->down, MK_SLOT_DOWN}};
  return {};
}

int32_t find_logits(const RankProgram& program, Placement placement) {
  for (const Op& op : program.ops_of(placement)) {
    if (const auto* sample = std::get_if<SampleOp>(&op)) return sample->logits;
    if (const auto* shard = std::get_if<SampleShardOp>(&op)) return shard->logits;
  }
  return kNone;
}

int32_t index_of(const std::vector<int32_t>& ranks, int32_t rank) {
  const auto found = std::find(ranks.begin(), ranks.end(), rank);
  return found == ranks.end() ? -1 : static_cast<int32_t>(found - ranks.begin());
}

// Every sequence of a step has a token in it.
int32_t max_step_seqs(const ProgramLimits& limits) { return std::min(limits.max_sequences, limits.max_batched_tokens); }
int32_t max_logits_rows(const ProgramLimits& limits) { return std::min(limits.max_sequences, limits.max_batched_tokens); }

int32_t max_rows(const RankProgram& program, RowsKind kind) {
  const int32_t max_tokens = program.limits.max_batched_tokens;
  const auto num_owners = static_cast<int32_t>(program.token_owners.size());
  switch (kind) {
    case RowsKind::kOwn:
      return max_tokens / num_owners + (max_tokens % num_owners > 0 ? 1 : 0);
    case RowsKind::kLogits:
      return max_logits_rows(program.limits);
    default:
      return max_tokens;
  }
}

int32_t max_blocks_per_row(const ProgramLimits& limits) {
  return static_cast<int32_t>((int64_t{limits.max_seq_len} + limits.block_size - 1) / limits.block_size);
}

}  // namespace moesaic
