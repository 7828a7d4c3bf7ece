// sample of the reference package: what kernel.h says, step by step, on logits small enough to follow by hand.
#include <algorithm>
#include <cmath>
#include <functional>

#include "sampling.h"

using namespace moesaic::test;

namespace {

// The token of row 0.
int32_t sample(Sampling& sampling) {
  sampling.run(1);
  return sampling.token_ids.at(0, 0);
}

void expect_sample_refusal(Sampling& sampling, const char* words) {
  Runner runner("reference");
  sampling.with_args([&](const mk_sample_args& args) {
    runner.expect_refusal(runner.kernel(args), MK_INVALID_ARGUMENT, words, args);
  });
}

void expect_token(Sampling& sampling, int32_t want, const char* what) {
  const int32_t got = sample(sampling);
  expect(got == want, "%s: token %d, want %d", what, got, want);
}

// How often each token comes out over as many seeds as `sampling` has rows.
std::vector<int32_t> histogram(Sampling& sampling) {
  for (size_t i = 0; i < sampling.seed.size(); ++i) sampling.seed[i] = i;
  sampling.run();
  std::vector<int32_t> counts(static_cast<size_t>(sampling.logits.cols()));
  for (size_t i = 0; i < sampling.seed.size(); ++i) ++counts[static_cast<size_t>(sampling.token_ids.data()[i])];
  return counts;
}

// The standard deviation of a count is sqrt(n p (1 - p)); five of them are exceeded once in 1.7 million counts by
// chance. A probability of 0 must never come out.
void expect_frequencies(const std::vector<int32_t>& counts, const std::vector<double>& probabilities) {
  double n = 0;
  for (const int32_t count : counts) n += count;
  for (size_t id = 0; id < counts.size(); ++id) {
    const double p = probabilities[id], allowed = 5 * std::sqrt(n * p * (1 - p));
    expect(std::fabs(counts[id] - n * p) <= allowed, "token %zu came %d times, want %.0f +- %.0f", id, counts[id],
           n * p, allowed);
  }
}

constexpr int32_t kNumSeeds = 20000;

Sampling with_probabilities(const std::vector<double>& probabilities, float temperature = 1) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + 3));
  Sampling sampling(kNumSeeds, logits);
  std::fill(sampling.temperature.begin(), sampling.temperature.end(), temperature);
  return sampling;
}

double gumbel(uint32_t word) { return -std::log(-std::log((word + 0.5) / 4294967296.0)); }

}  // namespace

// ---- greedy ---------------------------------------------------------------------------------------------------------

MOESAIC_TEST("reference sample: leaves each token at its persistent row for the next step") {
  Sampling sampling(3, {1, 3, 2});
  sampling.logits.at(1, 2) = 5;
  sampling.rows = {2, 0};
  sampling.num_sampled = 2;
  sampling.run();
  expect(sampling.last_sampled == std::vector<int32_t>({2, -1, 1}), "last_sampled is %d, %d, %d, want 2, -1, 1",
         sampling.last_sampled[0], sampling.last_sampled[1], sampling.last_sampled[2]);
}

MOESAIC_TEST("reference sample: greedy takes the largest logit, ties to the lower id") {
  Sampling sampling(1, {1, 5, 2, 5, -3});
  expect_token(sampling, 1, "two fives");
  sampling.logits.at(0, 3) = 5.5f;
  expect_token(sampling, 3, "5.5");
}

MOESAIC_TEST("reference sample: NaN logits count as minus infinity") {
  Sampling sampling(1, {NAN, -2, NAN, -1});
  expect_token(sampling, 3, "greedy");
  sampling.temperature[0] = 1e-4f;
  expect_token(sampling, 3, "cold");
}

MOESAIC_TEST("reference sample: without a finite logit the lowest allowed id is taken, 0 when there is none") {
  Sampling sampling(1, {-INFINITY, NAN, -INFINITY});
  expect_token(sampling, 0, "all allowed");
  sampling.allowed = {0b110};
  expect_token(sampling, 1, "0 not allowed");
  sampling.temperature[0] = 1;
  expect_token(sampling, 1, "at a temperature");
  sampling.allowed = {0};
  expect_token(sampling, 0, "none allowed");
}

MOESAIC_TEST("reference sample: an infinite logit wins at any temperature") {
  Sampling sampling(1, {1, INFINITY, 2, INFINITY});
  expect_token(sampling, 1, "greedy");
  sampling.temperature[0] = 2;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    sampling.seed[0] = seed;
    const int32_t token = sample(sampling);
    expect(token == 1 || token == 3, "seed %d gave token %d", static_cast<int>(seed), token);
  }
}

// ---- penalties, biases, masks ---------------------------------------------------------------------------------------

// Token 2 is in the prompt, 0 and 1 are output: 2 / 2, -1 * 2, 3 / 2 and the untouched 1.2.
MOESAIC_TEST(
    "reference sample: the repetition penalty shrinks positive and deepens negative logits of prompt and output") {
  Sampling sampling(1, {2, -1, 3, 1.2f});
  sampling.set_history(0, {2, 0, 1, 1}, 1);
  sampling.repetition[0] = 2;
  expect_token(sampling, 2, "1, -2, 1.5, 1.2");
  sampling.repetition[0] = 3;
  expect_token(sampling, 3, "0.67, -3, 1, 1.2");

  Sampling negative(1, {-1, -1.5f});
  negative.set_history(0, {0}, 1);
  negative.repetition[0] = 2;
  expect_token(negative, 1, "-2, -1.5");
}

MOESAIC_TEST("reference sample: the frequency penalty counts output tokens and not the prompt") {
  Sampling sampling(1, {2, 1.7f, 2.1f});
  sampling.set_history(0, {0, 0, 0, 2, 0, 2, 2}, 3);
  sampling.frequency[0] = 0.25f;
  expect_token(sampling, 0, "2 - 0.25, 1.7, 2.1 - 0.75");
  sampling.frequency[0] = 0.5f;
  expect_token(sampling, 1, "2 - 0.5, 1.7, 2.1 - 1.5");
}

MOESAIC_TEST("reference sample: the presence penalty is taken once from output tokens") {
  Sampling sampling(1, {1.8f, 1, 2.1f});
  sampling.set_history(0, {0, 2, 2, 2, 2, 2}, 1);
  sampling.presence[0] = 0.25f;
  expect_token(sampling, 2, "1.8, 1, 2.1 - 0.25");
  sampling.presence[0] = 0.5f;
  expect_token(sampling, 0, "1.8, 1, 2.1 - 0.5");
}

MOESAIC_TEST("reference sample: biases are added after penalties, foreign ids are passed over") {
  Sampling sampling(1, {2, 1, 0});
  sampling.set_history(0, {1}, 1);
  sampling.repetition[0] = 2;
  sampling.bias_counts[0] = 3;
  sampling.bias_ids = {1, 99, -1};
  sampling.bias_values = {1.6f, 50, 50};
  expect_token(sampling, 1, "1 / 2 + 1.6 over 2");
  sampling.bias_values[0] = 1.4f;
  expect_token(sampling, 0, "1 / 2 + 1.4 under 2");
}

MOESAIC_TEST("reference sample: stop ids are masked until the sequence is long enough") {
  Sampling sampling(1, {1, 9, 2});
  sampling.set_history(0, {0, 0}, 1);
  sampling.stop_counts[0] = 2;
  sampling.stop_ids = {1, 77, 0};
  sampling.min_seq_len[0] = 3;
  expect_token(sampling, 2, "two tokens of three");
  sampling.min_seq_len[0] = 2;
  expect_token(sampling, 1, "two tokens of two");
}

// 40 ids are two mask words per row; each row has its own.
MOESAIC_TEST("reference sample: only allowed ids are sampled") {
  std::vector<float> logits(40);
  logits[3] = 5;
  logits[35] = 4;
  logits[36] = 3;
  Sampling sampling(2, logits);
  sampling.allowed = {~0u, ~0u, ~(1u << 3), ~(1u << 3)};
  sampling.run();
  expect_same_bits("token_ids", sampling.token_ids, Tensor<int32_t>(2, 1, {3, 36}));
}

// ---- sampling -------------------------------------------------------------------------------------------------------

// Philox words of the published test vector (key and counter 0) and of key 0x123456789abcdef0, counter (1, 7, 0, 0),
// computed apart. Two tokens are as good as each other when their logits differ by the difference of their noise.
MOESAIC_TEST("reference sample: the noise is Gumbel noise of Philox words by seed, length and token id") {
  const struct {
    uint64_t seed;
    int32_t seq_len, first_id;
    uint32_t words[4];
  } cases[] = {{0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
               {0x123456789abcdef0, 7, 4, {0xf69f2009, 0x3366820c, 0x8229389e, 0x7caacd29}}};
  for (const auto& c : cases) {
    for (int32_t a = 0; a < 4; ++a) {
      for (int32_t b = 0; b < 4; ++b) {
        if (a == b) continue;
        const double border = gumbel(c.words[a]) - gumbel(c.words[b]);
        for (const double side : {-1e-5, 1e-5}) {
          Sampling sampling(1, std::vector<float>(8, -INFINITY));
          sampling.temperature[0] = 1;
          sampling.seed[0] = c.seed;
          sampling.set_history(0, std::vector<int32_t>(Sampling::count(c.seq_len)), 0);
          sampling.logits.at(0, c.first_id + a) = 0;
          sampling.logits.at(0, c.first_id + b) = static_cast<float>(border + side);
          expect_token(sampling, c.first_id + (side < 0 ? a : b), "beside the border");
        }
      }
    }
  }
}

MOESAIC_TEST("reference sample: frequencies over seeds are the probabilities") {
  Sampling sampling = with_probabilities({0.5, 0.25, 0.1, 0.1, 0.04, 0.01});
  expect_frequencies(histogram(sampling), {0.5, 0.25, 0.1, 0.1, 0.04, 0.01});
}

// At temperature 2 probabilities go with the square root: 0.8, 0.1, 0.1 become 0.8944, 0.3162, 0.3162 over 1.5269.
MOESAIC_TEST("reference sample: the temperature divides the logits") {
  Sampling sampling = with_probabilities({0.8, 0.1, 0.1}, 2);
  expect_frequencies(histogram(sampling), {0.585786, 0.207107, 0.207107});
}

MOESAIC_TEST("reference sample: a tiny temperature is greedy, without overflow") {
  Sampling sampling(1, {-3e38f, 2, 1.9999f, 3e38f, 2.9e38f});
  sampling.temperature[0] = 1e-45f;
  expect_token(sampling, 3, "huge logits");
  sampling.logits.at(0, 3) = sampling.logits.at(0, 4) = -3e38f;
  sampling.temperature[0] = 1e-30f;
  expect_token(sampling, 1, "close logits");
}

// Of the three 0.2 the border lets in the two with the lower ids: 0.4, 0.2, 0.2 over 0.8.
MOESAIC_TEST("reference sample: top_k keeps the lower ids of a tie at its border") {
  Sampling sampling = with_probabilities({0.2, 0.2, 0.4, 0.2});
  std::fill(sampling.top_k.begin(), sampling.top_k.end(), 3);
  expect_frequencies(histogram(sampling), {0.25, 0.25, 0.5, 0});
}

MOESAIC_TEST("reference sample: a top_k over the vocabulary keeps all, a top_k of one is greedy") {
  Sampling sampling = with_probabilities({0.6, 0.4});
  std::fill(sampling.top_k.begin(), sampling.top_k.end(), 1000000);
  expect_frequencies(histogram(sampling), {0.6, 0.4});
  std::fill(sampling.top_k.begin(), sampling.top_k.end(), 1);
  expect_frequencies(histogram(sampling), {1, 0});
}

// 0.4 + 0.3 reach 0.65; 0.4 alone does not.
MOESAIC_TEST("reference sample: top_p keeps the smallest set that reaches it") {
  Sampling sampling = with_probabilities({0.1, 0.4, 0.2, 0.3});
  std::fill(sampling.top_p.begin(), sampling.top_p.end(), 0.65f);
  expect_frequencies(histogram(sampling), {0, 4.0 / 7, 0, 3.0 / 7});
}

MOESAIC_TEST("reference sample: top_p of almost nothing keeps the best, of equals the lower ids") {
  Sampling sampling(200, {1, 1, 1, 1});
  std::fill(sampling.temperature.begin(), sampling.temperature.end(), 1);
  std::fill(sampling.top_p.begin(), sampling.top_p.end(), 0);
  expect_frequencies(histogram(sampling), {1, 0, 0, 0});
  std::fill(sampling.top_p.begin(), sampling.top_p.end(), 0.5f);
  expect_frequencies(histogram(sampling), {0.5, 0.5, 0, 0});
}

// top_k leaves 0.4 and 0.3, that is 0.571 and 0.429: the first alone reaches 0.55. Before top_k it would not.
MOESAIC_TEST("reference sample: top_p looks at the probabilities that top_k left") {
  Sampling sampling = with_probabilities({0.1, 0.4, 0.2, 0.3});
  std::fill(sampling.top_k.begin(), sampling.top_k.end(), 2);
  std::fill(sampling.top_p.begin(), sampling.top_p.end(), 0.55f);
  expect_frequencies(histogram(sampling), {0, 1, 0, 0});
}

// 0.45 of the best 0.5 is 0.225: 0.3 stays, 0.2 goes.
MOESAIC_TEST("reference sample: min_p keeps what is probable enough beside the best") {
  Sampling sampling = with_probabilities({0.3, 0.2, 0.5});
  std::fill(sampling.min_p.begin(), sampling.min_p.end(), 0.45f);
  expect_frequencies(histogram(sampling), {0.375, 0, 0.625});
}

MOESAIC_TEST("reference sample: min_p of one keeps the best and its equals") {
  Sampling sampling = with_probabilities({0.4, 0.2, 0.4});
  std::fill(sampling.min_p.begin(), sampling.min_p.end(), 1);
  expect_frequencies(histogram(sampling), {0.5, 0, 0.5});
}

MOESAIC_TEST("reference sample: a token depends on its row alone, not on batch mates, row numbers or threads") {
  Random random(23);
  Sampling batch(8, std::vector<float>(100));
  for (size_t i = 0; i < batch.logits.size(); ++i) batch.logits.data()[i] = 2 * random.normal();
  for (int32_t i = 0; i < 8; ++i) {
    const size_t row = Sampling::count(i);
    batch.seed[row] = random.bits();
    batch.temperature[row] = 1;
    batch.top_p[row] = 0.9f;
    batch.top_k[row] = i % 2 * 20;
    batch.frequency[row] = 0.5f;
    batch.set_history(i, {i, 1, 2, 3, 4, i}, 2);
  }
  batch.run(3);
  for (int32_t i = 0; i < 8; ++i) {
    const size_t row = Sampling::count(i);
    Sampling alone(1, std::vector<float>(&batch.logits.at(i, 0), &batch.logits.at(i, 0) + 100));
    alone.seed[0] = batch.seed[row];
    alone.temperature[0] = 1;
    alone.top_p[0] = 0.9f;
    alone.top_k[0] = batch.top_k[row];
    alone.frequency[0] = 0.5f;
    alone.set_history(0, {i, 1, 2, 3, 4, i}, 2);
    expect_token(alone, batch.token_ids.at(i, 0), "alone");
  }
}

MOESAIC_TEST("reference sample: only the first num_sampled rows are sampled, by their persistent rows") {
  Sampling sampling(3, {1, 2, 3});
  sampling.num_sampled = 2;
  sampling.rows = {2, 0, 1};
  sampling.bias_counts[2] = 1;
  sampling.bias_values[2 * kMaxIds] = 10;
  sampling.token_ids.at(2, 0) = -9;
  sampling.run();
  expect_same_bits("token_ids", sampling.token_ids, Tensor<int32_t>(3, 1, {0, 2, -9}));
}

// ---- logprobs -------------------------------------------------------------------------------------------------------

// The mask forbids token 0; logprobs are those of 0.5, 0.25, 0.25 all the same.
MOESAIC_TEST("reference sample: logprobs are of the raw logits, best first, ties to the lower id") {
  const float half = std::log(0.5f), quarter = std::log(0.25f);
  Sampling sampling(3, {half + 7, quarter + 7, quarter + 7});
  sampling.allowed = {0b110, 0b110, 0b110};
  sampling.num_top_logprobs = {2, 0, -1};
  sampling.run();
  expect_same_bits("token_ids", sampling.token_ids, Tensor<int32_t>(3, 1, {1, 1, 1}));
  expect_close("logprobs", sampling.logprobs, Tensor<float>(3, 1, {quarter, quarter, NAN}), 1e-6, 0);
  expect_same_bits("top_ids", sampling.top_ids,
                   Tensor<int32_t>(3, kMaxTop, {0, 1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}));
  expect_close("top_logprobs", sampling.top_logprobs,
               Tensor<float>(3, kMaxTop, {half, quarter, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN}), 1e-6, 0);
}

MOESAIC_TEST("reference sample: more top logprobs than there are tokens report every token") {
  Sampling sampling(1, {0, 0});
  sampling.num_top_logprobs[0] = kMaxTop;
  sampling.run();
  expect_same_bits("top_ids", sampling.top_ids, Tensor<int32_t>(1, kMaxTop, {0, 1, -1, -1}));
}

MOESAIC_TEST("reference sample: an impossible token has logprob minus infinity, an infinite one 0") {
  Sampling sampling(1, {NAN, INFINITY, 3});
  sampling.num_top_logprobs[0] = 3;
  sampling.run();
  expect_same_bits("top_ids", sampling.top_ids, Tensor<int32_t>(1, kMaxTop, {1, 2, 0, -1}));
  expect_close("top_logprobs", sampling.top_logprobs, Tensor<float>(1, kMaxTop, {0, -INFINITY, -INFINITY, NAN}), 0, 0);
}

// ---- what is refused ------------------------------------------------------------------------------------------------

MOESAIC_TEST("reference sample: values out of range are refused, NaN too") {
  const auto refused = [](const char* words, const std::function<void(Sampling&)>& spoil) {
    Sampling sampling(1, {1, 2});
    spoil(sampling);
    expect_sample_refusal(sampling, words);
  };
  refused("temperature is -1", [](Sampling& s) { s.temperature[0] = -1; });
  refused("temperature is", [](Sampling& s) { s.temperature[0] = NAN; });
  refused("top_k is -1", [](Sampling& s) { s.top_k[0] = -1; });
  refused("top_p is 1.5", [](Sampling& s) { s.top_p[0] = 1.5f; });
  refused("min_p is", [](Sampling& s) { s.min_p[0] = NAN; });
  refused("repetition_penalty is 0", [](Sampling& s) { s.repetition[0] = 0; });
  refused("4 stop ids, want 0 to 3", [](Sampling& s) { s.stop_counts[0] = 4; });
  refused("-1 biases", [](Sampling& s) { s.bias_counts[0] = -1; });
  refused("num_top_logprobs is 5, want -1 to 4", [](Sampling& s) { s.num_top_logprobs[0] = 5; });
  refused("rows[0] is -1", [](Sampling& s) { s.rows[0] = -1; });
  refused("row 0 has 9 tokens, want 0 to 8", [](Sampling& s) { s.seq_lens[0] = 9; });
  refused("num_sampled is 2, want 0 to 1", [](Sampling& s) { s.num_sampled = 2; });
  refused("KV block 0 at table entry 1", [](Sampling& s) {
    s.seq_lens[0] = 5;
    s.history_table[1] = 0;
  });
}
