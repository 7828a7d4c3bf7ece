#include "plan_codec.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "storage.h"
#include "text.h"

namespace moesaic {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

// "MSP2": changes with the layout of the message.
constexpr uint32_t kVersion = 0x3250534d;

class Writer {
 public:
  explicit Writer(std::vector<std::byte>& to) : to_(to) { to_.clear(); }

  template <typename T>
  void value(T value) {
    append(&value, sizeof(value));
  }
  template <typename T>
  void list(const std::vector<T>& values) {
    value(static_cast<uint32_t>(values.size()));
    append(values.data(), values.size() * sizeof(T));
  }

 private:
  void append(const void* data, size_t bytes) {
    if (bytes == 0) return;
    const size_t begin = to_.size();
    to_.resize(begin + bytes);
    std::memcpy(to_.data() + begin, data, bytes);
  }
  std::vector<std::byte>& to_;
};

// Keeps the first fault; after it every read gives zeros.
class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> bytes) : left_(bytes) {}

  template <typename T>
  T value(const char* field) {
    T result{};
    if (left_.size() < sizeof(T)) fail(field, "the message is cut off");
    if (!status_.ok()) return result;
    std::memcpy(&result, left_.data(), sizeof(T));
    left_ = left_.subspan(sizeof(T));
    return result;
  }

  template <typename T>
  void list(const char* field, int64_t max, std::vector<T>& to) {
    const int64_t count = length(field, max, sizeof(T));
    to.resize(static_cast<size_t>(count));
    if (count > 0) std::memcpy(to.data(), left_.data(), static_cast<size_t>(count) * sizeof(T));
    left_ = left_.subspan(static_cast<size_t>(count) * sizeof(T));
  }

  // A count of things that take at least `bytes_each`, so that no count asks for more memory than the message has bytes.
  int64_t length(const char* field, int64_t max, size_t bytes_each) {
    const int64_t count = value<uint32_t>(field);
    if (count > max) fail(field, text("expected at most ", max, " entries, got ", count));
    if (static_cast<size_t>(count) * bytes_each > left_.size()) fail(field, "the message is cut off");
    return status_.ok() ? count : 0;
  }

  void expect(bool is_right, const char* field) {
    if (!is_right) fail(field, "is out of range");
  }
  void expect_end() {
    if (!left_.empty()) fail("end", text(left_.size(), " bytes too many"));
  }
  Status take_status() { return std::move(status_); }

 private:
  void fail(const char* field, const std::string& message) {
    if (status_.ok()) status_ = Status(Code::kInternal, text("the plan from rank 0: ", field, ": ", message));
  }

  std::span<const std::byte> left_;
  Status status_;
};

void write_row(Writer& writer, const NewRow& row) {
  const RowSampling& sampling = row.sampling;
  writer.value(row.row);
  writer.value(row.num_prompt_tokens);
  writer.value(sampling.temperature);
  writer.value(sampling.top_k);
  writer.value(sampling.top_p);
  writer.value(sampling.min_p);
  writer.value(sampling.presence_penalty);
  writer.value(sampling.frequency_penalty);
  writer.value(sampling.repetition_penalty);
  writer.value(sampling.seed);
  writer.value(sampling.max_seq_len);
  writer.value(sampling.min_seq_len);
  writer.value(sampling.num_top_logprobs);
  writer.list(sampling.stop_ids);
  writer.list(sampling.biases);
}
constexpr size_t kRowBytes = 13 * 4 + 4 + 2 * 4;

bool is_between(float value, float min, float max) { return value >= min && value <= max; }  // false for NaN

void check_row(WireReader& reader, const NewRow& row, const RankProgram& program) {
  const RowSampling& sampling = row.sampling;
  const auto is_token = [&](int32_t id) { return id >= 0 && id < program.dims.global_vocab_size; };
  reader.expect(row.row >= 0 && row.row < program.limits.max_sequences, "newRows.row");
  reader.expect(row.num_prompt_tokens >= 0 && row.num_prompt_tokens <= program.limits.max_seq_len, "newRows.numPromptTokens");
  reader.expect(std::isfinite(sampling.temperature) && sampling.temperature >= 0, "newRows.sampling.temperature");
  reader.expect(sampling.top_k >= 0, "newRows.sampling.topK");
  reader.expect(is_between(sampling.top_p, 0, 1), "newRows.sampling.topP");
  reader.expect(is_between(sampling.min_p, 0, 1), "newRows.sampling.minP");
  reader.expect(std::isfinite(sampling.presence_penalty) && std::isfinite(sampling.frequency_penalty) &&
                    std::isfinite(sampling.repetition_penalty) && sampling.repetition_penalty > 0,
                "newRows.sampling.penalties");
  reader.expect(sampling.max_seq_len >= 1 && sampling.max_seq_len <= program.limits.max_seq_len, "newRows.sampling.maxSeqLen");
  reader.expect(sampling.min_seq_len >= 0, "newRows.sampling.minSeqLen");
  reader.expect(sampling.num_top_logprobs >= -1 && sampling.num_top_logprobs <= kMaxTopLogprobs,
                "newRows.sampling.numTopLogprobs");
  for (const int32_t id : sampling.stop_ids) reader.expect(is_token(id), "newRows.sampling.stopTokenIds");
  for (const LogitBias& bias : sampling.biases)
    reader.expect(is_token(bias.token_id) && std::isfinite(bias.bias), "newRows.sampling.logitBias");
}

void read_row(WireReader& reader, const RankProgram& program, NewRow& row) {
  RowSampling& sampling = row.sampling;
  row.row = reader.value<int32_t>("newRows.row");
  row.num_prompt_tokens = reader.value<int32_t>("newRows.numPromptTokens");
  sampling.temperature = reader.value<float>("newRows.sampling.temperature");
  sampling.top_k = reader.value<int32_t>("newRows.sampling.topK");
  sampling.top_p = reader.value<float>("newRows.sampling.topP");
  sampling.min_p = reader.value<float>("newRows.sampling.minP");
  sampling.presence_penalty = reader.value<float>("newRows.sampling.presencePenalty");
  sampling.frequency_penalty = reader.value<float>("newRows.sampling.frequencyPenalty");
  sampling.repetition_penalty = reader.value<float>("newRows.sampling.repetitionPenalty");
  sampling.seed = reader.value<uint64_t>("newRows.sampling.seed");
  sampling.max_seq_len = reader.value<int32_t>("newRows.sampling.maxSeqLen");
  sampling.min_seq_len = reader.value<int32_t>("newRows.sampling.minSeqLen");
  sampling.num_top_logprobs = reader.value<int32_t>("newRows.sampling.numTopLogprobs");
  reader.list("newRows.sampling.stopTokenIds", kMaxStopIds, sampling.stop_ids);
  reader.list("newRows.sampling.logitBias", kMaxBiases, sampling.biases);
  check_row(reader, row, program);
}

void write_header(Writer& writer, LeadWord word) {
  writer.value(kVersion);
  writer.value(word);
  writer.value(uint64_t{0});
}

// The length is known at the end.
void write_length(std::vector<std::byte>& message) {
  const uint64_t bytes = message.size();
  std::memcpy(message.data() + 8, &bytes, sizeof(bytes));
}

int64_t max_deltas(const RankProgram& program) {
  return int64_t{program.limits.max_sequences} * (3 + max_blocks_per_row(program.limits));
}

}  // namespace

int64_t max_mask_words(const RankProgram& program) {
  return int64_t{program.limits.max_sequences} * (kMaskHeader + mask_words(program));
}

int64_t max_message_bytes(const RankProgram& program) {
  const ProgramLimits& limits = program.limits;
  const int64_t row_bytes = static_cast<int64_t>(kRowBytes) + kMaxStopIds * 4 + kMaxBiases * 8;
  const int64_t groups = static_cast<int64_t>(program.kv_groups.size());
  return 256 + 8 * int64_t{limits.max_batched_tokens} + (20 + row_bytes) * limits.max_sequences +
         groups * (4 + 4 * max_deltas(program)) + 4 * max_mask_words(program);
}

void reserve_plan(const RankProgram& program, StepPlan& plan) {
  const auto num_tokens = static_cast<size_t>(program.limits.max_batched_tokens);
  const auto num_seqs = static_cast<size_t>(max_step_seqs(program.limits));
  const auto num_rows = static_cast<size_t>(program.limits.max_sequences);
  plan.token_ids.reserve(num_tokens);
  plan.positions.reserve(num_tokens);
  plan.seq_rows.reserve(num_seqs);
  plan.query_starts.reserve(num_seqs + 1);
  plan.seq_lens.reserve(num_seqs);
  plan.outputs.reserve(num_seqs);
  plan.new_rows.reserve(num_rows);
  plan.finished_rows.reserve(num_rows);
  plan.block_deltas.resize(program.kv_groups.size());
}

void encode_plan(const StepPlan& plan, std::vector<std::byte>& to) {
  Writer writer(to);
  write_header(writer, LeadWord::kPlan);
  writer.value(plan.epoch);
  writer.value(plan.step_id);
  writer.value(plan.placement);
  writer.list(plan.token_ids);
  writer.list(plan.positions);
  writer.list(plan.seq_rows);
  writer.list(plan.query_starts);
  writer.list(plan.seq_lens);
  writer.list(plan.outputs);
  writer.value(static_cast<uint32_t>(plan.new_rows.size()));
  for (const NewRow& row : plan.new_rows) write_row(writer, row);
  writer.value(static_cast<uint32_t>(plan.block_deltas.size()));
  for (const std::vector<int32_t>& deltas : plan.block_deltas) writer.list(deltas);
  writer.list(plan.finished_rows);
  writer.list(plan.masks);
  write_length(to);
}

void encode_end(std::vector<std::byte>& to) {
  Writer writer(to);
  write_header(writer, LeadWord::kEnd);
  write_length(to);
}

StatusOr<LeadHeader> decode_header(std::span<const std::byte> message, const RankProgram& program) {
  WireReader reader(message);
  const auto version = reader.value<uint32_t>("version");
  LeadHeader header{static_cast<LeadWord>(reader.value<uint32_t>("word")), 0};
  const auto bytes = reader.value<uint64_t>("bytes");
  const bool is_end = header.word == LeadWord::kEnd;
  reader.expect(version == kVersion, "version");
  reader.expect(is_end || header.word == LeadWord::kPlan, "word");
  const int64_t max = is_end ? static_cast<int64_t>(kHeaderBytes) : max_message_bytes(program);
  reader.expect(bytes >= kHeaderBytes && bytes <= static_cast<uint64_t>(max), "bytes");
  if (Status status = reader.take_status(); !status.ok()) return status;
  header.bytes = static_cast<int64_t>(bytes);
  return header;
}

Status decode_plan(std::span<const std::byte> message, const RankProgram& program, StepPlan& plan) {
  WireReader reader(message.subspan(kHeaderBytes));
  const int64_t max_tokens = program.limits.max_batched_tokens;
  const int64_t max_seqs = max_step_seqs(program.limits);
  plan.num_granted_steps = 0;
  plan.epoch = reader.value<int64_t>("epoch");
  plan.step_id = reader.value<int64_t>("stepId");
  const auto placement = reader.value<int32_t>("tokenPlacement");
  reader.expect(placement >= 0 && placement < kNumPlacements, "tokenPlacement");
  plan.placement = static_cast<Placement>(placement);
  reader.list("tokenIds", max_tokens, plan.token_ids);
  reader.list("positions", max_tokens, plan.positions);
  reader.list("seqRows", max_seqs, plan.seq_rows);
  reader.list("queryStarts", max_seqs + 1, plan.query_starts);
  reader.list("seqLens", max_seqs, plan.seq_lens);
  reader.list("outputs", max_seqs, plan.outputs);
  plan.new_rows.resize(static_cast<size_t>(reader.length("newRows", program.limits.max_sequences, kRowBytes)));
  for (NewRow& row : plan.new_rows) read_row(reader, program, row);
  plan.block_deltas.resize(
      static_cast<size_t>(reader.length("blockDeltas", static_cast<int64_t>(program.kv_groups.size()), sizeof(uint32_t))));
  for (std::vector<int32_t>& deltas : plan.block_deltas) reader.list("blockDeltas", max_deltas(program), deltas);
  reader.list("finishedRows", program.limits.max_sequences, plan.finished_rows);
  reader.list("masks", max_mask_words(program), plan.masks);
  reader.expect_end();
  return reader.take_status();
}

}  // namespace moesaic
