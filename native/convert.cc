#include "convert.h"

#include <algorithm>
#include <chrono>
#include <cfloat>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>

#include "reader.h"
#include "text.h"

namespace moesaic {
namespace {

constexpr int32_t kMaxInt = INT32_MAX;
// More than any model or machine has, and small enough that a list of them fits into memory.
constexpr int32_t kMaxDim = 1 << 24;
constexpr int32_t kMaxCount = 1 << 16;
constexpr int32_t kMaxTokens = 1 << 20;
constexpr uint32_t kMaxOps = 1 << 16;
constexpr uint32_t kMaxWeights = 1 << 16;
constexpr uint32_t kMaxBuffers = 1 << 12;
constexpr uint32_t kMaxLayers = 1 << 12;
constexpr uint32_t kMaxKvGroups = 64;
constexpr uint32_t kMaxSources = 1 << 12;
constexpr uint32_t kMaxPackages = 64;
constexpr uint32_t kMaxFiles = 1 << 16;
constexpr uint32_t kMaxReads = 1 << 24;
constexpr int32_t kMaxThreads = 1024;
constexpr uint32_t kMaxRanks = 1 << 10;
constexpr uint32_t kMaxGroups = 1 << 10;
constexpr uint32_t kMaxAddresses = 256;
constexpr int32_t kMaxDeadlineMs = 1 << 30;
constexpr size_t kKeyBytes = 32;

using NameIndex = std::map<std::string, int32_t>;

// ---- program --------------------------------------------------------------------------------------------------------------

std::vector<int32_t> to_int32s(const Reader& list, uint32_t max_length, int32_t max) {
  std::vector<int32_t> result;
  list.each(max_length, [&](const Reader& item) { result.push_back(item.int32(0, max)); });
  return result;
}

ProgramDims to_dims(const Reader& dims) {
  const auto size = [&](const char* key) { return dims.field(key).int32(0, kMaxDim); };
  const auto count = [&](const char* key) { return dims.field(key).int32(0, kMaxCount); };
  ProgramDims result{size("hiddenSize"),       size("vocabSize"),  count("headDim"),         count("numHeads"),
                     count("numKvHeads"),      count("numExperts"), count("expertsPerToken"), size("intermediateSize"),
                     count("numGlobalExperts"), {},                 {},                       size("globalVocabSize"),
                     size("vocabBegin")};
  result.local_experts = to_int32s(dims.field("localExperts"), kMaxCount, kMaxCount);
  dims.field("expertRanks").each(kMaxCount, [&](const Reader& item) {
    result.expert_ranks.push_back(to_int32s(item, kMaxRanks, kMaxRanks));
  });
  return result;
}

ProgramLimits to_limits(const Reader& limits) {
  return {limits.field("maxBatchedTokens").int32(1, kMaxTokens), limits.field("maxSequences").int32(1, kMaxTokens),
          limits.field("maxSeqLen").int32(1, kMaxDim), limits.field("blockSize").int32(1, kMaxCount),
          limits.field("numBlocks").int32(2, kMaxInt)};
}

void to_rope(const Reader& rope, RankProgram& program) {
  rope.field("invFreq").each(kMaxLayers, [&](const Reader& item) { program.inv_freq.push_back(item.number(0, FLT_MAX)); });
  program.attention_scaling = rope.field("attentionScaling").number(0, FLT_MAX);
}

KvGroup to_kv_group(const Reader& group) {
  KvGroup result;
  result.sliding = group.field("kind").one_of({"full", "sliding"}) == 1;
  result.window = group.field("window").int32(0, kMaxDim);
  group.field("layers").each(kMaxLayers, [&](const Reader& item) { result.layers.push_back(item.int32(0, kMaxInt)); });
  return result;
}

WeightSource to_source(const Reader& source) {
  WeightSource result;
  result.tensor = source.field("tensor").string();
  source.field("shape").each(3, [&](const Reader& item) { result.shape.push_back(item.integer(1, kMaxDim)); });
  if (result.shape.empty()) source.field("shape").expected("1 to 3 sizes");
  result.experts = to_int32s(source.field("experts"), kMaxCount, kMaxDim);
  const auto range = [&](const char* key, int32_t* begin, int32_t* end) {
    const Reader field = source.field(key);
    if (field.length(2) != 2) field.expected("[begin, end)");
    *begin = field.element(0).int32(0, kMaxDim);
    *end = field.element(1).int32(*begin, kMaxDim);
  };
  range("rows", &result.row_begin, &result.row_end);
  range("cols", &result.col_begin, &result.col_end);
  result.dst_row = source.field("dstRow").int32(0, kMaxDim);
  return result;
}

WeightTensor to_weight(const Reader& weight) {
  WeightTensor result;
  result.name = weight.field("name").string();
  result.is_matrix = weight.field("role").one_of({"matrix", "vector"}) == 0;
  constexpr mk_dtype kDtypes[] = {MK_BF16, MK_MXFP4, MK_F32};
  result.source_dtype = kDtypes[weight.field("sourceDtype").one_of({"bf16", "mxfp4"})];
  result.stored_dtype = kDtypes[weight.field("storedDtype").one_of({"bf16", "mxfp4", "f32"})];
  result.num_experts = weight.field("numExperts").int32(1, kMaxDim);
  result.rows = weight.field("rows").int32(1, kMaxDim);
  result.cols = weight.field("cols").int32(1, kMaxDim);
  weight.field("sources").each(kMaxSources, [&](const Reader& item) { result.sources.push_back(to_source(item)); });
  return result;
}

BufferSpec to_buffer(const Reader& buffer) {
  BufferSpec result;
  result.name = buffer.field("name").string();
  result.rows = static_cast<RowsKind>(buffer.field("rows").one_of({"tokens", "own", "received", "logits"}));
  result.cols = buffer.field("cols").int32(1, kMaxDim);
  constexpr mk_dtype kDtypes[] = {MK_F32, MK_I32, MK_U8};
  result.dtype = kDtypes[buffer.field("dtype").one_of({"f32", "i32", "u8"})];
  return result;
}

template <typename Named>
NameIndex index_names(const Reader& list, const std::vector<Named>& items) {
  NameIndex names;
  for (size_t i = 0; i < items.size(); ++i)
    if (!names.emplace(items[i].name, static_cast<int32_t>(i)).second)
      list.fail(text('"', items[i].name, "\" is there twice"));
  return names;
}

// Where an op stands among the alternatives of Op.
template <typename T, size_t kAt = 0>
constexpr size_t find_alternative() {
  if constexpr (std::is_same_v<T, std::variant_alternative_t<kAt, Op>>) return kAt;
  else return find_alternative<T, kAt + 1>();
}
template <typename T>
constexpr size_t kIndexOf = find_alternative<T>();

// Reads the fields of one op, with names resolved.
class OpReader {
 public:
  OpReader(const Reader& op, const RankProgram& program, const NameIndex& buffers, const NameIndex& weights)
      : op_(op), program_(program), buffers_(buffers), weights_(weights), kind_(op.field("op").one_of(kOpNames)) {}

  Op read() const {
    switch (kind_) {
      case MK_OP_ROPE_TABLE:
        return RopeTableOp{buffer("out")};
      case MK_OP_EMBED:
        return EmbedOp{weight("weight"), buffer("out")};
      case MK_OP_RMS_NORM:
        return RmsNormOp{buffer("x"), weight("weight"), buffer("out"), op_.field("eps").number(0, FLT_MAX)};
      case MK_OP_LINEAR:
        return LinearOp{buffer("x"), weight("weight"), weight_or_none("bias"), buffer("out"),
                        op_.field("accumulate").boolean()};
      case MK_OP_ROPE_KV_WRITE:
        return RopeKvWriteOp{buffer("qkv"), buffer("rope"), group(), group_layer()};
      case MK_OP_ATTENTION:
        return AttentionOp{buffer("qkv"), weight_or_none("sinks"), buffer("out"), group(), group_layer(),
                           op_.field("window").int32(0, kMaxDim), op_.field("scale").number(-FLT_MAX, FLT_MAX)};
      case MK_OP_ROUTER:
        return RouterOp{buffer("x"), weight("weight"), weight_or_none("bias"), buffer("expertIds"), buffer("expertWeights")};
      case MK_OP_EXPERTS:
        return experts();
      case MK_OP_COMBINE:
        return CombineOp{buffer("x"), buffer("expertWeights"), buffer("out")};
      case MK_OP_GATHER_ROWS:
        return GatherRowsOp{buffer("x"), buffer("out")};
      case MK_OP_SAMPLE:
        if (program_.is_vocab_sharded()) return SampleShardOp{buffer("logits")};
        return SampleOp{buffer("logits")};
      case MK_OP_MXFP4_DECODE:
        return Mxfp4DecodeOp{buffer("blocks"), buffer("scales"), buffer("out")};
      case MK_OP_MXFP4_ENCODE:
        return Mxfp4EncodeOp{buffer("x"), buffer("blocks"), buffer("scales")};
      case MK_OP_ADD:
        return AddOp{buffer("x"), buffer("out")};
      case MK_OP_SAMPLE_SHARD:
        op_.field("op").fail("a program says sample, whatever part of the vocabulary its rank holds");
      case MK_OP_BEGIN_STEP:
        op_.field("op").fail("the engine begins every step with it; a program does not say so");
      default:
        return read_collective();
    }
  }

 private:
  Op read_collective() const {
    switch (kind_) {
      case kIndexOf<AllReduceOp>:
        return AllReduceOp{buffer("x"), ranks()};
      case kIndexOf<ReduceScatterOp>:
        return ReduceScatterOp{buffer("x"), buffer("out"), ranks()};
      case kIndexOf<AllGatherOp>:
        return AllGatherOp{buffer("x"), buffer("out"), ranks()};
      case kIndexOf<OwnRowsOp>:
        return OwnRowsOp{buffer("x"), buffer("out")};
      case kIndexOf<ExchangeSlotsOp>:
        return ExchangeSlotsOp{buffer("y"), buffer("expertIds"), ranks()};
      case kIndexOf<DispatchOp>:
        return DispatchOp{buffer("x"), buffer("expertIds"), buffer("out"), buffer("outIds"), ranks()};
      case kIndexOf<CollectOp>:
        return CollectOp{buffer("x"), buffer("expertIds"), buffer("out"), ranks()};
      default:
        return GatherLogitsRowsOp{buffer("x"), buffer("out"), ranks()};
    }
  }

  Op experts() const {
    return ExpertsOp{buffer("x"),
                     buffer("expertIds"),
                     weight("gateUp"),
                     weight_or_none("gateUpBias"),
                     weight("down"),
                     weight_or_none("downBias"),
                     buffer("out"),
                     op_.field("alpha").number(-FLT_MAX, FLT_MAX),
                     op_.field("limit").number(0, FLT_MAX)};
  }

  int32_t buffer(const char* key) const { return lookup(buffers_, key, "buffer"); }
  int32_t weight(const char* key) const { return lookup(weights_, key, "weight"); }
  int32_t weight_or_none(const char* key) const { return op_.field(key).is_null() ? kNone : weight(key); }

  int32_t lookup(const NameIndex& names, const char* key, const char* what) const {
    const Reader field = op_.field(key);
    const std::string name = field.string();
    const auto found = names.find(name);
    if (found == names.end()) field.fail(text("the program has no ", what, " \"", name, "\""));
    return found->second;
  }

  // Index of the group of a collective.
  int32_t ranks() const { return op_.field("group").int32(0, static_cast<int32_t>(program_.groups.size()) - 1); }

  int32_t group() const {
    return op_.field("group").int32(0, static_cast<int32_t>(program_.kv_groups.size()) - 1);
  }

  int32_t group_layer() const {
    const std::vector<int32_t>& layers = program_.kv_groups[group()].layers;
    const Reader field = op_.field("layer");
    const int32_t layer = field.int32(0, kMaxInt);
    for (size_t i = 0; i < layers.size(); ++i)
      if (layers[i] == layer) return static_cast<int32_t>(i);
    field.fail(text("layer ", layer, " is not in KV group ", group()));
  }

  const Reader& op_;
  const RankProgram& program_;
  const NameIndex& buffers_;
  const NameIndex& weights_;
  const size_t kind_;
};

// ---- load plan ------------------------------------------------------------------------------------------------------------

WeightRead to_read(const Reader& read) {
  const auto bytes = [&](const char* key) { return read.field(key).integer(0, kMaxSafeInteger); };
  return {read.field("weightIndex").int32(0, kMaxInt),
          read.field("expert").int32(0, kMaxInt),
          read.field("rowBegin").int32(0, kMaxInt),
          read.field("rowEnd").int32(0, kMaxInt),
          {read.field("fileIndex").int32(0, kMaxInt), bytes("fileOffset"), bytes("rowStride"), bytes("colBegin"),
           bytes("colEnd"), bytes("bytes")},
          {read.field("scaleFileIndex").int32(-1, kMaxInt), bytes("scaleFileOffset"), bytes("scaleRowStride"),
           bytes("scaleColBegin"), bytes("scaleColEnd"), bytes("scaleBytes")}};
}

SharedRead to_shared_read(const Reader& shared) {
  SharedRead result{to_read(shared), {}, shared.field("rootRank").int32(0, kMaxTokens)};
  shared.field("ranks").each(kMaxCount, [&](const Reader& item) { result.ranks.push_back(item.int32(0, kMaxTokens)); });
  return result;
}

// ---- step plan ------------------------------------------------------------------------------------------------------------

void to_sampling(const Reader& sampling, const PlanLimits& limits, RowSampling& to) {
  const int32_t max_token_id = limits.vocab_size - 1;
  to.temperature = sampling.field("temperature").number(0, FLT_MAX);
  to.top_k = sampling.field("topK").int32(0, kMaxInt);
  to.top_p = sampling.field("topP").number(0, 1);
  to.min_p = sampling.field("minP").number(0, 1);
  to.presence_penalty = sampling.field("presencePenalty").number(-FLT_MAX, FLT_MAX);
  to.frequency_penalty = sampling.field("frequencyPenalty").number(-FLT_MAX, FLT_MAX);
  to.repetition_penalty = sampling.field("repetitionPenalty").number(FLT_MIN, FLT_MAX);
  to.seed = static_cast<uint64_t>(sampling.field("seed").integer(0, kMaxSafeInteger));
  to.max_seq_len = sampling.field("maxSeqLen").int32(1, limits.program.max_seq_len);
  to.min_seq_len = sampling.field("minSeqLen").int32(0, kMaxInt);
  to.num_top_logprobs = sampling.field("numTopLogprobs").int32(-1, kMaxTopLogprobs);
  to.stop_ids.clear();
  sampling.field("stopTokenIds").each(kMaxStopIds, [&](const Reader& item) {
    to.stop_ids.push_back(item.int32(0, max_token_id));
  });
  to.biases.clear();
  sampling.field("logitBias").each(kMaxBiases, [&](const Reader& item) {
    to.biases.push_back({item.field("tokenId").int32(0, max_token_id), item.field("bias").number(-FLT_MAX, FLT_MAX)});
  });
}

void to_new_rows(const Reader& rows, const PlanLimits& limits, std::vector<NewRow>& to) {
  to.resize(rows.length(limits.program.max_sequences));
  size_t i = 0;
  rows.each(limits.program.max_sequences, [&](const Reader& item) {
    NewRow& row = to[i++];
    row.row = item.field("row").int32(0, limits.program.max_sequences - 1);
    row.num_prompt_tokens = item.field("numPromptTokens").int32(0, limits.program.max_seq_len);
    to_sampling(item.field("sampling"), limits, row.sampling);
  });
}

void to_block_deltas(const Reader& deltas, const PlanLimits& limits, std::vector<std::vector<int32_t>>& to) {
  const uint32_t num_groups = limits.num_kv_groups;
  // A record per row that fills its whole table: no plan needs more.
  const size_t max = size_t(limits.program.max_sequences) * (3 + size_t(max_blocks_per_row(limits.program)));
  to.resize(num_groups);
  if (deltas.length(num_groups) != num_groups) deltas.fail(text("expected one Int32Array per KV group (", num_groups, ")"));
  for (uint32_t group = 0; group < num_groups; ++group) deltas.element(group).int32s(max, to[group]);
}

// ---- to JavaScript --------------------------------------------------------------------------------------------------------

Napi::Value typed_array(Napi::Env env, const std::vector<int32_t>& values) {
  Napi::Int32Array array = Napi::Int32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Value typed_array(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

}  // namespace

Napi::Error to_error(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.message());
  error.Set("name", code_name(status.code()));
  return error;
}

RankProgram to_program(Napi::Value value) {
  const Reader root(value, "program");
  RankProgram program;
  program.rank = root.field("rank").int32(0, kMaxTokens);
  program.world_size = root.field("worldSize").int32(1, kMaxRanks);
  program.precision = root.field("precision").one_of({"exact", "fast"}) == 0 ? Precision::kExact : Precision::kFast;
  program.dims = to_dims(root.field("dims"));
  program.limits = to_limits(root.field("limits"));
  to_rope(root.field("rope"), program);
  root.field("kvGroups").each(kMaxKvGroups, [&](const Reader& item) { program.kv_groups.push_back(to_kv_group(item)); });
  if (program.kv_groups.empty()) root.field("kvGroups").fail("expected at least the full-attention group");
  root.field("weights").each(kMaxWeights, [&](const Reader& item) { program.weights.push_back(to_weight(item)); });
  root.field("buffers").each(kMaxBuffers, [&](const Reader& item) { program.buffers.push_back(to_buffer(item)); });
  const NameIndex buffers = index_names(root.field("buffers"), program.buffers);
  const NameIndex weights = index_names(root.field("weights"), program.weights);
  root.field("groups").each(kMaxGroups, [&](const Reader& item) {
    program.groups.push_back(to_int32s(item, kMaxRanks, kMaxRanks));
  });
  program.token_owners = to_int32s(root.field("tokenOwners"), kMaxRanks, kMaxRanks);
  const auto read_ops = [&](const Reader& list, std::vector<Op>& ops) {
    list.each(kMaxOps, [&](const Reader& item) { ops.push_back(OpReader(item, program, buffers, weights).read()); });
  };
  read_ops(root.field("ops"), program.ops);
  program.has_sharded_ops = !root.field("shardedOps").is_null();
  if (program.has_sharded_ops) read_ops(root.field("shardedOps"), program.sharded_ops);
  return program;
}

EngineOptions to_options(Napi::Value value) {
  const Reader root(value, "options");
  EngineOptions options;
  root.field("packages").each(kMaxPackages, [&](const Reader& item) { options.packages.push_back(item.string()); });
  options.num_threads = root.field("numThreads").int32(1, kMaxThreads);
  constexpr const char* kDevices[] = {"cpu", "cuda"};
  options.device = static_cast<mk_device_kind>(root.field("device").one_of(kDevices));
  options.is_deterministic = root.field("deterministic").boolean();
  return options;
}

std::vector<LoadPlan::File> to_files(const Reader& list) {
  std::vector<LoadPlan::File> files;
  list.each(kMaxFiles, [&](const Reader& item) {
    files.push_back({item.field("path").string(), item.field("bytes").integer(0, kMaxSafeInteger)});
  });
  return files;
}

LoadPlan to_load_plan(Napi::Value value) {
  const Reader root(value, "plan");
  LoadPlan plan;
  plan.files = to_files(root.field("files"));
  root.field("reads").each(kMaxReads, [&](const Reader& item) { plan.reads.push_back(to_read(item)); });
  root.field("sharedReads").each(kMaxReads, [&](const Reader& item) { plan.shared_reads.push_back(to_shared_read(item)); });
  plan.bytes_planned = root.field("bytesPlanned").integer(0, kMaxSafeInteger);
  return plan;
}

void to_step_plan(Napi::Value value, const PlanLimits& limits, StepPlan& plan) {
  const Reader root(value, "plan");
  const size_t max_tokens = limits.program.max_batched_tokens;
  const size_t max_seqs = max_step_seqs(limits.program);
  plan.epoch = root.field("epoch").integer(0, kMaxSafeInteger);
  plan.step_id = root.field("stepId").integer(0, kMaxSafeInteger);
  plan.num_granted_steps = root.field("numGrantedSteps").int32(0, kMaxGrantedSteps);
  plan.follows_step_id = root.field("followsStepId").integer(0, kMaxSafeInteger);
  plan.placement = static_cast<Placement>(root.field("tokenPlacement").one_of({"replicated", "sharded"}));
  root.field("tokenIds").int32s(max_tokens, plan.token_ids);
  root.field("positions").int32s(max_tokens, plan.positions);
  root.field("seqRows").int32s(max_seqs, plan.seq_rows);
  root.field("queryStarts").int32s(max_seqs + 1, plan.query_starts);
  root.field("seqLens").int32s(max_seqs, plan.seq_lens);
  root.field("outputs").int32s(max_seqs, plan.outputs);
  to_new_rows(root.field("newRows"), limits, plan.new_rows);
  to_block_deltas(root.field("blockDeltas"), limits, plan.block_deltas);
  root.field("finishedRows").int32s(limits.program.max_sequences, plan.finished_rows);
  root.field("masks").int32s(limits.num_mask_words, plan.masks);
}

std::string to_string(Napi::Value value, const char* name) { return Reader(value, name).string(); }

int64_t to_integer(Napi::Value value, const char* name, int64_t min, int64_t max) {
  return Reader(value, name).integer(min, max);
}

Napi::Object from_device(Napi::Env env, const DeviceInfo& device) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", "cpu");
  object.Set("name", device.name);
  object.Set("numCores", device.num_cores);
  object.Set("features", array_of(env, device.features, [&](const std::string& f) { return Napi::String::New(env, f); }));
  object.Set("memoryBytes", to_double(device.memory_bytes));
  return object;
}

Napi::Object from_load_report(Napi::Env env, const LoadReport& report) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("bytesRead", to_double(report.bytes_read));
  object.Set("bytesPacked", to_double(report.bytes_packed));
  object.Set("readMs", report.read_ms);
  object.Set("packMs", report.pack_ms);
  object.Set("totalMs", report.total_ms);
  return object;
}

Napi::Object from_step_result(Napi::Env env, const StepResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("epoch", to_double(result.epoch));
  object.Set("stepId", to_double(result.step_id));
  object.Set("seqRows", typed_array(env, result.seq_rows));
  object.Set("tokenIds", typed_array(env, result.token_ids));
  object.Set("finishes", typed_array(env, result.finishes));
  object.Set("logprobs", typed_array(env, result.logprobs));
  object.Set("numTopLogprobs", result.num_top_logprobs);
  object.Set("topTokenIds", typed_array(env, result.top_token_ids));
  object.Set("topLogprobs", typed_array(env, result.top_logprobs));
  object.Set("logits", typed_array(env, result.logits));
  object.Set("engineUs", result.engine_us);
  object.Set("runsOn", result.runs_on);
  return object;
}

ConnectOptions to_connect_options(Napi::Value value) {
  const Reader root(value, "options");
  ConnectOptions options;
  options.epoch = static_cast<uint64_t>(root.field("epoch").integer(0, kMaxSafeInteger));
  root.field("peers").each(kMaxRanks, [&](const Reader& item) {
    PeerAddress& peer = options.peers.emplace_back();
    peer.rank = item.field("rank").int32(0, kMaxRanks);
    peer.host_id = item.field("hostId").string();
    item.field("addresses").each(kMaxAddresses, [&](const Reader& address) { peer.addresses.push_back(address.string()); });
  });
  options.key = root.field("key").bytes(kKeyBytes);
  options.deadline_ms = root.field("deadlineMs").int32(1, kMaxDeadlineMs);
  options.transport = static_cast<Transport>(root.field("transport").one_of({"auto", "shm", "tcp"}));
  return options;
}

std::vector<CollectiveRun> to_collective_runs(Napi::Value value) {
  constexpr uint32_t kMaxRuns = 1 << 10;
  constexpr int64_t kMaxValues = int64_t{1} << 28;
  std::vector<CollectiveRun> runs;
  Reader(value, "runs").each(kMaxRuns, [&](const Reader& item) {
    CollectiveRun run;
    run.collective = static_cast<BenchCollective>(
        item.field("collective").one_of({"all_reduce", "reduce_scatter", "all_gather", "all_to_all", "broadcast"}));
    run.rows = item.field("rows").int32(1, 1 << 20);
    run.cols = item.field("cols").int32(1, 1 << 20);
    run.calls = item.field("calls").int32(1, 1'000'000);
    run.late_us = item.field("lateUs").int32(0, 1'000'000);
    if (int64_t{run.rows} * run.cols > kMaxValues) item.fail(text("expected at most ", kMaxValues, " values"));
    runs.push_back(run);
  });
  return runs;
}

Napi::Array from_collective_times(Napi::Env env, const std::vector<CollectiveTimes>& all) {
  return array_of(env, all, [&](const CollectiveTimes& times) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("beganUs", from_doubles(env, times.began_us));
    item.Set("endedUs", from_doubles(env, times.ended_us));
    item.Set("sentBytes", times.sent_bytes);
    return item;
  });
}

Napi::Float64Array from_doubles(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Array from_collective_stats(Napi::Env env, const std::vector<CollectiveStats>& stats) {
  return array_of(env, stats, [&](const CollectiveStats& one) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("name", one.name);
    item.Set("calls", static_cast<double>(one.calls));
    item.Set("bytes", static_cast<double>(one.bytes));
    return item;
  });
}

Napi::Array from_strings(Napi::Env env, const std::vector<std::string>& strings) {
  return array_of(env, strings, [&](const std::string& one) { return Napi::String::New(env, one); });
}

Napi::Object from_progress(Napi::Env env, const EngineProgress& progress) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("counter", static_cast<double>(progress.counter));
  object.Set("stepId", to_double(progress.step_id));
  object.Set("op", progress.op);
  return object;
}

Napi::Array from_step_times(Napi::Env env, const std::vector<StepTime>& steps) {
  const auto now = std::chrono::steady_clock::now();
  return array_of(env, steps, [&](const StepTime& step) {
    Napi::Object item = Napi::Object::New(env);
    item.Set("stepId", to_double(step.step_id));
    item.Set("endedUsAgo", std::chrono::duration<double, std::micro>(now - step.end).count());
    item.Set("engineUs", step.engine_us);
    item.Set("collectiveUs", step.collective_us);
    return item;
  });
}

}  // namespace moesaic
