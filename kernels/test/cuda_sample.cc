// sample and sample_shard of the cuda package, compared with the reference: ids are equal, but for ties that float64 rounding
// decides, which no seed here meets.
#include <algorithm>
#include <cmath>

#include "cuda_harness.h"

namespace moesaic::test {

namespace {

// Sums are float64 or integer in both; what is stored is rounded once.
constexpr Tolerance kSampling{1e-6, 1e-6, 1e-7};

constexpr int32_t kMaxTop = 20, kMaxStops = 4, kMaxBiases = 300, kBlockSize = 16;

// Sampling parameters and history of `rows` persistent rows, of which the first `sampled` in another order are sampled.
struct Batch {
  Batch(int32_t sampled, int32_t vocab, int32_t longest, uint64_t seed)
      : random(seed),
        vocab(vocab),
        num_rows(sampled + 1),
        max_blocks((longest + kBlockSize - 1) / kBlockSize),
        num_sampled(sampled),
        logits(roomy_random(random, sampled, vocab, 3)),
        token_ids(sampled, 1),
        last_sampled(num_rows, 1),
        top_ids(sampled, kMaxTop),
        logprobs(sampled, 1),
        top_logprobs(sampled, kMaxTop) {
    const auto rows = static_cast<size_t>(num_rows);
    for (std::vector<float>* zeros : {&temperature, &min_p, &presence, &frequency}) zeros->assign(rows, 0);
    for (std::vector<float>* ones : {&top_p, &repetition}) ones->assign(rows, 1);
    for (std::vector<int32_t>* zeros : {&top_k, &num_prompt, &min_seq_len, &stop_counts, &bias_counts}) zeros->assign(rows, 0);
    num_top.assign(rows, -1);
    stop_ids.assign(rows * kMaxStops, 0);
    bias_ids.assign(rows * kMaxBiases, 0);
    bias_values.assign(rows * kMaxBiases, 0);
    for (int32_t row = 0; row < num_rows; ++row) seeds.push_back(random.bits());
    for (int32_t i = 0; i < sampled; ++i) {
      row_of.push_back(sampled - i);
      seq_lens.push_back(random.integer(1, longest));
    }
    for (int32_t b = 0; b < num_rows * max_blocks; ++b) table.push_back(b + 1);
    for (size_t i = table.size(); i > 1; --i) std::swap(table[i - 1], table[random.bits() % i]);
    history.resize((table.size() + 1) * kBlockSize);
    // Some tokens often, some ids of other vocabularies.
    for (int32_t& id : history) id = random.integer(0, 2) == 0 ? random.integer(0, 20) : random.integer(-1, vocab + 5);
  }
  size_t at(int32_t i) const { return static_cast<size_t>(row_of[static_cast<size_t>(i)]); }

  template <class Use>
  void with_args(const Use& use) {
    const std::vector<int32_t> has_mask(static_cast<size_t>(num_rows), allowed.empty() ? 0 : 1);
    const uint32_t nothing = 0;
    const uint32_t* const masks = allowed.empty() ? &nothing : allowed.data();
    const mk_row_sampling sampling{sizeof(sampling),   temperature.data(), top_k.data(),       top_p.data(),
                                   min_p.data(),       presence.data(),    frequency.data(),   repetition.data(),
                                   seeds.data(),       num_prompt.data(),  min_seq_len.data(), num_top.data(),
                                   stop_counts.data(), stop_ids.data(),    bias_counts.data(), bias_ids.data(),
                                   bias_values.data(), has_mask.data(),    masks,              kMaxStops,
                                   kMaxBiases};
    mk_sample_args args{};
    args.struct_size = sizeof(args);
    args.logits = logits.view();
    args.num_sampled = &num_sampled;
    args.rows = row_of.data();
    args.seq_lens = seq_lens.data();
    args.sampling = &sampling;
    args.history_tokens = history.data();
    args.history_table = table.data();
    args.max_blocks = max_blocks;
    args.block_size = kBlockSize;
    args.token_ids = token_ids.data();
    args.last_sampled = last_sampled.data();
    args.logprobs = logprobs.data();
    args.max_top_logprobs = kMaxTop;
    args.top_ids = top_ids.data();
    args.top_logprobs = top_logprobs.data();
    use(args);
  }
  void compare(const Mode& mode) {
    with_args([&](const mk_sample_args& args) { Comparison(mode).run(args, kSampling); });
  }

  Random random;
  int32_t vocab, num_rows, max_blocks, num_sampled;
  Tensor<float> logits;
  Tensor<int32_t> token_ids, last_sampled, top_ids;
  Tensor<float> logprobs, top_logprobs;
  std::vector<float> temperature, top_p, min_p, presence, frequency, repetition, bias_values;
  std::vector<int32_t> top_k, num_prompt, min_seq_len, num_top, stop_counts, stop_ids, bias_counts, bias_ids, row_of, seq_lens,
      table, history;
  std::vector<uint64_t> seeds;
  std::vector<uint32_t> allowed;
};

using Change = std::function<void(Batch&, size_t row, int32_t i)>;

void sample(const Mode& mode, int32_t rows, int32_t vocab, int32_t longest, const Change& change) {
  Batch batch(rows, vocab, longest, static_cast<uint64_t>(vocab) + static_cast<uint64_t>(rows));
  for (int32_t i = 0; i < rows; ++i) change(batch, batch.at(i), i);
  batch.compare(mode);
}

void penalize(Batch& b, size_t row, int32_t i) {
  b.repetition[row] = i % 3 == 0 ? 1.3f : 1;
  b.frequency[row] = i % 3 == 1 ? 0.3f : 0;
  b.presence[row] = i % 2 == 0 ? 0.7f : 0;
  b.num_prompt[row] = b.seq_lens[static_cast<size_t>(i)] / 2;
}

void forbid(Batch& b, size_t row, int32_t i) {
  const size_t words = static_cast<size_t>((b.vocab + 31) / 32);
  b.allowed.resize(words * static_cast<size_t>(b.num_rows));
  // Every fifth row allows nothing.
  for (size_t w = 0; w < words; ++w) {
    b.allowed[row * words + w] = i % 5 == 4 ? 0 : static_cast<uint32_t>(b.random.bits());
  }
  b.stop_counts[row] = 3;
  b.min_seq_len[row] = i % 2 == 0 ? 1 << 20 : 0;
  for (int32_t n = 0; n < 3; ++n) {
    const float* const logits = &b.logits.at(i, 0);
    const auto best = static_cast<int32_t>(std::max_element(logits, logits + b.vocab) - logits);
    b.stop_ids[row * kMaxStops + static_cast<size_t>(n)] = n == 0 ? best : b.random.integer(-2, b.vocab + 2);
  }
}

void bias(Batch& b, size_t row, int32_t i) {
  b.bias_counts[row] = i % 2 == 0 ? kMaxBiases : 5;
  for (int32_t n = 0; n < b.bias_counts[row]; ++n) {
    b.bias_ids[row * kMaxBiases + static_cast<size_t>(n)] = b.random.integer(-3, b.vocab + 3);
    b.bias_values[row * kMaxBiases + static_cast<size_t>(n)] = 4 * b.random.normal();
  }
}

// NaN, infinities, zeros of both signs and many equals.
void spoil_logits(Batch& b, int32_t i) {
  for (int32_t c = 0; c < b.vocab; ++c) {
    float& logit = b.logits.at(i, c);
    if (c % 7 == 0) logit = NAN;
    if (c % 11 == 3) logit = -INFINITY;
    if (c % 5 == 2) logit = c % 2 == 0 ? 0.0f : -0.0f;
    if (i % 3 == 1) logit = std::round(logit);
    if (i % 4 == 2 && c % 13 == 0) logit = INFINITY;
    if (i % 6 == 5) logit = c % 2 == 0 ? NAN : -INFINITY;
    if (i % 6 == 4) logit = -0.0f;
  }
}

struct NamedChange {
  const char* name;
  Change change;
};

const std::vector<NamedChange>& changes() {
  static const std::vector<NamedChange> kChanges = {
      {"greedy", [](Batch&, size_t, int32_t) {}},
      {"greedy with logprobs", [](Batch& b, size_t row, int32_t i) { b.num_top[row] = i % 3 == 0 ? kMaxTop : i % 3 - 1; }},
      {"temperature",
       [](Batch& b, size_t row, int32_t i) {
         b.temperature[row] = i % 4 == 0 ? 1 : i % 4 == 1 ? 0.2f : i % 4 == 2 ? 2.5f : 1e-30f;
       }},
      {"top_k",
       [](Batch& b, size_t row, int32_t i) {
         b.temperature[row] = 1;
         b.top_k[row] = i % 5 == 0 ? 1 : i % 5 == 1 ? 50 : i % 5 == 2 ? 1000000 : i % 5 == 3 ? b.vocab - 1 : 7;
       }},
      {"top_p",
       [](Batch& b, size_t row, int32_t i) {
         b.temperature[row] = i % 2 == 0 ? 1 : 0.7f;
         b.top_p[row] = i % 4 == 0 ? 0.95f : i % 4 == 1 ? 0.5f : i % 4 == 2 ? 0 : 0.9999f;
       }},
      {"min_p",
       [](Batch& b, size_t row, int32_t i) {
         b.temperature[row] = 1.5f;
         b.min_p[row] = i % 3 == 0 ? 0.05f : i % 3 == 1 ? 1 : 1e-6f;
       }},
      {"top_k, top_p and min_p",
       [](Batch& b, size_t row, int32_t i) {
         b.temperature[row] = 1;
         b.top_k[row] = i % 3 == 0 ? 40 : i % 3 == 1 ? 2000 : 3;
         b.top_p[row] = i % 2 == 0 ? 0.9f : 0.6f;
         b.min_p[row] = i % 4 == 0 ? 0.1f : 0;
         b.num_top[row] = 5;
       }},
      {"penalties", [](Batch& b, size_t row, int32_t i) { penalize(b, row, i); }},
      {"biases", [](Batch& b, size_t row, int32_t i) { bias(b, row, i); }},
      {"masks", [](Batch& b, size_t row, int32_t i) { forbid(b, row, i); }},
      {"everything",
       [](Batch& b, size_t row, int32_t i) {
         penalize(b, row, i);
         bias(b, row, i);
         forbid(b, row, i);
         b.temperature[row] = i % 3 == 0 ? 0 : 0.8f;
         b.top_k[row] = i % 2 * 30;
         b.top_p[row] = i % 4 < 2 ? 0.9f : 1;
         b.num_top[row] = i % 2 == 0 ? 3 : -1;
       }},
      {"awkward logits",
       [](Batch& b, size_t row, int32_t i) {
         spoil_logits(b, i);
         b.temperature[row] = i % 2 == 0 ? 0 : 1;
         b.top_k[row] = i % 8 == 3 ? 5 : 0;
         b.top_p[row] = i % 8 == 5 ? 0.5f : 1;
         b.num_top[row] = 4;
       }},
  };
  return kChanges;
}

// A shard of the batch's vocabulary: its columns, and what is reported of them.
void sample_shard(const Mode& mode, int32_t rows, int32_t vocab, int32_t begin, int32_t end, int32_t max_candidates,
                  const Change& change) {
  Batch batch(rows, vocab, 100, static_cast<uint64_t>(vocab) + static_cast<uint64_t>(begin));
  for (int32_t i = 0; i < rows; ++i) change(batch, batch.at(i), i);
  Tensor<float> shard = roomy<float>(rows, end - begin);
  for (int32_t i = 0; i < rows; ++i) std::copy_n(&batch.logits.at(i, begin), end - begin, &shard.at(i, 0));
  const Tensor<int32_t> ids(rows, max_candidates), best_id(rows, 1), survivors(rows, 1);
  const Tensor<float> logits(rows, max_candidates), raw(rows, max_candidates), raw_max(rows, 1), raw_sum(rows, 1),
      processed_max(rows, 1), processed_sum(rows, 1), best_score(rows, 1);
  batch.with_args([&](mk_sample_args sample) {
    sample.logits = shard.view();
    sample.token_ids = sample.last_sampled = sample.top_ids = nullptr;
    sample.logprobs = sample.top_logprobs = nullptr;
    const mk_sample_shard_args args{sizeof(args),        sample,         begin,          vocab,
                                    max_candidates,      ids.data(),     logits.data(),  raw.data(),
                                    raw_max.data(),      raw_sum.data(), processed_max.data(), processed_sum.data(),
                                    best_id.data(),      best_score.data(), survivors.data()};
    Comparison(mode).run(args, kSampling);
  });
}

}  // namespace

// Sampling is the same in every mode; one is enough.
void add_sample_cases(CudaCases* cases) {
  const auto add = [&](const std::string& name, bool is_unit, const std::function<void(const Mode&)>& run) {
    cases->push_back({name, is_unit, [run] { run(kModes[0]); }});
  };
  for (const auto& [name, change] : changes()) {
    const Change c = change;
    // One chunk and a piece of one, odd and even; many chunks; the real vocabulary.
    for (const int32_t vocab : {1, 37, 2048, 4099, 12292}) {
      add(text("sample, %s, vocabulary of %d, 13 rows", name, vocab), vocab <= 4099,
          [=](const Mode& mode) { sample(mode, 13, vocab, 200, c); });
      add(text("sample_shard, %s, vocabulary of %d, all of it", name, vocab), vocab <= 4099,
          [=](const Mode& mode) { sample_shard(mode, 13, vocab, 0, vocab, 24, c); });
    }
    add(text("sample, %s, vocabulary of 201088, 33 rows", name), false,
        [=](const Mode& mode) { sample(mode, 33, 201088, 3000, c); });
    add(text("sample_shard, %s, 5001 to 9000 of 20000", name), true,
        [=](const Mode& mode) { sample_shard(mode, 7, 20000, 5001, 9000, 256, c); });
    add(text("sample_shard, %s, the last of 201088", name), false,
        [=](const Mode& mode) { sample_shard(mode, 9, 201088, 100544, 201088, 256, c); });
  }
  // Equal logits fill one bin, and the list of the bin is longer than its cache.
  add("sample, equal logits with top_p and top_k", false, [](const Mode& mode) {
    sample(mode, 5, 50000, 20, [](Batch& b, size_t row, int32_t i) {
      std::fill_n(&b.logits.at(i, 0), b.vocab, 1.5f);
      b.temperature[row] = 1;
      b.top_p[row] = i % 2 == 0 ? 0.5f : 1;
      b.top_k[row] = i < 3 ? 0 : 12345;
    });
  });
  add("sample, a long history", false, [](const Mode& mode) {
    sample(mode, 3, 201088, 131072, [](Batch& b, size_t row, int32_t i) { penalize(b, row, i); });
  });
  add("sample, 256 rows", false, [](const Mode& mode) {
    sample(mode, 256, 5003, 50, [](Batch& b, size_t row, int32_t i) {
      changes()[static_cast<size_t>(i) % changes().size()].change(b, row, i);
    });
  });
}

}  // namespace moesaic::test
