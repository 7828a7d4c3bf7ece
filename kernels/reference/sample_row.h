// sample_row: one row of logits on its way to a token, as far as sample and sample_shard go together.
//   A row is a shard of the vocabulary, maybe all of it: column c is token id vocab_begin + c. Everything after the
//   adjusted float32 logits is double and relative to the largest, so that it cannot overflow. NaN logits count as
//   -infinity. u = (word + 0.5) / 2^32, which is never 0 or 1. Ids outside the shard among stop ids, biases and history
//   have no logit and are passed over.
#pragma once

#include <limits>
#include <span>

#include "check.h"
#include "ranking.h"

namespace moesaic::reference {

constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

// Constants of the arguments that every sampling op has.
bool sampling_shapes(Check& check, const mk_sample_args& args);
// Pointers, counts, parameters and history; what an op writes is its own to check.
bool sampling_values(Check& check, const mk_sample_args& args);

// Which ids the columns of the logits are.
struct VocabShard {
  int32_t begin;
  int32_t global_vocab;
};

// The i-th sampled row and this thread's memory for it.
struct Row {
  const mk_sample_args& args;
  const mk_row_sampling& sampling;
  const VocabShard shard;
  const int64_t index;
  const int32_t row;
  const int32_t seq_len;
  const int32_t vocab;  // columns
  const float* const logits;
  float* const adjusted;    // (vocab)
  int32_t* const columns;   // (vocab) the candidates
  uint32_t* const history;  // (vocab) how often each token occurs in the output, and whether in the prompt
};

// Workspace of one thread.
int64_t sampling_thread_bytes(const mk_sample_args& args);
Row row_at(const mk_sample_args& args, const VocabShard& shard, int64_t index, void* memory);

// l - largest; 0 for equals, infinite ones too.
double below(float logit, float largest);
float largest_of(const float* logits, int32_t count);
// sum exp(l - largest) of the logits as they are.
double sum_exp_below(const Row& r, float largest);

// Step 2: penalties, biases and masks, from logits into adjusted. No NaN is left.
void adjust(const Row& r);
// For a row without a single finite logit: its lowest allowed column, -1 when the masks leave nothing.
int32_t lowest_allowed(const Row& r);

// Best first: by adjusted logit, ties by lower id.
inline auto is_better(const Row& r) {
  return [logits = r.adjusted](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
}

// A candidate's logit over the temperature, relative to the best one's.
struct Scale {
  const float largest;
  const double temperature;
  double operator()(float logit) const { return below(logit, largest) / temperature; }
};

using Candidates = std::span<int32_t>;

// The columns with a logit above -infinity, ascending, in r.columns.
Candidates possible_columns(const Row& r);

double gumbel(const Row& r, int32_t column);
// The column with the largest z + noise, ties to the lower id. `columns` is not empty.
int32_t largest_with_noise(const Row& r, Candidates columns, const Scale& z);
// The first column whose adjusted logit is the largest.
int32_t first_largest(const Row& r, float largest);

}  // namespace moesaic::reference
