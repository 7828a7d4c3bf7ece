#include "rows.h"

#include <algorithm>
#include <utility>

#include "text.h"

namespace moesaic {
namespace {

constexpr size_t kDeltaHeader = 3;  // row, first table index, count

template <typename... Parts>
Status invalid(const Parts&... parts) {
  return Status(Code::kInvalidArgument, text("plan.", parts...));
}

}  // namespace

Rows::Rows(const RankProgram& program, Storage& storage)
    : program_(program),
      num_rows_(program.limits.max_sequences),
      max_blocks_(max_blocks_per_row(program.limits)),
      mask_words_(mask_words(program)),
      can_sample_{find_logits(program, Placement::kReplicated) != kNone, find_logits(program, Placement::kSharded) != kNone},
      arrays_(storage.rows) {}

// The small states are tried on a copy; the large tables and columns are written only once the whole plan has proved right.
Status Rows::begin_step(const StepPlan& plan) {
  ++step_serial_;
  stage();
  if (Status status = finish_rows(plan); !status.ok()) return status;
  if (Status status = begin_rows(plan); !status.ok()) return status;
  if (Status status = extend_tables(plan); !status.ok()) return status;
  if (Status status = check_masks(plan); !status.ok()) return status;
  if (Status status = check_sequences(plan); !status.ok()) return status;
  commit(plan);
  return {};
}

void Rows::stage() {
  std::copy_n(arrays_.states, num_rows_, arrays_.staged_states);
  std::copy_n(arrays_.runs, program_.kv_groups.size() * num_rows_, arrays_.staged_runs);
}

Status Rows::finish_rows(const StepPlan& plan) {
  for (size_t i = 0; i < plan.finished_rows.size(); ++i) {
    const int32_t row = plan.finished_rows[i];
    if (row < 0 || row >= num_rows_) return invalid("finishedRows[", i, "]: row ", row, " of ", num_rows_);
    if (!arrays_.staged_states[row].in_use) return invalid("finishedRows[", i, "]: row ", row, " is not in use");
    arrays_.staged_states[row].in_use = 0;
  }
  return {};
}

Status Rows::begin_rows(const StepPlan& plan) {
  for (size_t i = 0; i < plan.new_rows.size(); ++i) {
    const int32_t row = plan.new_rows[i].row;
    if (row < 0 || row >= num_rows_) return invalid("newRows[", i, "].row: row ", row, " of ", num_rows_);
    RowState& state = arrays_.staged_states[row];
    if (state.in_use) return invalid("newRows[", i, "].row: row ", row, " is in use");
    const RowSampling& sampling = plan.new_rows[i].sampling;
    state = {1, 0, 0, sampling.max_seq_len, -1, sampling.num_top_logprobs, 0};
    for (size_t group = 0; group < program_.kv_groups.size(); ++group) staged_run(group, row) = {0, 0};
  }
  return {};
}

Status Rows::extend_tables(const StepPlan& plan) {
  if (plan.block_deltas.size() != program_.kv_groups.size())
    return invalid("blockDeltas: expected one array per KV group (", program_.kv_groups.size(), "), got ",
                   plan.block_deltas.size());
  for (size_t group = 0; group < plan.block_deltas.size(); ++group)
    for (size_t at = 0; at < plan.block_deltas[group].size();)
      if (Status status = extend_table(plan, group, &at); !status.ok()) return status;
  return {};
}

// One record. Records of a row come in rising order, so that what a table holds stays one run of entries: a record that
// neither overlaps nor touches it begins a new run.
Status Rows::extend_table(const StepPlan& plan, size_t group, size_t* at) {
  const std::vector<int32_t>& deltas = plan.block_deltas[group];
  const size_t begin = *at;
  if (deltas.size() - begin < kDeltaHeader) return invalid("blockDeltas[", group, "][", begin, "]: a record is cut off");
  const int32_t row = deltas[begin];
  const int32_t first = deltas[begin + 1];
  const int32_t count = deltas[begin + 2];
  if (row < 0 || row >= num_rows_ || !arrays_.staged_states[row].in_use)
    return invalid("blockDeltas[", group, "][", begin, "]: row ", row, " is not in use");
  if (first < 0 || count < 0 || first > max_blocks_ || count > max_blocks_ - first)
    return invalid("blockDeltas[", group, "][", begin, "]: entries [", first, ", +", count, ") of a table of ", max_blocks_);
  if (deltas.size() - begin - kDeltaHeader < static_cast<size_t>(count))
    return invalid("blockDeltas[", group, "][", begin, "]: a record is cut off");
  for (int32_t i = 0; i < count; ++i) {
    const int32_t block_id = deltas[begin + kDeltaHeader + i];
    if (block_id < 1 || block_id >= program_.limits.num_blocks)
      return invalid("blockDeltas[", group, "][", begin + kDeltaHeader + i, "]: block id ", block_id, " is not in [1, ",
                     program_.limits.num_blocks, ")");
  }
  TableRun& run = staged_run(group, row);
  const int32_t end = first + count;
  if (count > 0) run = first <= run.end && end >= run.begin ? TableRun{std::min(run.begin, first), std::max(run.end, end)}
                                                            : TableRun{first, end};
  *at = begin + kDeltaHeader + count;
  return {};
}

Status Rows::check_masks(const StepPlan& plan) const {
  for (size_t at = 0; at < plan.masks.size();)
    if (Status status = check_mask(plan, &at); !status.ok()) return status;
  return {};
}

// One record. A mask that allows nothing would leave the sampler without a choice.
Status Rows::check_mask(const StepPlan& plan, size_t* at) const {
  const size_t begin = *at;
  if (plan.masks.size() - begin < kMaskHeader) return invalid("masks[", begin, "]: a record is cut off");
  const int32_t row = plan.masks[begin];
  const int32_t form = plan.masks[begin + 1];
  const int32_t count = plan.masks[begin + 2];
  if (row < 0 || row >= num_rows_ || !arrays_.staged_states[row].in_use)
    return invalid("masks[", begin, "]: row ", row, " is not in use");
  if (form != kMaskIds && form != kMaskBits) return invalid("masks[", begin + 1, "]: unknown form ", form);
  if (count < 1 || (form == kMaskBits && count != mask_words_))
    return invalid("masks[", begin + 2, "]: expected ", form == kMaskBits ? mask_words_ : 1, " words, or more ids, got ", count);
  if (plan.masks.size() - begin - kMaskHeader < static_cast<size_t>(count))
    return invalid("masks[", begin, "]: a record is cut off");
  const int32_t* words = plan.masks.data() + begin + kMaskHeader;
  const int32_t vocab = program_.dims.global_vocab_size;
  bool allows_any = form == kMaskIds;
  for (int32_t i = 0; i < count; ++i) {
    if (form == kMaskIds && (words[i] < 0 || words[i] >= vocab))
      return invalid("masks[", begin + kMaskHeader + i, "]: token id ", words[i], " is not in [0, ", vocab, ")");
    const int32_t num_ids = std::min(32, vocab - 32 * i);
    allows_any |= num_ids > 0 && (static_cast<uint32_t>(words[i]) << (32 - num_ids)) != 0;
  }
  if (!allows_any) return invalid("masks[", begin, "]: row ", row, " may sample no token at all");
  *at = begin + kMaskHeader + count;
  return {};
}

Status Rows::check_sequences(const StepPlan& plan) {
  const int32_t num_seqs = plan.num_seqs();
  const int32_t num_tokens = plan.num_tokens();
  const auto expect_count = [](const char* column, size_t got, int32_t expected) -> Status {
    if (got == static_cast<size_t>(expected)) return {};
    return invalid(column, ": expected ", expected, " entries, got ", got);
  };
  if (Status status = expect_count("positions", plan.positions.size(), num_tokens); !status.ok()) return status;
  if (Status status = expect_count("queryStarts", plan.query_starts.size(), num_seqs + 1); !status.ok()) return status;
  if (Status status = expect_count("seqLens", plan.seq_lens.size(), num_seqs); !status.ok()) return status;
  if (Status status = expect_count("outputs", plan.outputs.size(), num_seqs); !status.ok()) return status;
  if (plan.query_starts.front() != 0) return invalid("queryStarts[0]: expected 0, got ", plan.query_starts.front());
  if (plan.query_starts.back() != num_tokens)
    return invalid("queryStarts[", num_seqs, "]: expected the number of tokens, ", num_tokens, ", got ",
                   plan.query_starts.back());

  int64_t logits_rows = 0;
  for (int32_t seq = 0; seq < num_seqs; ++seq) {
    if (Status status = check_sequence(plan, seq); !status.ok()) return status;
    if (plan.outputs[seq] == kOutputSample) logits_rows += 1;
    if (plan.outputs[seq] == kOutputLogits) logits_rows += plan.query_starts[seq + 1] - plan.query_starts[seq];
  }
  if (logits_rows > max_logits_rows(program_.limits))
    return invalid("outputs: the plan wants logits of ", logits_rows, " tokens, there is room for ",
                   max_logits_rows(program_.limits));
  return {};
}

Status Rows::check_sequence(const StepPlan& plan, int32_t seq) {
  const int32_t row = plan.seq_rows[seq];
  const int32_t seq_len = plan.seq_lens[seq];
  const int64_t num_tokens = int64_t{plan.query_starts[seq + 1]} - plan.query_starts[seq];
  if (row < 0 || row >= num_rows_ || !arrays_.staged_states[row].in_use)
    return invalid("seqRows[", seq, "]: row ", row, " is not in use");
  RowState& state = arrays_.staged_states[row];
  if (state.last_step == step_serial_) return invalid("seqRows[", seq, "]: row ", row, " is in the step twice");
  if (num_tokens < 1 || plan.query_starts[seq + 1] > plan.num_tokens())
    return invalid("queryStarts[", seq + 1, "]: expected more than ", plan.query_starts[seq], " and at most ",
                   plan.num_tokens(), ", got ", plan.query_starts[seq + 1]);
  if (seq_len < num_tokens || seq_len > program_.limits.max_seq_len)
    return invalid("seqLens[", seq, "]: expected ", num_tokens, " to ", program_.limits.max_seq_len, ", got ", seq_len);
  const auto first_position = static_cast<int32_t>(seq_len - num_tokens);
  if (state.has_run && first_position > state.kv_len)
    return invalid("seqLens[", seq, "]: the step begins at position ", first_position, ", but the row has KV of only ",
                   state.kv_len, " tokens");
  const int32_t output = plan.outputs[seq];
  if (output != kOutputNone && output != kOutputSample && output != kOutputLogits)
    return invalid("outputs[", seq, "]: unknown value ", output);
  if (output != kOutputNone && !can_sample_[static_cast<size_t>(plan.placement)])
    return invalid("outputs[", seq, "]: the program has no sample op, so it has no logits");
  if (Status status = check_tokens(plan, seq); !status.ok()) return status;
  if (Status status = check_blocks(row, first_position, seq_len, seq); !status.ok()) return status;

  state.last_step = step_serial_;
  state.has_run = 1;
  state.kv_len = seq_len;
  return {};
}

Status Rows::check_tokens(const StepPlan& plan, int32_t seq) const {
  const int32_t row = plan.seq_rows[seq];
  const int32_t begin = plan.query_starts[seq];
  const int32_t end = plan.query_starts[seq + 1];
  const int32_t sampled_position = arrays_.staged_states[row].sampled_position;
  for (int32_t t = begin; t < end; ++t) {
    const int32_t position = plan.seq_lens[seq] - (end - t);
    if (plan.positions[t] != position)
      return invalid("positions[", t, "]: expected ", position, " as seqLens[", seq, "] says, got ", plan.positions[t]);
    const int32_t token_id = plan.token_ids[t];
    if (token_id == kLastSampled && sampled_position != position)
      return invalid("tokenIds[", t, "]: row ", row, " has sampled no token for position ", position);
    if (token_id != kLastSampled && (token_id < 0 || token_id >= program_.dims.global_vocab_size))
      return invalid("tokenIds[", t, "]: token id ", token_id, " is not in [0, ", program_.dims.global_vocab_size, ")");
  }
  return {};
}

// Every entry that the step's tokens write or look back at must hold a block.
Status Rows::check_blocks(int32_t row, int32_t first_position, int32_t seq_len, int32_t seq) const {
  const int32_t block_size = program_.limits.block_size;
  for (size_t group = 0; group < program_.kv_groups.size(); ++group) {
    const KvGroup& kv_group = program_.kv_groups[group];
    const int32_t lowest = kv_group.sliding ? std::max(0, first_position - kv_group.window + 1) : 0;
    const int32_t begin = lowest / block_size;
    const int32_t end = (seq_len - 1) / block_size + 1;
    const TableRun& run = staged_run(group, row);
    if (run.begin > begin || run.end < end)
      return invalid("seqLens[", seq, "]: row ", row, " needs table entries [", begin, ", ", end, ") of KV group ", group,
                     ", but has [", run.begin, ", ", run.end, ")");
  }
  return {};
}

void Rows::commit(const StepPlan& plan) {
  std::swap(arrays_.states, arrays_.staged_states);
  std::swap(arrays_.runs, arrays_.staged_runs);
  written_.clear();
  for (const NewRow& row : plan.new_rows) write_sampling(row);
  // The short columns lie together: one copy, however many rows are new.
  const auto* begin = reinterpret_cast<const std::byte*>(arrays_.temperature);
  if (!plan.new_rows.empty()) written_.push_back({begin, reinterpret_cast<const std::byte*>(arrays_.bias_ids) - begin});
  for (size_t group = 0; group < plan.block_deltas.size(); ++group)
    write_tables(plan.block_deltas[group], arrays_.tables[group]);
  write_masks(plan.masks);
}

void Rows::write_sampling(const NewRow& new_row) {
  const int32_t row = new_row.row;
  const RowSampling& sampling = new_row.sampling;
  arrays_.temperature[row] = sampling.temperature;
  arrays_.top_k[row] = sampling.top_k;
  arrays_.top_p[row] = sampling.top_p;
  arrays_.min_p[row] = sampling.min_p;
  arrays_.presence_penalty[row] = sampling.presence_penalty;
  arrays_.frequency_penalty[row] = sampling.frequency_penalty;
  arrays_.repetition_penalty[row] = sampling.repetition_penalty;
  arrays_.seed[row] = sampling.seed;
  arrays_.num_prompt_tokens[row] = new_row.num_prompt_tokens;
  arrays_.min_seq_len[row] = sampling.min_seq_len;
  arrays_.num_top_logprobs[row] = sampling.num_top_logprobs;
  arrays_.has_mask[row] = 0;
  arrays_.stop_counts[row] = static_cast<int32_t>(sampling.stop_ids.size());
  std::copy(sampling.stop_ids.begin(), sampling.stop_ids.end(), arrays_.stop_ids + int64_t{row} * kMaxStopIds);
  arrays_.bias_counts[row] = static_cast<int32_t>(sampling.biases.size());
  if (sampling.biases.empty()) return;
  int32_t* bias_ids = arrays_.bias_ids + int64_t{row} * kMaxBiases;
  float* bias_values = arrays_.bias_values + int64_t{row} * kMaxBiases;
  for (size_t i = 0; i < sampling.biases.size(); ++i) {
    bias_ids[i] = sampling.biases[i].token_id;
    bias_values[i] = sampling.biases[i].bias;
  }
  written_.push_back({bias_ids, static_cast<int64_t>(sampling.biases.size() * sizeof(int32_t))});
  written_.push_back({bias_values, static_cast<int64_t>(sampling.biases.size() * sizeof(float))});
}

void Rows::write_tables(const std::vector<int32_t>& deltas, int32_t* table) {
  for (size_t at = 0; at < deltas.size(); at += kDeltaHeader + deltas[at + 2]) {
    int32_t* entries = table + int64_t{deltas[at]} * max_blocks_ + deltas[at + 1];
    std::copy_n(deltas.begin() + at + kDeltaHeader, deltas[at + 2], entries);
    written_.push_back({entries, int64_t{deltas[at + 2]} * int64_t{sizeof(int32_t)}});
  }
}

void Rows::write_masks(const std::vector<int32_t>& records) {
  for (size_t at = 0; at < records.size(); at += kMaskHeader + records[at + 2]) {
    const int32_t row = records[at];
    const int32_t* words = records.data() + at + kMaskHeader;
    uint32_t* mask = arrays_.masks + int64_t{row} * mask_words_;
    if (records[at + 1] == kMaskBits) {
      std::copy_n(words, mask_words_, mask);
    } else {
      std::fill_n(mask, mask_words_, 0u);
      for (int32_t i = 0; i < records[at + 2]; ++i) mask[words[i] / 32] |= 1u << (words[i] % 32);
    }
    arrays_.has_mask[row] = 1;
    written_.push_back({mask, int64_t{mask_words_} * int64_t{sizeof(uint32_t)}});
    written_.push_back({&arrays_.has_mask[row], sizeof(int32_t)});
  }
}

int32_t Rows::record_sampled(int32_t row, int32_t position, int32_t token_id) {
  arrays_.last_sampled[row] = token_id;
  arrays_.states[row].sampled_position = position;
  const int32_t* stop_ids = arrays_.stop_ids + int64_t{row} * kMaxStopIds;
  const int32_t* stop_ids_end = stop_ids + arrays_.stop_counts[row];
  if (std::find(stop_ids, stop_ids_end, token_id) != stop_ids_end) return kFinishStop;
  return position + 1 >= arrays_.states[row].max_seq_len ? kFinishLength : kFinishNone;
}

}  // namespace moesaic
