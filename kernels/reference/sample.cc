// sample: the next token of each sampling sequence; kernel.h says the steps
//   logits (rows, vocab) f32, only read here · outputs as in mk_sample_args
//   Per row: adjust (penalties, biases, masks) into a copy, then choose greedily or by the Gumbel trick; sample_row.h
//   has what is shared with shards of the vocabulary. Columns are token ids here.
//   bound: one pass over the vocabulary per active feature · top_p costs a heap and as many pops as tokens are kept
//   Sources: Philox, Salmon et al. 2011; the order of steps is vLLM's.
#include <algorithm>
#include <cmath>

#include "kernels.h"
#include "plain_kernel.h"
#include "sample_row.h"

namespace moesaic::reference {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

bool values(Check& check, const mk_sample_args& args) {
  return check.pointer("token_ids", args.token_ids) && check.pointer("last_sampled", args.last_sampled) &&
         check.pointer("logprobs", args.logprobs) &&
         check.that(args.max_top_logprobs == 0 || (args.top_ids != nullptr && args.top_logprobs != nullptr),
                    "top_ids or top_logprobs is NULL") &&
         sampling_values(check, args);
}

// ---- step 1: logprobs of the logits as they are ---------------------------------------------------------------------

void report_logprobs(const Row& r, int32_t token_id) {
  const int32_t num_top = r.sampling.num_top_logprobs[r.row], columns = r.args.max_top_logprobs;
  int32_t* top_ids = columns == 0 ? nullptr : r.args.top_ids + r.index * columns;
  float* top_logprobs = columns == 0 ? nullptr : r.args.top_logprobs + r.index * columns;
  std::fill_n(top_ids, columns, -1);
  std::fill_n(top_logprobs, columns, kNan);
  r.args.logprobs[r.index] = kNan;
  if (num_top < 0) return;

  const float largest = largest_of(r.logits, r.vocab);
  const double log_sum = std::log(sum_exp_below(r, largest));
  const auto logprob = [&](float logit) { return static_cast<float>(below(rank_of(logit), largest) - log_sum); };
  r.args.logprobs[r.index] = logprob(r.logits[token_id]);
  Ranking best(top_ids, top_logprobs, std::min(num_top, r.vocab));
  for (int32_t id = 0; id < r.vocab; ++id) best.offer(id, r.logits[id]);
  for (int32_t n = 0; n < std::min(num_top, r.vocab); ++n) top_logprobs[n] = logprob(top_logprobs[n]);
}

// ---- step 3: the choice ---------------------------------------------------------------------------------------------

Candidates keep_top_k(const Row& r, Candidates columns) {
  const auto top_k = static_cast<size_t>(r.sampling.top_k[r.row]);
  if (top_k == 0 || top_k >= columns.size()) return columns;
  std::nth_element(columns.begin(), columns.begin() + static_cast<ptrdiff_t>(top_k), columns.end(), is_better(r));
  return columns.first(top_k);
}

// Pops the best until their probability reaches top_p; a heap, because that is mostly soon.
Candidates keep_top_p(const Row& r, Candidates columns, const Scale& z) {
  const double top_p = static_cast<double>(r.sampling.top_p[r.row]);
  if (top_p >= 1) return columns;
  double total = 0, reached = 0;
  for (const int32_t column : columns) total += std::exp(z(r.adjusted[column]));
  const auto worse = [better = is_better(r)](int32_t a, int32_t b) { return better(b, a); };
  std::make_heap(columns.begin(), columns.end(), worse);
  auto end = columns.end();
  do {
    std::pop_heap(columns.begin(), end, worse);
    reached += std::exp(z(r.adjusted[*--end]));
  } while (end != columns.begin() && reached < top_p * total);
  return Candidates(end, columns.end());
}

Candidates keep_min_p(const Row& r, Candidates columns, const Scale& z) {
  const double min_p = static_cast<double>(r.sampling.min_p[r.row]);
  const auto end = std::remove_if(columns.begin(), columns.end(),
                                  [&](int32_t column) { return std::exp(z(r.adjusted[column])) < min_p; });
  return Candidates(columns.begin(), end);
}

int32_t choose(const Row& r) {
  const float largest = largest_of(r.adjusted, r.vocab);
  if (largest == kNegativeInfinity) return std::max(0, lowest_allowed(r));
  const float temperature = r.sampling.temperature[r.row];
  if (temperature == 0) return first_largest(r, largest);

  const Scale z{largest, static_cast<double>(temperature)};
  Candidates columns = keep_top_k(r, possible_columns(r));
  columns = keep_top_p(r, columns, z);
  columns = keep_min_p(r, columns, z);
  return largest_with_noise(r, columns, z);
}

void run(const mk_sample_args& args, const mk_cpu_stream& stream, void* workspace) {
  for_each(stream, *args.num_sampled, [&](int64_t i, int32_t thread) {
    void* memory = thread_slice(workspace, thread, sampling_thread_bytes(args));
    const Row r = row_at(args, {0, args.logits.cols}, i, memory);
    adjust(r);
    const int32_t token_id = choose(r);
    args.token_ids[i] = token_id;
    args.last_sampled[r.row] = token_id;
    report_logprobs(r, token_id);
  });
}

}  // namespace

const mk_kernel sample_kernel =
    PlainKernel<MK_OP_SAMPLE, mk_sample_args, sampling_shapes, values, run, sampling_thread_bytes>::offer("sample_f32");

}  // namespace moesaic::reference
