// sample: the next token of each sampling sequence; kernel.h says the steps
//   logits (rows, vocab) f32, only read here · outputs as in mk_sample_args
//   Per row: adjust (penalties, biases, masks) into a copy, then choose greedily or by the Gumbel trick. Everything
//   after the adjusted float32 logits is double and relative to the largest: z = (l - largest) / temperature cannot
//   overflow. NaN logits count as -infinity. u = (word + 0.5) / 2^32, which is never 0 or 1. Ids outside the vocabulary
//   among stop ids and biases have no logit and are passed over. bound: one pass over the vocabulary per active feature
//   · top_p costs a heap and as many pops as tokens are kept Sources: Philox, Salmon et al. 2011; the order of steps is
//   vLLM's
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "align.h"
#include "kernels.h"
#include "philox.h"
#include "plain_kernel.h"
#include "ranking.h"

namespace moesaic::reference {

namespace {

constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// ---- what is refused
// ---------------------------------------------------------------------------------------------------

bool shapes(Check& check, const mk_sample_args& args) {
  return check.buffer("logits", args.logits, args.logits.cols) &&
         check.that(args.max_blocks > 0, "max_blocks is %d, want 1 or more", args.max_blocks) &&
         check.that(args.block_size > 0, "block_size is %d, want 1 or more", args.block_size) &&
         check.that(args.max_top_logprobs >= 0, "max_top_logprobs is %d, want 0 or more", args.max_top_logprobs);
}

bool pointers(Check& check, const mk_sample_args& args) {
  const mk_row_sampling* s = args.sampling;
  return check.pointer("num_sampled", args.num_sampled) && check.pointer("rows", args.rows) &&
         check.pointer("seq_lens", args.seq_lens) && check.pointer("history_tokens", args.history_tokens) &&
         check.pointer("history_table", args.history_table) && check.pointer("token_ids", args.token_ids) &&
         check.pointer("logprobs", args.logprobs) &&
         check.that(args.max_top_logprobs == 0 || (args.top_ids != nullptr && args.top_logprobs != nullptr),
                    "top_ids or top_logprobs is NULL") &&
         check.pointer("sampling", s) &&
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
         check.pointer("bias_ids", s->bias_ids) && check.pointer("bias_values", s->bias_values);
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

bool values(Check& check, const mk_sample_args& args) {
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

// ---- one row
// -----------------------------------------------------------------------------------------------------------

// The i-th sampled row and this thread's memory for it.
struct Row {
  const mk_sample_args& args;
  const mk_row_sampling& sampling;
  const int64_t index;
  const int32_t row;
  const int32_t seq_len;
  const int32_t vocab;
  const float* const logits;
  float* const adjusted;    // (vocab)
  int32_t* const ids;       // (vocab) the candidates
  uint32_t* const history;  // (vocab) how often each token occurs in the output, and kInPrompt
};

constexpr uint32_t kInPrompt = 1u << 31;

int64_t thread_bytes(const mk_sample_args& args) {
  return 3 * round_up_64(args.logits.cols * static_cast<int64_t>(sizeof(float)));
}

Row row_at(const mk_sample_args& args, int64_t index, void* memory) {
  const int32_t vocab = args.logits.cols;
  char* bytes = static_cast<char*>(memory);
  const int64_t column = thread_bytes(args) / 3;
  return {args,
          *args.sampling,
          index,
          args.rows[index],
          args.seq_lens[index],
          vocab,
          static_cast<const float*>(args.logits.data) + index * vocab,
          reinterpret_cast<float*>(bytes),
          reinterpret_cast<int32_t*>(bytes + column),
          reinterpret_cast<uint32_t*>(bytes + 2 * column)};
}

// l - largest; 0 for equals, infinite ones too.
double below(float logit, float largest) {
  return logit == largest ? 0 : static_cast<double>(logit) - static_cast<double>(largest);
}

float largest_of(const float* logits, int32_t count) {
  float largest = kNegativeInfinity;
  for (int32_t id = 0; id < count; ++id) largest = std::max(largest, rank_of(logits[id]));
  return largest;
}

// ---- step 1: logprobs of the logits as they are ----

double log_sum_exp_below(const Row& r, float largest) {
  double sum = 0;
  for (int32_t id = 0; id < r.vocab; ++id) sum += std::exp(below(rank_of(r.logits[id]), largest));
  return std::log(sum);
}

void report_logprobs(const Row& r, int32_t token_id) {
  const int32_t num_top = r.sampling.num_top_logprobs[r.row], columns = r.args.max_top_logprobs;
  int32_t* top_ids = columns == 0 ? nullptr : r.args.top_ids + r.index * columns;
  float* top_logprobs = columns == 0 ? nullptr : r.args.top_logprobs + r.index * columns;
  std::fill_n(top_ids, columns, -1);
  std::fill_n(top_logprobs, columns, kNan);
  r.args.logprobs[r.index] = kNan;
  if (num_top < 0) return;

  const float largest = largest_of(r.logits, r.vocab);
  const double log_sum = log_sum_exp_below(r, largest);
  const auto logprob = [&](float logit) { return static_cast<float>(below(rank_of(logit), largest) - log_sum); };
  r.args.logprobs[r.index] = logprob(r.logits[token_id]);
  Ranking best(top_ids, top_logprobs, std::min(num_top, r.vocab));
  for (int32_t id = 0; id < r.vocab; ++id) best.offer(id, r.logits[id]);
  for (int32_t n = 0; n < std::min(num_top, r.vocab); ++n) top_logprobs[n] = logprob(top_logprobs[n]);
}

// ---- step 2: penalties, biases, masks ----

bool is_in_vocab(const Row& r, int32_t id) { return id >= 0 && id < r.vocab; }

void count_history(const Row& r) {
  std::fill_n(r.history, r.vocab, 0u);
  const int32_t* table = r.args.history_table + static_cast<int64_t>(r.row) * r.args.max_blocks;
  for (int32_t p = 0; p < r.seq_len; ++p) {
    const int64_t slot = static_cast<int64_t>(table[p / r.args.block_size]) * r.args.block_size + p % r.args.block_size;
    const int32_t id = r.args.history_tokens[slot];
    if (!is_in_vocab(r, id)) continue;
    if (p < r.sampling.num_prompt_tokens[r.row]) {
      r.history[id] |= kInPrompt;
    } else {
      ++r.history[id];
    }
  }
}

void apply_penalties(const Row& r) {
  const float repetition = r.sampling.repetition_penalty[r.row];
  const float frequency = r.sampling.frequency_penalty[r.row], presence = r.sampling.presence_penalty[r.row];
  if (repetition == 1 && frequency == 0 && presence == 0) return;
  count_history(r);
  for (int32_t id = 0; id < r.vocab; ++id) {
    float& logit = r.adjusted[id];
    const uint32_t count = r.history[id] & ~kInPrompt;
    if (r.history[id] != 0) logit = logit > 0 ? logit / repetition : logit * repetition;
    if (count != 0) logit = logit - frequency * static_cast<float>(count) - presence;
  }
}

void apply_biases(const Row& r) {
  const int64_t first = static_cast<int64_t>(r.row) * r.sampling.max_biases;
  for (int64_t n = first; n < first + r.sampling.bias_counts[r.row]; ++n) {
    const int32_t id = r.sampling.bias_ids[n];
    if (is_in_vocab(r, id)) r.adjusted[id] += r.sampling.bias_values[n];
  }
}

bool is_stop_masked(const Row& r, int32_t id) {
  if (r.seq_len >= r.sampling.min_seq_len[r.row]) return false;
  const int32_t* ids = r.sampling.stop_ids + static_cast<int64_t>(r.row) * r.sampling.max_stop_ids;
  return std::find(ids, ids + r.sampling.stop_counts[r.row], id) != ids + r.sampling.stop_counts[r.row];
}

bool is_allowed(const Row& r, int32_t id) {
  const int64_t words = (static_cast<int64_t>(r.vocab) + 31) / 32;
  const uint32_t* mask = r.args.allowed_mask;
  return (mask == nullptr || (mask[r.index * words + id / 32] >> (id % 32) & 1) != 0) && !is_stop_masked(r, id);
}

void adjust(const Row& r) {
  std::copy_n(r.logits, r.vocab, r.adjusted);
  apply_penalties(r);
  apply_biases(r);
  for (int32_t id = 0; id < r.vocab; ++id)
    r.adjusted[id] = is_allowed(r, id) ? rank_of(r.adjusted[id]) : kNegativeInfinity;
}

// ---- step 3: the choice ----

// For a row without a single finite logit; 0 when the masks leave nothing.
int32_t lowest_allowed(const Row& r) {
  for (int32_t id = 0; id < r.vocab; ++id) {
    if (is_allowed(r, id)) return id;
  }
  return 0;
}

// Best first: by logit, ties by lower id.
auto is_better(const Row& r) {
  return [logits = r.adjusted](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
}

// A candidate's logit over the temperature, relative to the best one's.
struct Scale {
  const float largest;
  const double temperature;
  double operator()(float logit) const { return below(logit, largest) / temperature; }
};

using Candidates = std::span<int32_t>;

Candidates keep_top_k(const Row& r, Candidates ids) {
  const auto top_k = static_cast<size_t>(r.sampling.top_k[r.row]);
  if (top_k == 0 || top_k >= ids.size()) return ids;
  std::nth_element(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(top_k), ids.end(), is_better(r));
  return ids.first(top_k);
}

// Pops the best until their probability reaches top_p; a heap, because that is mostly soon.
Candidates keep_top_p(const Row& r, Candidates ids, const Scale& z) {
  const double top_p = static_cast<double>(r.sampling.top_p[r.row]);
  if (top_p >= 1) return ids;
  double total = 0, reached = 0;
  for (const int32_t id : ids) total += std::exp(z(r.adjusted[id]));
  const auto worse = [better = is_better(r)](int32_t a, int32_t b) { return better(b, a); };
  std::make_heap(ids.begin(), ids.end(), worse);
  auto end = ids.end();
  do {
    std::pop_heap(ids.begin(), end, worse);
    reached += std::exp(z(r.adjusted[*--end]));
  } while (end != ids.begin() && reached < top_p * total);
  return Candidates(end, ids.end());
}

Candidates keep_min_p(const Row& r, Candidates ids, const Scale& z) {
  const double min_p = static_cast<double>(r.sampling.min_p[r.row]);
  const auto end =
      std::remove_if(ids.begin(), ids.end(), [&](int32_t id) { return std::exp(z(r.adjusted[id])) < min_p; });
  return Candidates(ids.begin(), end);
}

double gumbel(const Row& r, int32_t id) {
  const PhiloxWords words =
      philox4x32_10(r.sampling.seed[r.row], {static_cast<uint32_t>(id) / 4, static_cast<uint32_t>(r.seq_len), 0, 0});
  const double u = (words[static_cast<size_t>(id % 4)] + 0.5) / 4294967296.0;
  return -std::log(-std::log(u));
}

int32_t largest_with_noise(const Row& r, Candidates ids, const Scale& z) {
  int32_t best = ids[0];
  double best_value = -std::numeric_limits<double>::infinity();
  for (const int32_t id : ids) {
    const double value = z(r.adjusted[id]) + gumbel(r, id);
    if (value > best_value || (value == best_value && id < best)) {
      best = id;
      best_value = value;
    }
  }
  return best;
}

int32_t choose(const Row& r) {
  const float largest = largest_of(r.adjusted, r.vocab);
  if (largest == kNegativeInfinity) return lowest_allowed(r);
  const float temperature = r.sampling.temperature[r.row];
  if (temperature == 0) return static_cast<int32_t>(std::find(r.adjusted, r.adjusted + r.vocab, largest) - r.adjusted);

  int32_t count = 0;
  for (int32_t id = 0; id < r.vocab; ++id) {
    if (r.adjusted[id] != kNegativeInfinity) r.ids[count++] = id;
  }
  const Scale z{largest, static_cast<double>(temperature)};
  Candidates ids = keep_top_k(r, Candidates(r.ids, static_cast<size_t>(count)));
  ids = keep_top_p(r, ids, z);
  ids = keep_min_p(r, ids, z);
  return largest_with_noise(r, ids, z);
}

void run(const mk_sample_args& args, const mk_cpu_stream& stream, void* workspace) {
  for_each(stream, *args.num_sampled, [&](int64_t i, int32_t thread) {
    const Row r = row_at(args, i, thread_slice(workspace, thread, thread_bytes(args)));
    adjust(r);
    const int32_t token_id = choose(r);
    args.token_ids[i] = token_id;
    report_logprobs(r, token_id);
  });
}

}  // namespace

const mk_kernel sample_kernel =
    PlainKernel<MK_OP_SAMPLE, mk_sample_args, shapes, values, run, thread_bytes>::offer("sample_f32");

}  // namespace moesaic::reference
