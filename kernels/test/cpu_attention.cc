// attention of the cpu package against the reference package: shapes, windows, sinks, chunks, batch mates.
#include <cmath>

#include "cpu_isa.h"

using namespace moesaic::test;

namespace {

struct Heads {
  int32_t num_heads, num_kv_heads, head_dim, block_size;
};

// Random queries for every position of one long sequence per row, and the KV of all rows.
struct Model {
  Heads heads;
  int32_t seq_len;
  Random random{301};
  KvArrays kv{random, 3, seq_len, heads.block_size, heads.num_kv_heads, heads.head_dim};
  int32_t cols{(heads.num_heads + 2 * heads.num_kv_heads) * heads.head_dim};
  Tensor<float> queries{random_tensor(random, 3 * seq_len, cols)};
  Tensor<float> sinks{random_tensor(random, 1, heads.num_heads)};

  Model(const Heads& shape, int32_t length) : heads(shape), seq_len(length) { kv.fill(random); }
};

struct Span {
  int32_t row, first, count;
};

// Attention outputs of the queries of `spans`, one span after another.
Tensor<float> attend(const Runner& runner, const Model& model, const std::vector<Span>& spans, int32_t window,
                     bool has_sinks = true) {
  std::vector<StepSeq> seqs;
  for (const Span& span : spans) {
    seqs.push_back({span.row, span.first, std::vector<int32_t>(static_cast<size_t>(span.count))});
  }
  const StepArrays step(seqs, model.seq_len);
  Tensor<float> qkv(step.num_tokens(), model.cols),
      out(step.num_tokens(), model.heads.num_heads * model.heads.head_dim);
  int32_t token = 0;
  for (const Span& span : spans) {
    for (int32_t i = 0; i < span.count; ++i, ++token) {
      std::copy_n(&model.queries.at(span.row * model.seq_len + span.first + i, 0), model.cols, &qkv.at(token, 0));
    }
  }
  runner.run(mk_attention_args{sizeof(mk_attention_args), step.view(), qkv.view(),
                               has_sinks ? model.sinks.vector() : no_vector(), model.kv.view(), out.view(),
                               model.heads.num_heads, window, 0.4f});
  return out;
}

constexpr Heads kDemo = {8, 4, 64, 16};

}  // namespace

MOESAIC_TEST("cpu attention: agrees with the reference on heads, block sizes, windows and lengths that break tiles") {
  const Heads shapes[] = {kDemo,           {8, 2, 64, 16},  {8, 1, 16, 8},  {3, 3, 48, 1},
                          {2, 2, 256, 32}, {5, 1, 80, 128}, {64, 1, 32, 16}};
  for (const Heads& heads : shapes) {
    const Model model(heads, 150);
    const std::vector<std::vector<Span>> steps = {
        {{0, 0, 1}}, {{1, 149, 1}}, {{2, 63, 2}, {0, 64, 1}}, {{0, 0, 150}}, {{0, 15, 3}, {1, 100, 17}, {2, 127, 1}}};
    for (const std::vector<Span>& spans : steps) {
      for (const int32_t window : {0, 1, 16, 100}) {
        const Tensor<float> want = attend(Runner("reference"), model, spans, window);
        for (const uint32_t features : instruction_sets()) {
          const Tensor<float> out = attend(Runner("cpu", 2, features), model, spans, window);
          expect_rows_close(text("out, head_dim %d, window %d", heads.head_dim, window).c_str(), out, want, 1e-5);
        }
      }
    }
  }
}

MOESAIC_TEST("cpu attention: agrees with the reference without sinks") {
  const Model model(kDemo, 100);
  expect_rows_close("out", attend(Runner("cpu"), model, {{0, 0, 100}}, 0, false),
                    attend(Runner("reference"), model, {{0, 0, 100}}, 0, false), 3e-6);
}

// The whole prompt in one step against its pieces, of any size, with or without batch mates.
MOESAIC_TEST("cpu attention: a prompt in chunks has the bits of the whole prompt") {
  const Model model(kDemo, 200);
  for (const int32_t window : {0, 32}) {
    const Tensor<float> whole = attend(Runner("cpu", 1, MK_CPU_AVX2), model, {{0, 0, 200}}, window);
    for (const uint32_t features : instruction_sets()) {
      const Runner runner("cpu", 3, features, 1);
      expect_same_bits("whole", attend(runner, model, {{0, 0, 200}}, window), whole);
      int32_t first = 0;
      for (const int32_t count : {1, 2, 7, 33, 64, 80, 13}) {
        const Tensor<float> alone = attend(runner, model, {{0, first, count}}, window);
        expect_same_bits("chunk", alone, rows_of(whole, first, count));
        const Tensor<float> mixed = attend(runner, model, {{2, 5, 9}, {0, first, count}, {1, 99, 1}}, window);
        expect_same_bits("chunk among others", rows_of(mixed, 9, count), rows_of(whole, first, count));
        first += count;
      }
    }
  }
}

// Slots behind the window belong to others, slots after the last token are not written yet: both may hold anything.
MOESAIC_TEST("cpu attention: looks at no slot that its queries do not see") {
  Model model(kDemo, 160);
  const std::vector<Span> spans = {{0, 90, 7}};
  const Tensor<float> want = attend(Runner("cpu"), model, spans, 20);
  for (int32_t position = 0; position < 160; ++position) {
    if (position >= 90 - 19 && position < 97) continue;
    for (int32_t head = 0; head < 4; ++head) {
      std::fill_n(model.kv.k.data() + model.kv.slot(0, position, head), 64, NAN);
      std::fill_n(model.kv.v.data() + model.kv.slot(0, position, head), 64, NAN);
    }
  }
  for (int32_t block = 0; block < (90 - 19) / 16; ++block) model.kv.table[static_cast<size_t>(block)] = 0;
  for (const uint32_t features : instruction_sets())
    expect_same_bits("out", attend(Runner("cpu", 2, features), model, spans, 20), want);
}

// Scores far below the sink, and far above it: the online maximum moves by hundreds.
MOESAIC_TEST("cpu attention: extreme sinks and scores give the limits, never NaN") {
  Model model(kDemo, 70);
  for (const float sink : {-1e30f, 1e4f, -INFINITY}) {
    std::fill_n(model.sinks.data(), 8, sink);
    for (const float gain : {1.0f, 300.0f}) {
      for (size_t i = 0; i < model.queries.size(); ++i) model.queries.data()[i] *= gain;
      const Tensor<float> want = attend(Runner("reference"), model, {{0, 0, 70}}, 0);
      for (const uint32_t features : instruction_sets()) {
        expect_close("out", attend(Runner("cpu", 2, features), model, {{0, 0, 70}}, 0), want, 1e-4, 1e-4);
      }
      for (size_t i = 0; i < model.queries.size(); ++i) model.queries.data()[i] /= gain;
    }
  }
}

// One key besides the sink of logit 0: out = v e^s / (1 + e^s), which shows exp over its whole range.
MOESAIC_TEST("cpu attention: the exponential is right to two ulps over its range") {
  Model model({1, 1, 16, 16}, 1);
  std::fill_n(model.kv.k.data(), model.kv.k.size(), 0.0f);
  model.kv.k.data()[model.kv.slot(0, 0, 0)] = 1;
  std::fill_n(model.kv.v.data(), model.kv.v.size(), 1.0f);
  model.sinks.at(0, 0) = 0;
  for (const uint32_t features : instruction_sets()) {
    const Runner runner("cpu", 1, features);
    for (int step = -2200; step <= 2200; ++step) {
      model.queries.at(0, 0) = static_cast<float>(step) / 8;
      const double score = static_cast<double>(0.4f * model.queries.at(0, 0));
      const double want = 1 / (1 + std::exp(-score)),
                   got = static_cast<double>(attend(runner, model, {{0, 0, 1}}, 0).at(0, 0));
      expect(std::fabs(got - want) <= 3.6e-7 * want + 1e-44, "score %.9g gives %.9g, want %.9g", score, got, want);
    }
  }
}

MOESAIC_TEST("cpu attention: head sizes it does not know are left to others") {
  for (const Heads& heads : {Heads{4, 2, 8, 16}, Heads{4, 2, 24, 16}, Heads{4, 2, 272, 16}}) {
    const Model model(heads, 4);
    const StepArrays step({{0, 0, {0}}}, 4);
    const Tensor<float> qkv(1, model.cols), out(1, 4 * heads.head_dim);
    const mk_attention_args args{
        sizeof(args), step.view(), qkv.view(), no_vector(), model.kv.view(), out.view(), 4, 0, 1};
    expect(Runner("cpu").find(args) == nullptr, "a kernel for head_dim %d", heads.head_dim);
  }
}

MOESAIC_TEST("cpu attention and rope_kv_write: a bf16 cache is left to packages for GPUs") {
  Model model(kDemo, 4);
  const StepArrays step({{0, 0, {0}}}, 4);
  const Tensor<float> qkv(1, model.cols), out(1, 8 * 64), rope(1, 64);
  mk_attention_args attention{
      sizeof(attention), step.view(), qkv.view(), no_vector(), model.kv.view(), out.view(), 8, 0, 1};
  mk_rope_kv_write_args write{sizeof(write), step.view(), qkv.view(), rope.view(), model.kv.view(), 8};
  expect(Runner("cpu").find(attention) != nullptr && Runner("cpu").find(write) != nullptr, "float32 is not served");
  attention.kv.dtype = write.kv.dtype = MK_BF16;
  expect(Runner("cpu").find(attention) == nullptr && Runner("cpu").find(write) == nullptr, "bf16 is served");
}

MOESAIC_TEST("cpu attention: refuses null blocks that a query sees, and queries that are not the step's tokens") {
  Model model(kDemo, 64);
  StepArrays step({{0, 40, {0, 0}}}, 64);
  const Tensor<float> qkv(2, model.cols), out(2, 8 * 64);
  const mk_attention_args args{
      sizeof(args), step.view(), qkv.view(), no_vector(), model.kv.view(), out.view(), 8, 5, 1};
  const Runner runner("cpu");
  const mk_kernel& kernel = runner.kernel(args);
  const int32_t block = model.kv.table[2];
  model.kv.table[2] = 0;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "block 2 of row 0 is 0", args);
  model.kv.table[2] = block;
  step.positions[1] = -1;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "positions[1] is -1", args);
  step.positions[1] = 41;
  step.query_starts[1] = 1;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "whose queries are not the 2 tokens", args);
}
