// Sampling: the arguments of the sampling ops for a few rows, with memory behind them.
#pragma once

#include <algorithm>
#include <functional>

#include "harness.h"

namespace moesaic::test {

inline constexpr int32_t kMaxTop = 4;
inline constexpr int32_t kMaxIds = 3;

// One logits row per persistent row, row i of the batch being row i; every feature off, greedy, an empty history.
// Blocks of four tokens, two per row.
struct Sampling {
  Sampling(int32_t num_rows, const std::vector<float>& row_logits)
      : logits(num_rows, static_cast<int32_t>(row_logits.size())),
        token_ids(num_rows, 1),
        top_ids(num_rows, kMaxTop),
        logprobs(num_rows, 1),
        top_logprobs(num_rows, kMaxTop),
        num_sampled(num_rows),
        history_tokens(static_cast<size_t>(8 * num_rows + 4)),
        last_sampled(count(num_rows), -1),
        temperature(count(num_rows)),
        top_p(count(num_rows), 1),
        min_p(count(num_rows)),
        presence(count(num_rows)),
        frequency(count(num_rows)),
        repetition(count(num_rows), 1),
        bias_values(count(num_rows * kMaxIds)),
        seed(count(num_rows)),
        seq_lens(count(num_rows)),
        top_k(count(num_rows)),
        num_prompt_tokens(count(num_rows)),
        min_seq_len(count(num_rows)),
        num_top_logprobs(count(num_rows), -1),
        stop_counts(count(num_rows)),
        stop_ids(count(num_rows * kMaxIds)),
        bias_counts(count(num_rows)),
        bias_ids(count(num_rows * kMaxIds)) {
    for (int32_t i = 0; i < num_rows; ++i) {
      rows.push_back(i);
      history_table.push_back(2 * i + 2);
      history_table.push_back(2 * i + 1);
      std::copy(row_logits.begin(), row_logits.end(), &logits.at(i, 0));
    }
  }
  static size_t count(int32_t n) { return static_cast<size_t>(n); }

  void set_history(int32_t row, const std::vector<int32_t>& tokens, int32_t prompt) {
    for (size_t p = 0; p < tokens.size(); ++p) {
      const int32_t block = history_table[count(2 * row) + p / 4];
      history_tokens[static_cast<size_t>(block) * 4 + p % 4] = tokens[p];
    }
    seq_lens[count(row)] = static_cast<int32_t>(tokens.size());
    num_prompt_tokens[count(row)] = prompt;
  }

  // Calls `use` with the arguments; they are gone afterwards.
  void with_args(const std::function<void(const mk_sample_args&)>& use) {
    const std::vector<int32_t> has_mask(rows.size(), allowed.empty() ? 0 : 1);
    const uint32_t nothing = 0;
    const mk_row_sampling sampling{sizeof(sampling),
                                   temperature.data(),
                                   top_k.data(),
                                   top_p.data(),
                                   min_p.data(),
                                   presence.data(),
                                   frequency.data(),
                                   repetition.data(),
                                   seed.data(),
                                   num_prompt_tokens.data(),
                                   min_seq_len.data(),
                                   num_top_logprobs.data(),
                                   stop_counts.data(),
                                   stop_ids.data(),
                                   bias_counts.data(),
                                   bias_ids.data(),
                                   bias_values.data(),
                                   has_mask.data(),
                                   allowed.empty() ? &nothing : allowed.data(),
                                   kMaxIds,
                                   kMaxIds};
    use({sizeof(mk_sample_args), logits.view(), &num_sampled, rows.data(), seq_lens.data(), &sampling,
         history_tokens.data(), history_table.data(), 2, 4, token_ids.data(), last_sampled.data(), logprobs.data(), kMaxTop,
         top_ids.data(), top_logprobs.data()});
  }
  void run(int32_t num_threads = 2) {
    with_args([&](const mk_sample_args& args) { Runner("reference", num_threads).run(args); });
  }

  Tensor<float> logits;
  Tensor<int32_t> token_ids, top_ids;
  Tensor<float> logprobs, top_logprobs;
  int32_t num_sampled;
  std::vector<int32_t> rows, history_table, history_tokens, last_sampled;
  std::vector<float> temperature, top_p, min_p, presence, frequency, repetition, bias_values;
  std::vector<uint64_t> seed;
  std::vector<int32_t> seq_lens, top_k, num_prompt_tokens, min_seq_len, num_top_logprobs, stop_counts, stop_ids,
      bias_counts, bias_ids;
  std::vector<uint32_t> allowed;
};

}  // namespace moesaic::test
