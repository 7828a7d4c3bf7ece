#include "world_program.h"

#include <unistd.h>

#include <climits>
#include <numeric>

namespace moesaic::test {
namespace {

constexpr int32_t kHidden = 32;
constexpr int32_t kIntermediate = 32;
constexpr int32_t kExperts = 5;
constexpr int32_t kSlots = 2;
constexpr int32_t kVocab = 601;

enum Buffer : int32_t { kX, kIds, kWeights, kY, kOwn, kOwnIds, kOwnWeights, kOwnY, kGot, kGotIds, kGotY, kRows, kLogits };
enum Weight : int32_t { kEmbed, kRouter, kGateUp, kDown, kHead };

std::vector<BufferSpec> buffers() {
  const auto tokens = RowsKind::kTokens, own = RowsKind::kOwn, received = RowsKind::kReceived, logits = RowsKind::kLogits;
  return {{"x", tokens, kHidden, MK_F32},       {"ids", tokens, kSlots, MK_I32},     {"weights", tokens, kSlots, MK_F32},
          {"y", tokens, kSlots * kHidden, MK_F32}, {"own", own, kHidden, MK_F32},    {"own_ids", own, kSlots, MK_I32},
          {"own_weights", own, kSlots, MK_F32}, {"own_y", own, kSlots * kHidden, MK_F32}, {"got", received, kHidden, MK_F32},
          {"got_ids", received, kSlots, MK_I32}, {"got_y", received, kSlots * kHidden, MK_F32},
          {"rows", logits, kHidden, MK_F32},    {"logits", logits, 0, MK_F32}};
}

WeightTensor matrix(const std::string& name, const std::vector<int32_t>& experts, int32_t num_experts, int32_t row_begin,
                    int32_t row_end, int32_t num_rows, int32_t cols) {
  WeightSource source{name, {num_experts, num_rows, cols}, experts, row_begin, row_end, 0, cols, 0};
  return {name, true, MK_BF16, MK_BF16, static_cast<int32_t>(experts.size()), row_end - row_begin, cols, {source}};
}

std::vector<Op> replicated_ops() {
  return {EmbedOp{kEmbed, kX},
          AllReduceOp{kX, 0},
          RouterOp{kX, kRouter, kNone, kIds, kWeights},
          ExpertsOp{kX, kIds, kGateUp, kNone, kDown, kNone, kY, 1.702f, 7},
          ExchangeSlotsOp{kY, kIds, 0},
          CombineOp{kY, kWeights, kX},
          GatherRowsOp{kX, kRows},
          LinearOp{kRows, kHead, kNone, kLogits, false},
          SampleShardOp{kLogits}};
}

std::vector<Op> sharded_ops() {
  return {EmbedOp{kEmbed, kX},
          OwnRowsOp{kX, kOwn},
          ReduceScatterOp{kX, kOwn, 0},
          RouterOp{kOwn, kRouter, kNone, kOwnIds, kOwnWeights},
          DispatchOp{kOwn, kOwnIds, kGot, kGotIds, 0},
          ExpertsOp{kGot, kGotIds, kGateUp, kNone, kDown, kNone, kGotY, 1.702f, 7},
          CollectOp{kGotY, kOwnIds, kOwnY, 0},
          CombineOp{kOwnY, kOwnWeights, kOwn},
          AllGatherOp{kOwn, kX, 0},
          GatherLogitsRowsOp{kOwn, kRows, 0},
          LinearOp{kRows, kHead, kNone, kLogits, false},
          SampleShardOp{kLogits}};
}

NewRow new_row(int32_t row, const ProgramLimits& limits) {
  NewRow result;
  result.row = row;
  result.num_prompt_tokens = 1;
  result.sampling.temperature = row % 2 == 0 ? 0.0f : 0.8f;
  result.sampling.seed = static_cast<uint64_t>(row);
  result.sampling.max_seq_len = limits.max_seq_len;
  result.sampling.num_top_logprobs = row % 3 == 0 ? 3 : -1;
  return result;
}

}  // namespace

// The last expert is cut between the first and the last rank, in name only: both hold the whole of it.
RankProgram world_program(int32_t rank, int32_t world_size, const ProgramLimits& limits) {
  RankProgram program;
  program.rank = rank;
  program.world_size = world_size;
  program.limits = limits;
  program.kv_groups = {KvGroup{}};
  ProgramDims& dims = program.dims;
  dims.hidden_size = kHidden;
  dims.num_global_experts = kExperts;
  dims.experts_per_token = kSlots;
  dims.intermediate_size = kIntermediate;
  for (int32_t expert = 0; expert < kExperts; ++expert) {
    std::vector<int32_t> holders{expert % world_size};
    if (expert + 1 == kExperts && world_size > 1) holders = {0, world_size - 1};
    if (index_of(holders, rank) >= 0) dims.local_experts.push_back(expert);
    dims.expert_ranks.push_back(holders);
  }
  dims.num_experts = static_cast<int32_t>(dims.local_experts.size());
  dims.global_vocab_size = kVocab;
  dims.vocab_begin = kVocab * rank / world_size;
  dims.vocab_size = kVocab * (rank + 1) / world_size - dims.vocab_begin;

  const std::vector<int32_t> one{0};
  program.weights = {
      matrix("embed", one, 1, 0, kVocab, kVocab, kHidden),
      matrix("router", one, 1, 0, kExperts, kExperts, kHidden),
      matrix("gate_up", dims.local_experts, kExperts, 0, 2 * kIntermediate, 2 * kIntermediate, kHidden),
      matrix("down", dims.local_experts, kExperts, 0, kHidden, kHidden, kIntermediate),
      matrix("head", one, 1, dims.vocab_begin, dims.vocab_begin + dims.vocab_size, kVocab, kHidden)};
  program.buffers = buffers();
  program.buffers[kLogits].cols = dims.vocab_size;
  std::vector<int32_t> world(static_cast<size_t>(world_size));
  std::iota(world.begin(), world.end(), 0);
  program.groups = {world};
  program.token_owners = world;
  program.ops = replicated_ops();
  program.has_sharded_ops = true;
  program.sharded_ops = sharded_ops();
  return program;
}

EngineOptions reference_options() {
  char path[PATH_MAX] = {};
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof(path) - 1);
  const std::string program(path, static_cast<size_t>(length < 0 ? 0 : length));
  return {{program.substr(0, program.rfind('/')) + "/libmoesaic_kernels_reference.so"}, 1};
}

StepPlan world_step(const RankProgram& program, int64_t step_id, Placement placement, const std::vector<Part>& parts) {
  StepPlan plan;
  plan.epoch = 1;
  plan.step_id = step_id;
  plan.placement = placement;
  plan.query_starts = {0};
  plan.block_deltas.resize(program.kv_groups.size());
  const int32_t num_blocks = max_blocks_per_row(program.limits);
  for (const Part& part : parts) {
    for (int32_t i = 0; i < part.tokens; ++i) {
      plan.token_ids.push_back((part.row * 131 + (part.begin + i) * 17) % program.dims.global_vocab_size);
      plan.positions.push_back(part.begin + i);
    }
    plan.seq_rows.push_back(part.row);
    plan.query_starts.push_back(plan.num_tokens());
    plan.seq_lens.push_back(part.begin + part.tokens);
    plan.outputs.push_back(kOutputSample);
    if (!part.is_new) continue;
    plan.new_rows.push_back(new_row(part.row, program.limits));
    plan.block_deltas[0].insert(plan.block_deltas[0].end(), {part.row, 0, num_blocks});
    for (int32_t block = 0; block < num_blocks; ++block) plan.block_deltas[0].push_back(1 + part.row * num_blocks + block);
  }
  return plan;
}

}  // namespace moesaic::test
