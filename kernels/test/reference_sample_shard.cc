// sample_shard of the reference package: shards cut anywhere, merged as kernel.h says, choose what sample chooses.
#include <algorithm>
#include <cmath>
#include <optional>

#include "../reference/philox.h"
#include "sampling.h"

using namespace moesaic::test;

namespace {

constexpr int32_t kCandidates = 24;

// What one shard reports of every row.
struct ShardReport {
  ShardReport(int32_t rows, int32_t num_candidates)
      : ids(rows, num_candidates),
        best_id(rows, 1),
        survivors(rows, 1),
        logits(rows, num_candidates),
        raw(rows, num_candidates),
        raw_max(rows, 1),
        raw_sum(rows, 1),
        processed_max(rows, 1),
        processed_sum(rows, 1),
        best_score(rows, 1) {}
  Tensor<int32_t> ids, best_id, survivors;
  Tensor<float> logits, raw, raw_max, raw_sum, processed_max, processed_sum, best_score;
};

// Columns [begin, end) of the rows' logits.
Tensor<float> columns_of(const Tensor<float>& logits, int32_t begin, int32_t end) {
  Tensor<float> shard(logits.rows(), end - begin);
  for (int32_t row = 0; row < logits.rows(); ++row) std::copy_n(&logits.at(row, begin), end - begin, &shard.at(row, 0));
  return shard;
}

mk_sample_shard_args shard_args(mk_sample_args sample, const Tensor<float>& shard, int32_t begin, int32_t vocab,
                                const ShardReport& report) {
  sample.logits = shard.view();
  sample.token_ids = sample.last_sampled = sample.top_ids = nullptr;
  sample.logprobs = sample.top_logprobs = nullptr;
  return {sizeof(mk_sample_shard_args),
          sample,
          begin,
          vocab,
          report.ids.cols(),
          report.ids.data(),
          report.logits.data(),
          report.raw.data(),
          report.raw_max.data(),
          report.raw_sum.data(),
          report.processed_max.data(),
          report.processed_sum.data(),
          report.best_id.data(),
          report.best_score.data(),
          report.survivors.data()};
}

ShardReport run_shard(Sampling& sampling, int32_t begin, int32_t end, int32_t num_candidates = kCandidates) {
  ShardReport report(sampling.logits.rows(), num_candidates);
  const Tensor<float> shard = columns_of(sampling.logits, begin, end);
  sampling.with_args([&](const mk_sample_args& args) {
    Runner("reference").run(shard_args(args, shard, begin, sampling.logits.cols(), report));
  });
  return report;
}

// ---- the merge of kernel.h, in float64 ------------------------------------------------------------------------------

struct Candidate {
  int32_t id;
  float logit, raw;
};

double below(float logit, float largest) {
  return logit == largest ? 0 : static_cast<double>(logit) - static_cast<double>(largest);
}

double gumbel(uint64_t seed, int32_t seq_len, int32_t id) {
  const auto counter = static_cast<uint32_t>(id);
  const auto words = moesaic::reference::philox4x32_10(seed, {counter / 4, static_cast<uint32_t>(seq_len), 0, 0});
  return -std::log(-std::log((words[counter % 4] + 0.5) / 4294967296.0));
}

class Merge {
 public:
  Merge(const Sampling& sampling, const std::vector<ShardReport>& shards, int32_t row)
      : s_(sampling), shards_(shards), row_(row), at_(Sampling::count(row)) {
    for (const ShardReport& shard : shards) largest_ = std::max(largest_, shard.processed_max.at(row, 0));
  }

  // Empty: the candidates do not suffice.
  std::optional<int32_t> token() const {
    const bool is_plain = s_.top_k[at_] == 0 && s_.top_p[at_] >= 1 && s_.min_p[at_] <= 0;
    if (is_plain || s_.temperature[at_] == 0 || largest_ == -INFINITY) return unrestricted();
    return restricted();
  }
  double log_sum_of_raw() const {
    float largest = -INFINITY;
    for (const ShardReport& shard : shards_) largest = std::max(largest, shard.raw_max.at(row_, 0));
    double total = 0;
    for (const ShardReport& shard : shards_) {
      total += static_cast<double>(shard.raw_sum.at(row_, 0)) * std::exp(below(shard.raw_max.at(row_, 0), largest));
    }
    return static_cast<double>(largest) + std::log(total);
  }
  // All candidates of the row, best first.
  std::vector<Candidate> ordered() const {
    std::vector<Candidate> all;
    for (const ShardReport& shard : shards_) {
      for (int32_t n = 0; n < shard.ids.cols() && shard.ids.at(row_, n) >= 0; ++n) {
        all.push_back({shard.ids.at(row_, n), shard.logits.at(row_, n), shard.raw.at(row_, n)});
      }
    }
    std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
      return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
    });
    return all;
  }

 private:
  int32_t unrestricted() const {
    int32_t best = -1;
    float score = 0;
    for (const ShardReport& shard : shards_) {
      const int32_t id = shard.best_id.at(row_, 0);
      const float own = shard.best_score.at(row_, 0);
      if (id < 0 || (best >= 0 && (own < score || (own == score && id > best)))) continue;
      best = id;
      score = own;
    }
    return std::max(best, 0);
  }

  // Cuts `all` behind the first candidate after which its shard may have more; whether nothing is missing.
  bool cut_to_known(std::vector<Candidate>& all) const {
    std::vector<int32_t> lasts;
    for (const ShardReport& shard : shards_) {
      if (shard.ids.at(row_, shard.ids.cols() - 1) >= 0) lasts.push_back(shard.ids.at(row_, shard.ids.cols() - 1));
    }
    const auto end = std::find_if(all.begin(), all.end(), [&](const Candidate& candidate) {
      return std::find(lasts.begin(), lasts.end(), candidate.id) != lasts.end();
    });
    if (end == all.end()) return true;
    all.erase(end + 1, all.end());
    return false;
  }

  double weight(const Candidate& candidate) const {
    return std::exp(below(candidate.logit, largest_) / static_cast<double>(s_.temperature[at_]));
  }

  double total_weight() const {
    double total = 0;
    for (const ShardReport& shard : shards_) {
      total += static_cast<double>(shard.processed_sum.at(row_, 0)) *
               std::exp(below(shard.processed_max.at(row_, 0), largest_) / static_cast<double>(s_.temperature[at_]));
    }
    return total;
  }

  std::optional<int32_t> restricted() const {
    std::vector<Candidate> kept = ordered();
    const bool is_all = cut_to_known(kept);
    const auto top_k = Sampling::count(s_.top_k[at_]);
    const double top_p = static_cast<double>(s_.top_p[at_]), min_p = static_cast<double>(s_.min_p[at_]);
    double total = total_weight();
    if (top_k > 0) {
      if (kept.size() < top_k && !is_all) return std::nullopt;
      if (kept.size() > top_k) kept.resize(top_k);
      total = 0;
      for (const Candidate& candidate : kept) total += weight(candidate);
    }
    if (top_p < 1) {
      double reached = 0;
      size_t count = 0;
      do reached += weight(kept[count++]);
      while (count < kept.size() && reached < top_p * total);
      if (reached < top_p * total && !is_all && top_k == 0) return std::nullopt;
      kept.resize(count);
    }
    if (top_k == 0 && top_p >= 1 && !is_all && weight(kept.back()) >= min_p) return std::nullopt;
    return with_noise(kept, min_p);
  }

  int32_t with_noise(const std::vector<Candidate>& kept, double min_p) const {
    int32_t best = kept[0].id;
    double best_value = -INFINITY;
    for (const Candidate& candidate : kept) {
      if (weight(candidate) < min_p) continue;
      const double value = below(candidate.logit, largest_) / static_cast<double>(s_.temperature[at_]) +
                           gumbel(s_.seed[at_], s_.seq_lens[at_], candidate.id);
      if (value > best_value || (value == best_value && candidate.id < best)) {
        best = candidate.id;
        best_value = value;
      }
    }
    return best;
  }

  const Sampling& s_;
  const std::vector<ShardReport>& shards_;
  const int32_t row_;
  const size_t at_;
  float largest_ = -INFINITY;
};

// ---- random rows ----------------------------------------------------------------------------------------------------

// Coarse logits have ties, also across shards; some are NaN or -infinity.
void fill_logits(Random& random, Sampling& sampling, int32_t row) {
  const bool is_coarse = random.integer(0, 2) == 0;
  const float gain = random.uniform(0.5f, 4);
  for (int32_t id = 0; id < sampling.logits.cols(); ++id) {
    const float logit = gain * random.normal();
    const bool is_odd = random.integer(0, 99) == 0;
    sampling.logits.at(row, id) = is_odd ? (id % 2 == 0 ? NAN : -INFINITY) : is_coarse ? std::round(logit) : logit;
  }
}

void fill_adjustments(Random& random, Sampling& sampling, int32_t row) {
  const size_t at = Sampling::count(row);
  const int32_t vocab = sampling.logits.cols();
  std::vector<int32_t> history(static_cast<size_t>(random.integer(0, 8)));
  for (int32_t& id : history) id = random.integer(0, vocab - 1);
  sampling.set_history(row, history, random.integer(0, static_cast<int32_t>(history.size())));
  if (random.integer(0, 1) == 0) return;
  sampling.repetition[at] = random.uniform(0.8f, 2);
  sampling.frequency[at] = random.uniform(-1, 2);
  sampling.presence[at] = random.uniform(-1, 2);
  sampling.min_seq_len[at] = random.integer(0, 9);
  sampling.stop_counts[at] = random.integer(0, kMaxIds);
  sampling.bias_counts[at] = random.integer(0, kMaxIds);
  for (size_t n = at * kMaxIds; n < (at + 1) * kMaxIds; ++n) {
    sampling.stop_ids[n] = random.integer(0, vocab);
    sampling.bias_ids[n] = random.integer(-1, vocab);
    sampling.bias_values[n] = 5 * random.normal();
  }
}

void fill_mask(Random& random, Sampling& sampling) {
  const size_t words = Sampling::count((sampling.logits.cols() + 31) / 32);
  sampling.allowed.resize(words * Sampling::count(sampling.logits.rows()));
  for (size_t i = 0; i < sampling.allowed.size(); ++i) {
    // Every fourth row is allowed little, the others nearly all.
    const auto a = static_cast<uint32_t>(random.bits()), b = static_cast<uint32_t>(random.bits());
    sampling.allowed[i] = i / words % 4 == 0 ? a & b & static_cast<uint32_t>(random.bits()) : a | b;
  }
}

enum Rule { kGreedy, kTemperature, kTopK, kMinP, kTopP, kAll, kNumRules };
const char* const kRuleNames[] = {"greedy", "temperature", "top_k", "min_p", "top_p", "all"};

void fill_rule(Random& random, Sampling& sampling, int32_t row, Rule rule) {
  const size_t at = Sampling::count(row);
  sampling.seed[at] = random.bits();
  sampling.temperature[at] = rule == kGreedy ? 0 : random.uniform(0.2f, 1.5f);
  if (rule == kTopK || rule == kAll) sampling.top_k[at] = random.integer(1, kCandidates);
  if (rule == kMinP || rule == kAll) sampling.min_p[at] = random.uniform(0, 0.3f);
  if (rule == kTopP || rule == kAll) sampling.top_p[at] = random.uniform(0, 1);
}

Sampling random_rows(Random& random, int32_t num_rows) {
  Sampling sampling(num_rows, std::vector<float>(Sampling::count(random.integer(60, 400))));
  for (int32_t row = 0; row < num_rows; ++row) {
    fill_logits(random, sampling, row);
    fill_adjustments(random, sampling, row);
    fill_rule(random, sampling, row, static_cast<Rule>(row % kNumRules));
  }
  if (random.integer(0, 2) == 0) fill_mask(random, sampling);
  return sampling;
}

// Borders of `count` shards, cut anywhere.
std::vector<int32_t> random_cuts(Random& random, int32_t vocab, int32_t count) {
  std::vector<int32_t> cuts{0, vocab};
  while (static_cast<int32_t>(cuts.size()) <= count) {
    const int32_t cut = random.integer(1, vocab - 1);
    if (std::find(cuts.begin(), cuts.end(), cut) == cuts.end()) cuts.push_back(cut);
  }
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

std::vector<ShardReport> run_shards(Sampling& sampling, const std::vector<int32_t>& cuts) {
  std::vector<ShardReport> shards;
  for (size_t n = 0; n + 1 < cuts.size(); ++n) shards.push_back(run_shard(sampling, cuts[n], cuts[n + 1]));
  return shards;
}

}  // namespace

// No row is excepted: top_p too has no border within the float32 rounding of its sums among these rows.
MOESAIC_TEST("reference sample_shard: any shards merge to the token of sample, 1000 random rows and every rule") {
  Random random(31);
  int32_t num_gathered[kNumRules] = {}, num_merged[kNumRules] = {};
  for (int32_t batch = 0; batch < 20; ++batch) {
    Sampling sampling = random_rows(random, 50);
    sampling.run();
    for (const int32_t count : {1, 2, 3, 5}) {
      const std::vector<ShardReport> shards =
          run_shards(sampling, random_cuts(random, sampling.logits.cols(), count));
      for (int32_t row = 0; row < 50; ++row) {
        const std::optional<int32_t> token = Merge(sampling, shards, row).token();
        int32_t* counts = token ? num_merged : num_gathered;
        ++counts[row % kNumRules];
        if (!token) continue;
        expect(*token == sampling.token_ids.at(row, 0), "batch %d, row %d, %d shards, %s: token %d, want %d", batch, row,
               count, kRuleNames[row % kNumRules], *token, sampling.token_ids.at(row, 0));
      }
    }
  }
  for (const Rule rule : {kGreedy, kTemperature, kTopK, kAll}) {
    expect(num_gathered[rule] == 0, "%s: %d rows had to be gathered", kRuleNames[rule], num_gathered[rule]);
  }
  for (const Rule rule : {kMinP, kTopP}) {
    expect(num_merged[rule] > num_gathered[rule], "%s: only %d rows could be merged, %d not", kRuleNames[rule],
           num_merged[rule], num_gathered[rule]);
  }
}

MOESAIC_TEST("reference sample_shard: logprobs from merged sums and candidates are those of sample") {
  Random random(37);
  Sampling sampling(20, std::vector<float>(300));
  for (int32_t row = 0; row < 20; ++row) fill_logits(random, sampling, row);
  std::fill(sampling.num_top_logprobs.begin(), sampling.num_top_logprobs.end(), kMaxTop);
  sampling.run();
  const std::vector<ShardReport> shards = run_shards(sampling, {0, 7, 150, 300});
  for (int32_t row = 0; row < 20; ++row) {
    const Merge merge(sampling, shards, row);
    const std::vector<Candidate> best = merge.ordered();
    for (int32_t n = 0; n < kMaxTop; ++n) {
      const Candidate& candidate = best[Sampling::count(n)];
      const double got = static_cast<double>(candidate.raw) - merge.log_sum_of_raw();
      const double want = static_cast<double>(sampling.top_logprobs.at(row, n));
      expect(candidate.id == sampling.top_ids.at(row, n), "row %d: top id %d, want %d", row, candidate.id,
             sampling.top_ids.at(row, n));
      expect(std::fabs(got - want) <= 1e-6, "row %d: logprob %.9g, want %.9g", row, got, want);
    }
  }
}

// Ids 10 to 14. Token 11 is in the prompt, 12 output: 4 / 2, (3 / 2) - 0.25, a bias of 1 on 13, a mask on 10.
MOESAIC_TEST("reference sample_shard: history, biases, stop ids and masks are by global token id") {
  Sampling sampling(1, std::vector<float>(40, -50));
  const std::vector<float> own{9, 4, 3, 0.5f, 9};
  std::copy(own.begin(), own.end(), &sampling.logits.at(0, 10));
  sampling.set_history(0, {11, 12, 1, 2, 39}, 1);
  sampling.repetition[0] = 2;
  sampling.presence[0] = 0.25f;
  sampling.bias_counts[0] = 2;
  sampling.bias_ids = {13, 3, 0};
  sampling.bias_values = {1, 100, 0};
  sampling.stop_counts[0] = 1;
  sampling.stop_ids = {14, 0, 0};
  sampling.min_seq_len[0] = 6;
  sampling.allowed = {~(1u << 10), ~0u};
  const ShardReport report = run_shard(sampling, 10, 15, 4);
  expect_same_bits("candidate_ids", report.ids, Tensor<int32_t>(1, 4, {11, 13, 12, -1}));
  expect_same_bits("candidate_logits", report.logits, Tensor<float>(1, 4, {2, 1.5f, 1.25f, -INFINITY}));
  expect_same_bits("candidate_raw", report.raw, Tensor<float>(1, 4, {4, 0.5f, 3, -INFINITY}));
  expect_same_bits("raw_max", report.raw_max, Tensor<float>(1, 1, {9}));
  expect_close("raw_sum", report.raw_sum,
               Tensor<float>(1, 1, {2 + std::exp(-5.0f) + std::exp(-6.0f) + std::exp(-8.5f)}), 0, 2e-7);
  expect_same_bits("processed_max", report.processed_max, Tensor<float>(1, 1, {2}));
  expect_same_bits("processed_sum", report.processed_sum, Tensor<float>(1, 1, {1}));
  expect_same_bits("best_id", report.best_id, Tensor<int32_t>(1, 1, {11}));
  expect_same_bits("best_score", report.best_score, Tensor<float>(1, 1, {2}));
}

// At temperature 0.5 the weights are 1, exp(-1), exp(-2), exp(-4): three of them reach 0.1.
MOESAIC_TEST("reference sample_shard: sums are over the temperature, the hint counts what min_p can keep") {
  Sampling sampling(1, {1, 2, 0, 1.5f, NAN});
  sampling.temperature[0] = 0.5f;
  sampling.min_p[0] = 0.1f;
  const ShardReport report = run_shard(sampling, 0, 5);
  expect_close("processed_sum", report.processed_sum,
               Tensor<float>(1, 1, {1 + std::exp(-1.0f) + std::exp(-2.0f) + std::exp(-4.0f)}), 0, 2e-7);
  expect_same_bits("survivors", report.survivors, Tensor<int32_t>(1, 1, {3}));
  const int32_t id = report.best_id.at(0, 0);
  const double score = static_cast<double>(sampling.logits.at(0, id)) / 0.5 + gumbel(0, 0, id);
  expect_close("best_score", report.best_score, Tensor<float>(1, 1, {static_cast<float>(score)}), 0, 0);
  sampling.min_p[0] = 0;
  expect_same_bits("survivors", run_shard(sampling, 0, 5).survivors, Tensor<int32_t>(1, 1, {4}));
}

MOESAIC_TEST("reference sample_shard: a shard without a finite logit names its lowest allowed id, or none") {
  Sampling sampling(2, std::vector<float>(64, -INFINITY));
  sampling.temperature[1] = 1;
  sampling.allowed = {0, 0b100, 0, 0b100};
  for (const int32_t begin : {32, 35}) {
    const ShardReport report = run_shard(sampling, begin, 64);
    const int32_t want = begin == 32 ? 34 : -1;
    expect_same_bits("best_id", report.best_id, Tensor<int32_t>(2, 1, {want, want}));
    expect_same_bits("best_score", report.best_score, Tensor<float>(2, 1, {-INFINITY, -INFINITY}));
    expect_same_bits("processed_max", report.processed_max, Tensor<float>(2, 1, {-INFINITY, -INFINITY}));
    expect(report.ids.at(0, 0) == -1, "there is a candidate %d", report.ids.at(0, 0));
  }
  sampling.run();
  const std::vector<ShardReport> shards = run_shards(sampling, {0, 32, 64});
  for (int32_t row = 0; row < 2; ++row) {
    expect(sampling.token_ids.at(row, 0) == 34 && *Merge(sampling, shards, row).token() == 34,
           "row %d: tokens %d and %d, want 34", row, sampling.token_ids.at(row, 0),
           *Merge(sampling, shards, row).token());
  }
}

MOESAIC_TEST("reference sample_shard: refuses ids outside the vocabulary, no candidates, and what sample refuses") {
  Sampling sampling(1, {1, 2, 3, 4});
  const Tensor<float> shard = columns_of(sampling.logits, 1, 4);
  const ShardReport report(1, 2);
  const Runner runner("reference");
  sampling.with_args([&](const mk_sample_args& sample) {
    const mk_sample_shard_args good = shard_args(sample, shard, 1, 4, report);
    const mk_kernel& kernel = runner.kernel(good);
    runner.launch(kernel, good);
    const auto refused = [&](const char* words, const std::function<void(mk_sample_shard_args&)>& spoil) {
      mk_sample_shard_args args = good;
      spoil(args);
      runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, words, args);
    };
    refused("token ids 2 to 4, want them within 0 to 3", [](mk_sample_shard_args& a) { a.vocab_begin = 2; });
    refused("token ids -1 to 1", [](mk_sample_shard_args& a) { a.vocab_begin = -1; });
    refused("max_candidates is 0", [](mk_sample_shard_args& a) { a.max_candidates = 0; });
    refused("best_id is NULL", [](mk_sample_shard_args& a) { a.best_id = nullptr; });
    refused("sample has 8 bytes", [](mk_sample_shard_args& a) { a.sample.struct_size = 8; });
    sampling.top_k[0] = -1;
    refused("top_k is -1", [](mk_sample_shard_args&) {});
  });
}
