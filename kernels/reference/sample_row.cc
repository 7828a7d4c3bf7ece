#include "sample_row.h"

#include <algorithm>
#include <cmath>

#include "align.h"
#include "philox.h"

namespace moesaic::reference {

namespace {

// ---- what is refused ------------------------------------------------------------------------------------------------

bool pointers(Check& check, const mk_sample_args& args) {
  const mk_row_sampling* s = args.sampling;
  return check.pointer("num_sampled", args.num_sampled) && check.pointer("rows", args.rows) &&
         check.pointer("seq_lens", args.seq_lens) && check.pointer("history_tokens", args.history_tokens) &&
         check.pointer("history_table", args.history_table) && check.pointer("sampling", s) &&
         check.that(s->struct_size >= sizeof(mk_row_sampling), "sampling has %u bytes, want %zu", s->struct_size,
                    sizeof(mk_row_sampling)) &&
         check.pointer("temperature", s->temperature) && check.pointer("top_k", s->top_k) &&
         check.pointer("top_p", s->top_p) && check.pointer("min_p", s->min_p) &&
         check.pointer("presence_penalty", s->presence_penalty) &&
         check.pointer("frequency_penalty", s->frequency_penalty) &&
         check.pointer("repetition_penalty", s->repetition_penalty) && check.pointer("seed", s->seed) &&
         check.pointer("num_prompt_tokens", s->num_prompt_tokens) && check.pointer("min_seq_len", s->min_seq_len) &&
         check.pointer("num_top_logprobs", s->num_top_logprobs) && check.pointer("stop_counts", s->stop_counts) &&
         check.pointer("stop_ids", s->stop_ids) && check.pointer("bias_counts", s->bias_counts) &&
         check.pointer("bias_ids", s->bias_ids) && check.pointer("bias_values", s->bias_values) &&
         check.pointer("has_mask", s->has_mask) && check.pointer("allowed_masks", s->allowed_masks);
}

// Comparisons are written so that a NaN fails them.
bool row_values(Check& check, const mk_sample_args& args, int32_t row) {
  const mk_row_sampling& s = *args.sampling;
  return check.that(s.temperature[row] >= 0, "row %d: temperature is %g, want 0 or more", row,
                    static_cast<double>(s.temperature[row])) &&
         check.that(s.top_k[row] >= 0, "row %d: top_k is %d, want 0 or more", row, s.top_k[row]) &&
         check.that(s.top_p[row] >= 0 && s.top_p[row] <= 1, "row %d: top_p is %g, want 0 to 1", row,
                    static_cast<double>(s.top_p[row])) &&
         check.that(s.min_p[row] >= 0 && s.min_p[row] <= 1, "row %d: min_p is %g, want 0 to 1", row,
                    static_cast<double>(s.min_p[row])) &&
         check.that(s.repetition_penalty[row] > 0, "row %d: repetition_penalty is %g, want more than 0", row,
                    static_cast<double>(s.repetition_penalty[row])) &&
         check.that(s.num_top_logprobs[row] >= -1 && s.num_top_logprobs[row] <= args.max_top_logprobs,
                    "row %d: num_top_logprobs is %d, want -1 to %d", row, s.num_top_logprobs[row],
                    args.max_top_logprobs) &&
         check.that(s.stop_counts[row] >= 0 && s.stop_counts[row] <= s.max_stop_ids,
                    "row %d: %d stop ids, want 0 to %d", row, s.stop_counts[row], s.max_stop_ids) &&
         check.that(s.bias_counts[row] >= 0 && s.bias_counts[row] <= s.max_biases, "row %d: %d biases, want 0 to %d",
                    row, s.bias_counts[row], s.max_biases);
}

bool history_values(Check& check, const mk_sample_args& args, int32_t row, int32_t seq_len) {
  const int64_t room = static_cast<int64_t>(args.max_blocks) * args.block_size;
  if (!check.that(seq_len >= 0 && seq_len <= room, "row %d has %d tokens, want 0 to %lld", row, seq_len,
                  static_cast<long long>(room))) {
    return false;
  }
  for (int32_t b = 0; b * static_cast<int64_t>(args.block_size) < seq_len; ++b) {
    const int32_t block = args.history_table[static_cast<int64_t>(row) * args.max_blocks + b];
    if (!check.that(block > 0, "row %d has KV block %d at table entry %d, want 1 or more", row, block, b)) return false;
  }
  return true;
}

}  // namespace

bool sampling_shapes(Check& check, const mk_sample_args& args) {
  return check.buffer("logits", args.logits, args.logits.cols) &&
         check.that(args.max_blocks > 0, "max_blocks is %d, want 1 or more", args.max_blocks) &&
         check.that(args.block_size > 0, "block_size is %d, want 1 or more", args.block_size) &&
         check.that(args.max_top_logprobs >= 0, "max_top_logprobs is %d, want 0 or more", args.max_top_logprobs);
}

bool sampling_values(Check& check, const mk_sample_args& args) {
  if (!pointers(check, args) || !check.rows("logits", args.logits) ||
      !check.that(*args.num_sampled >= 0 && *args.num_sampled <= *args.logits.num_rows,
                  "num_sampled is %d, want 0 to %d", *args.num_sampled, *args.logits.num_rows)) {
    return false;
  }
  for (int32_t i = 0; i < *args.num_sampled; ++i) {
    const int32_t row = args.rows[i];
    if (!check.that(row >= 0, "rows[%d] is %d, want 0 or more", i, row) || !row_values(check, args, row) ||
        !history_values(check, args, row, args.seq_lens[i])) {
      return false;
    }
  }
  return true;
}

// ---- one row --------------------------------------------------------------------------------------------------------

int64_t sampling_thread_bytes(const mk_sample_args& args) {
  return 3 * round_up_64(args.logits.cols * static_cast<int64_t>(sizeof(float)));
}

Row row_at(const mk_sample_args& args, const VocabShard& shard, int64_t index, void* memory) {
  const int32_t vocab = args.logits.cols;
  char* bytes = static_cast<char*>(memory);
  const int64_t part = sampling_thread_bytes(args) / 3;
  return {args,
          *args.sampling,
          shard,
          index,
          args.rows[index],
          args.seq_lens[index],
          vocab,
          static_cast<const float*>(args.logits.data) + index * vocab,
          reinterpret_cast<float*>(bytes),
          reinterpret_cast<int32_t*>(bytes + part),
          reinterpret_cast<uint32_t*>(bytes + 2 * part)};
}

double below(float logit, float largest) {
  return logit == largest ? 0 : static_cast<double>(logit) - static_cast<double>(largest);
}

float largest_of(const float* logits, int32_t count) {
  float largest = kNegativeInfinity;
  for (int32_t column = 0; column < count; ++column) largest = std::max(largest, rank_of(logits[column]));
  return largest;
}

double sum_exp_below(const Row& r, float largest) {
  double sum = 0;
  for (int32_t column = 0; column < r.vocab; ++column) sum += std::exp(below(rank_of(r.logits[column]), largest));
  return sum;
}

namespace {

// ---- step 2: penalties, biases, masks -------------------------------------------------------------------------------

// The column of a token id, -1 when it is not of this shard.
int32_t column_of(const Row& r, int32_t id) {
  const int64_t column = static_cast<int64_t>(id) - r.shard.begin;
  return column >= 0 && column < r.vocab ? static_cast<int32_t>(column) : -1;
}

constexpr uint32_t kInPrompt = 1u << 31;

void count_history(const Row& r) {
  std::fill_n(r.history, r.vocab, 0u);
  const int32_t* table = r.args.history_table + static_cast<int64_t>(r.row) * r.args.max_blocks;
  for (int32_t p = 0; p < r.seq_len; ++p) {
    const int64_t slot = static_cast<int64_t>(table[p / r.args.block_size]) * r.args.block_size + p % r.args.block_size;
    const int32_t column = column_of(r, r.args.history_tokens[slot]);
    if (column < 0) continue;
    if (p < r.sampling.num_prompt_tokens[r.row]) {
      r.history[column] |= kInPrompt;
    } else {
      ++r.history[column];
    }
  }
}

void apply_penalties(const Row& r) {
  const float repetition = r.sampling.repetition_penalty[r.row];
  const float frequency = r.sampling.frequency_penalty[r.row], presence = r.sampling.presence_penalty[r.row];
  if (repetition == 1 && frequency == 0 && presence == 0) return;
  count_history(r);
  for (int32_t column = 0; column < r.vocab; ++column) {
    float& logit = r.adjusted[column];
    const uint32_t count = r.history[column] & ~kInPrompt;
    if (r.history[column] != 0) logit = logit > 0 ? logit / repetition : logit * repetition;
    if (count != 0) logit = logit - frequency * static_cast<float>(count) - presence;
  }
}

void apply_biases(const Row& r) {
  const int64_t first = static_cast<int64_t>(r.row) * r.sampling.max_biases;
  for (int64_t n = first; n < first + r.sampling.bias_counts[r.row]; ++n) {
    const int32_t column = column_of(r, r.sampling.bias_ids[n]);
    if (column >= 0) r.adjusted[column] += r.sampling.bias_values[n];
  }
}

bool is_stop_masked(const Row& r, int32_t id) {
  if (r.seq_len >= r.sampling.min_seq_len[r.row]) return false;
  const int32_t* ids = r.sampling.stop_ids + static_cast<int64_t>(r.row) * r.sampling.max_stop_ids;
  return std::find(ids, ids + r.sampling.stop_counts[r.row], id) != ids + r.sampling.stop_counts[r.row];
}

bool is_allowed(const Row& r, int32_t column) {
  const int32_t id = r.shard.begin + column;
  if (is_stop_masked(r, id)) return false;
  if (r.sampling.has_mask[r.row] == 0) return true;
  const int64_t words = (static_cast<int64_t>(r.shard.global_vocab) + 31) / 32;
  return (r.sampling.allowed_masks[r.row * words + id / 32] >> (id % 32) & 1) != 0;
}

}  // namespace

void adjust(const Row& r) {
  std::copy_n(r.logits, r.vocab, r.adjusted);
  apply_penalties(r);
  apply_biases(r);
  for (int32_t column = 0; column < r.vocab; ++column) {
    r.adjusted[column] = is_allowed(r, column) ? rank_of(r.adjusted[column]) : kNegativeInfinity;
  }
}

int32_t lowest_allowed(const Row& r) {
  for (int32_t column = 0; column < r.vocab; ++column) {
    if (is_allowed(r, column)) return column;
  }
  return -1;
}

// ---- what the choice is made of -------------------------------------------------------------------------------------

Candidates possible_columns(const Row& r) {
  size_t count = 0;
  for (int32_t column = 0; column < r.vocab; ++column) {
    if (r.adjusted[column] != kNegativeInfinity) r.columns[count++] = column;
  }
  return Candidates(r.columns, count);
}

double gumbel(const Row& r, int32_t column) {
  const auto id = static_cast<uint32_t>(r.shard.begin + column);
  const PhiloxWords words = philox4x32_10(r.sampling.seed[r.row], {id / 4, static_cast<uint32_t>(r.seq_len), 0, 0});
  const double u = (words[id % 4] + 0.5) / 4294967296.0;
  return -std::log(-std::log(u));
}

int32_t largest_with_noise(const Row& r, Candidates columns, const Scale& z) {
  int32_t best = columns[0];
  double best_value = -std::numeric_limits<double>::infinity();
  for (const int32_t column : columns) {
    const double value = z(r.adjusted[column]) + gumbel(r, column);
    if (value > best_value || (value == best_value && column < best)) {
      best = column;
      best_value = value;
    }
  }
  return best;
}

int32_t first_largest(const Row& r, float largest) {
  return static_cast<int32_t>(std::find(r.adjusted, r.adjusted + r.vocab, largest) - r.adjusted);
}

}  // namespace moesaic::reference
