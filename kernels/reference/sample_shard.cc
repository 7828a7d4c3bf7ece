// sample_shard: what one shard of the vocabulary adds to the choice of sample; kernel.h says how shards are merged
//   logits (rows, columns of the shard) f32, only read · outputs as in mk_sample_shard_args
//   Adjusts and compares as sample does (sample_row.h); sums and scores are doubles, rounded once when they are stored.
//   bound: some passes over the shard and, with a temperature, a Philox word and two logarithms per column
#include <algorithm>
#include <cmath>

#include "kernels.h"
#include "plain_kernel.h"
#include "sample_row.h"

namespace moesaic::reference {

namespace {

// ---- what is refused ------------------------------------------------------------------------------------------------

bool shapes(Check& check, const mk_sample_shard_args& args) {
  const int64_t end = static_cast<int64_t>(args.vocab_begin) + args.sample.logits.cols;
  return sampling_shapes(check, args.sample) &&
         check.that(args.vocab_begin >= 0 && end <= args.global_vocab,
                    "the shard has token ids %d to %lld, want them within 0 to %d", args.vocab_begin,
                    static_cast<long long>(end) - 1, args.global_vocab - 1) &&
         check.that(args.max_candidates >= 1, "max_candidates is %d, want 1 or more", args.max_candidates);
}

bool values(Check& check, const mk_sample_shard_args& args) {
  return check.that(args.sample.struct_size >= sizeof(mk_sample_args), "sample has %u bytes, want %zu",
                    args.sample.struct_size, sizeof(mk_sample_args)) &&
         check.pointer("candidate_ids", args.candidate_ids) &&
         check.pointer("candidate_logits", args.candidate_logits) &&
         check.pointer("candidate_raw", args.candidate_raw) && check.pointer("raw_max", args.raw_max) &&
         check.pointer("raw_sum", args.raw_sum) && check.pointer("processed_max", args.processed_max) &&
         check.pointer("processed_sum", args.processed_sum) && check.pointer("best_id", args.best_id) &&
         check.pointer("best_score", args.best_score) && sampling_values(check, args.sample);
}

int64_t thread_bytes(const mk_sample_shard_args& args) { return sampling_thread_bytes(args.sample); }

// ---- one row --------------------------------------------------------------------------------------------------------

void report_raw(const mk_sample_shard_args& args, const Row& r) {
  const float largest = largest_of(r.logits, r.vocab);
  args.raw_max[r.index] = largest;
  args.raw_sum[r.index] = static_cast<float>(sum_exp_below(r, largest));
}

void report_best(const mk_sample_shard_args& args, const Row& r, Candidates possible, const Scale& z) {
  const int64_t i = r.index;
  const bool is_greedy = z.temperature == 0;
  int32_t column = lowest_allowed(r);
  double score = static_cast<double>(kNegativeInfinity);
  if (!possible.empty()) {
    column = is_greedy ? first_largest(r, z.largest) : largest_with_noise(r, possible, z);
    score = static_cast<double>(r.adjusted[column]);
    if (!is_greedy) score = score / z.temperature + gumbel(r, column);
  }
  args.best_id[i] = column < 0 ? -1 : r.shard.begin + column;
  args.best_score[i] = static_cast<float>(score);
}

void report_processed(const mk_sample_shard_args& args, const Row& r, Candidates possible, const Scale& z) {
  const bool is_greedy = z.temperature == 0;
  const double min_p = is_greedy ? 1 : static_cast<double>(r.sampling.min_p[r.row]);
  double sum = 0;
  int32_t num_survivors = 0;
  for (const int32_t column : possible) {
    const float logit = r.adjusted[column];
    const double weight = is_greedy ? logit == z.largest : std::exp(z(logit));
    sum += weight;
    if (weight >= min_p) ++num_survivors;
  }
  args.processed_max[r.index] = z.largest;
  args.processed_sum[r.index] = is_greedy ? 1 : static_cast<float>(sum);
  if (args.num_survivors_hint != nullptr) args.num_survivors_hint[r.index] = num_survivors;
}

// Reorders `possible`.
void report_candidates(const mk_sample_shard_args& args, const Row& r, Candidates possible) {
  const int64_t first = r.index * args.max_candidates;
  const size_t count = std::min(possible.size(), static_cast<size_t>(args.max_candidates));
  std::partial_sort(possible.begin(), possible.begin() + static_cast<ptrdiff_t>(count), possible.end(), is_better(r));
  std::fill_n(args.candidate_ids + first, args.max_candidates, -1);
  std::fill_n(args.candidate_logits + first, args.max_candidates, kNegativeInfinity);
  std::fill_n(args.candidate_raw + first, args.max_candidates, kNegativeInfinity);
  for (size_t n = 0; n < count; ++n) {
    const int64_t at = first + static_cast<int64_t>(n);
    args.candidate_ids[at] = r.shard.begin + possible[n];
    args.candidate_logits[at] = r.adjusted[possible[n]];
    args.candidate_raw[at] = r.logits[possible[n]];
  }
}

void run(const mk_sample_shard_args& args, const mk_cpu_stream& stream, void* workspace) {
  for_each(stream, *args.sample.num_sampled, [&](int64_t i, int32_t thread) {
    void* memory = thread_slice(workspace, thread, thread_bytes(args));
    const Row r = row_at(args.sample, {args.vocab_begin, args.global_vocab}, i, memory);
    adjust(r);
    const Scale z{largest_of(r.adjusted, r.vocab), static_cast<double>(r.sampling.temperature[r.row])};
    const Candidates possible = possible_columns(r);
    report_raw(args, r);
    report_processed(args, r, possible, z);
    report_best(args, r, possible, z);
    report_candidates(args, r, possible);
  });
}

}  // namespace

const mk_kernel sample_shard_kernel =
    PlainKernel<MK_OP_SAMPLE_SHARD, mk_sample_shard_args, shapes, values, run, thread_bytes>::offer("sample_shard_f32");

}  // namespace moesaic::reference
