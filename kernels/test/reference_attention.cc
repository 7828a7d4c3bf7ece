// rope_table, rope_kv_write and attention of the reference package, worked out by hand.
#include <algorithm>
#include <cmath>

#include "harness.h"

using namespace moesaic::test;

namespace {

// One head of two dimensions, keys (2, 0) and (0, 2) at positions 0 and 1, values (1, 10) and (3, -2), scale 0.5: the
// score of key j is element j of the query.
struct TwoTokens {
  Random random{1};
  StepArrays step{{{0, 0, {5, 6}}}, 4};
  KvArrays kv{random, 1, 4, 2, 1, 2};
  Tensor<float> qkv{2, 6}, out{2, 2}, sinks{1, 1};
  mk_attention_args args{
      sizeof(mk_attention_args), step.view(), qkv.view(), sinks.vector(), kv.view(), out.view(), 1, 0, 0.5f};

  TwoTokens() {
    const float keys[] = {2, 0, 0, 2}, values[] = {1, 10, 3, -2};
    for (int i = 0; i < 4; ++i) {
      kv.k.data()[kv.slot(0, i / 2, 0) + i % 2] = keys[i];
      kv.v.data()[kv.slot(0, i / 2, 0) + i % 2] = values[i];
    }
    qkv.at(0, 0) = std::log(4.0f);
    qkv.at(1, 0) = std::log(2.0f);
    qkv.at(1, 1) = std::log(3.0f);
  }
};

}  // namespace

// Frequencies 0, 12, 17 and 31 of gpt-oss' table and cosines and sines computed by other means, to six decimals.
MOESAIC_TEST("reference rope_table: has the cosines and sines of YaRN's table") {
  const float frequencies[] = {1, 6.7949594897e-03f, 1.2931870125e-04f, 3.0235114281e-07f};
  StepArrays step({{0, 1, {0}}, {1, 100, {0}}, {2, 5000, {0}}}, 8192);
  Tensor<float> out(3, 8);
  Runner("reference")
      .run(mk_rope_table_args{sizeof(mk_rope_table_args), step.view(), frequencies, 1.3465735902799727f, out.view()});
  const struct {
    int row, frequency;
    double cos, sin;
  } want[] = {{0, 0, 0.727557, 1.133103},
              {0, 2, 1.346574, 0.000174},
              {1, 1, 1.047486, 0.846188},
              {2, 2, 1.074755, 0.811272},
              {2, 3, 1.346572, 0.002036}};
  for (const auto& w : want) {
    const double cos = out.at(w.row, w.frequency), sin = out.at(w.row, 4 + w.frequency);
    expect(std::fabs(cos - w.cos) < 1e-6 && std::fabs(sin - w.sin) < 1e-6, "row %d, frequency %d is %.7f, %.7f", w.row,
           w.frequency, cos, sin);
  }
}

// A quarter turn takes (first, second) to (-second, first).
MOESAIC_TEST("reference rope_kv_write: turns halves, leaves v alone, and writes to the token's slots only") {
  Runner runner("reference");
  Random random(3);
  KvArrays kv(random, 2, 4, 2, 1, 4);
  StepArrays step({{1, 2, {0}}, {0, 1, {0}}}, 4);
  Tensor<float> rope(2, 4, {0, 0, 1, 1, 1, 1, 0, 0});
  Tensor<float> qkv(2, 16, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,  //
                            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  Tensor<float> k(kv.k.rows(), 4), v(kv.v.rows(), 4);
  const float turned[] = {-11, -12, 9, 10}, straight[] = {9, 10, 11, 12}, value[] = {13, 14, 15, 16};
  std::copy_n(turned, 4, k.data() + kv.slot(1, 2, 0));
  std::copy_n(straight, 4, k.data() + kv.slot(0, 1, 0));
  std::copy_n(value, 4, v.data() + kv.slot(1, 2, 0));
  std::copy_n(value, 4, v.data() + kv.slot(0, 1, 0));
  const mk_rope_kv_write_args args{sizeof(args), step.view(), qkv.view(), rope.view(), kv.view(), 2};
  runner.run(args);
  expect_same_bits("k", kv.k, k);
  expect_same_bits("v", kv.v, v);
  Tensor<float> q(2, 8), want(2, 8, {-3, -4, 1, 2, -7, -8, 5, 6, 1, 2, 3, 4, 5, 6, 7, 8});
  for (int t = 0; t < 2; ++t) std::copy_n(&qkv.at(t, 0), 8, &q.at(t, 0));
  expect_same_bits("q", q, want);
}

MOESAIC_TEST(
    "reference rope_kv_write: refuses the null block, blocks outside the pool and positions outside the table") {
  Runner runner("reference");
  Random random(3);
  KvArrays kv(random, 1, 4, 2, 1, 2);
  StepArrays step({{0, 2, {0}}}, 4);
  Tensor<float> rope(1, 2), qkv(1, 6);
  const mk_rope_kv_write_args args{sizeof(args), step.view(), qkv.view(), rope.view(), kv.view(), 1};
  const mk_kernel& kernel = runner.kernel(args);
  kv.table[1] = 0;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "row 0 has KV block 0 at table entry 1", args);
  kv.table[1] = 3;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "KV block 3 at table entry 1, want 1 to 2", args);
  step.positions[0] = 4;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "positions[0] is 4", args);
  step.positions[0] = -1;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "positions[0] is -1", args);
  step.token_seqs[0] = 1;
  step.positions[0] = 0;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "token_seqs[0] is 1", args);
}

// Token 0: weights 4 and 1 (the sink). Token 1: weights 2, 3 and 1, so (2 v0 + 3 v1) / 6.
MOESAIC_TEST("reference attention: the sink takes its share and has no value") {
  TwoTokens t;
  Runner("reference").run(t.args);
  expect_close("out", t.out, Tensor<float>(2, 2, {0.8f, 8, 11.0f / 6, 14.0f / 6}), 0, 3e-7);
}

MOESAIC_TEST("reference attention: without a sink the weights are those of the keys alone") {
  TwoTokens t;
  t.args.sinks = no_vector();
  Runner("reference").run(t.args);
  expect_close("out", t.out, Tensor<float>(2, 2, {1, 10, 11.0f / 5, 14.0f / 5}), 0, 3e-7);
}

MOESAIC_TEST("reference attention: a window of one sees the token itself") {
  TwoTokens t;
  t.args.window = 1;
  Runner("reference").run(t.args);
  expect_close("out", t.out, Tensor<float>(2, 2, {0.8f, 8, 9.0f / 4, -6.0f / 4}), 0, 3e-7);
}

// Blocks behind the window may have been given to others: neither their table entries nor their contents may matter.
MOESAIC_TEST("reference attention: a window never looks at blocks behind it") {
  Runner runner("reference");
  Random random(5);
  KvArrays kv(random, 1, 64, 4, 2, 8);
  kv.fill(random);
  Tensor<float> qkv = random_tensor(random, 3, 6 * 8), whole(3, 16), freed(3, 16), sinks(1, 2, {0.5f, -1});
  StepArrays step({{0, 40, {1, 2, 3}}}, 64);
  mk_attention_args args{sizeof(args), step.view(), qkv.view(), sinks.vector(), kv.view(), whole.view(), 2, 5, 0.35f};
  runner.run(args);
  for (int32_t block = 0; block < 9; ++block) kv.table[static_cast<size_t>(block)] = 0;
  args.out = freed.view();
  runner.run(args);
  expect_same_bits("out", freed, whole);
  kv.table[9] = 0;
  runner.expect_refusal(runner.kernel(args), MK_INVALID_ARGUMENT, "KV block 0 at table entry 9", args);
}

// Four heads over two KV heads: heads 0 and 1 read KV head 0. With one key the output is its value, without a sink.
MOESAIC_TEST("reference attention: neighbouring heads share a KV head") {
  Random random(9);
  KvArrays kv(random, 1, 2, 2, 2, 2);
  kv.fill(random);
  StepArrays step({{0, 0, {1}}}, 2);
  Tensor<float> qkv = random_tensor(random, 1, 16), out(1, 8), want(1, 8);
  for (int32_t h = 0; h < 4; ++h) std::copy_n(kv.v.data() + kv.slot(0, 0, h / 2), 2, &want.at(0, 2 * h));
  const mk_attention_args args{sizeof(args), step.view(), qkv.view(), no_vector(), kv.view(), out.view(), 4, 0, 1};
  Runner("reference").run(args);
  expect_same_bits("out", out, want);
}

MOESAIC_TEST("reference attention: a bf16 cache is left to packages for GPUs") {
  TwoTokens t;
  expect(Runner("reference").find(t.args) != nullptr, "a float32 cache is not served");
  t.args.kv.dtype = MK_BF16;
  expect(Runner("reference").find(t.args) == nullptr, "a bf16 cache is served");
}

MOESAIC_TEST("reference attention: large scores do not overflow") {
  TwoTokens t;
  t.qkv.at(1, 0) = 5000;
  t.qkv.at(1, 1) = 4000;
  Runner("reference").run(t.args);
  expect(t.out.at(1, 0) == 1 && t.out.at(1, 1) == 10, "out[1] is %g, %g, want 1, 10",
         static_cast<double>(t.out.at(1, 0)), static_cast<double>(t.out.at(1, 1)));
}

MOESAIC_TEST("reference attention: the bits do not depend on batch mates, threads or the split") {
  Random random(13);
  KvArrays kv(random, 3, 40, 8, 2, 16);
  kv.fill(random);
  StepArrays both({{2, 20, {1, 1, 1, 1, 1}}, {0, 33, {1}}}, 40), alone({{0, 33, {1}}}, 40);
  Tensor<float> qkv = random_tensor(random, 6, 128), one(1, 128), sinks = random_tensor(random, 1, 4);
  Tensor<float> batch_out(6, 64), out(1, 64), want(1, 64);
  std::copy_n(&qkv.at(5, 0), 128, one.data());
  Runner("reference", 3, 0, 1)
      .run(mk_attention_args{sizeof(mk_attention_args), both.view(), qkv.view(), sinks.vector(), kv.view(),
                             batch_out.view(), 4, 0, 0.25f});
  Runner("reference", 1)
      .run(mk_attention_args{sizeof(mk_attention_args), alone.view(), one.view(), sinks.vector(), kv.view(), out.view(),
                             4, 0, 0.25f});
  std::copy_n(&batch_out.at(5, 0), 64, want.data());
  expect_same_bits("out", out, want);
}
