// linear, router and the fused linear + rope_kv_write of the cpu package against the reference package.
#include <cmath>

#include "cpu_isa.h"

using namespace moesaic::test;

namespace {

struct LinearCase {
  Matrix matrix;
  Tensor<float> bias;
  bool accumulate;
};

LinearCase random_linear(Random& random, int32_t rows, int32_t cols, bool accumulate) {
  return {random_bf16_matrix(random, 1, rows, cols), random_tensor(random, 1, rows), accumulate};
}

// out keeps what it held where the case accumulates.
void run_linear(const Runner& runner, const LinearCase& linear, const Tensor<float>& x, const Tensor<float>& out) {
  mk_linear_args args{sizeof(args),         x.view(),   linear.matrix.shape(),
                      linear.bias.vector(), out.view(), linear.accumulate ? 1 : 0};
  const mk_kernel& kernel = runner.kernel(args);
  const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, linear.matrix);
  args.weight = packed.weight();
  runner.launch(kernel, args);
}

Tensor<float> copy_of(const Tensor<float>& from) { return rows_of(from, 0, from.rows()); }

constexpr int32_t kTokens[] = {1, 2, 3, 5, 8, 17, 64};

}  // namespace

MOESAIC_TEST("cpu linear: agrees with the reference on shapes that break tiles") {
  Random random(101);
  const int32_t shapes[][2] = {{1, 32},   {15, 33},  {16, 1},    {17, 96},    {31, 288},
                               {32, 255}, {33, 257}, {288, 352}, {1111, 288}, {65, 2880}};
  for (const auto& [rows, cols] : shapes) {
    const LinearCase linear = random_linear(random, rows, cols, rows % 2 == 0);
    for (const int32_t tokens : kTokens) {
      const Tensor<float> x = random_tensor(random, tokens, cols), start = random_tensor(random, tokens, rows);
      const Tensor<float> want = copy_of(start);
      run_linear(Runner("reference"), linear, x, want);
      for (const uint32_t features : instruction_sets()) {
        const Tensor<float> out = copy_of(start);
        run_linear(Runner("cpu", 2, features), linear, x, out);
        expect_close(text("out of (%d, %d) for %d rows", rows, cols, tokens).c_str(), out, want, 3e-6, 3e-6);
      }
    }
  }
}

MOESAIC_TEST("cpu linear: one row and many rows, one thread and many, AVX2 and AVX-512 give the same bits") {
  Random random(102);
  const LinearCase linear = random_linear(random, 211, 301, false);
  const Tensor<float> x = random_tensor(random, 64, 301), want(64, 211);
  run_linear(Runner("cpu", 1, MK_CPU_AVX2), linear, x, want);
  for (const uint32_t features : instruction_sets()) {
    const Tensor<float> whole(64, 211);
    run_linear(Runner("cpu", 3, features, 1), linear, x, whole);
    expect_same_bits("whole", whole, want);
    for (const int32_t tokens : kTokens) {
      for (int32_t first = 0; first + tokens <= 64; first += 13) {
        const Tensor<float> part(tokens, 211);
        run_linear(Runner("cpu", 2, features), linear, rows_of(x, first, tokens), part);
        expect_same_bits("part", part, rows_of(want, first, tokens));
      }
    }
  }
}

// More rows than one pass over the weights takes.
MOESAIC_TEST("cpu linear: a long prefill has the bits of its rows") {
  Random random(103);
  const LinearCase linear = random_linear(random, 20, 40, false);
  const Tensor<float> x = random_tensor(random, 1100, 40), whole(1100, 20);
  run_linear(Runner("cpu"), linear, x, whole);
  for (int32_t row = 0; row < 1100; row += 73) {
    const Tensor<float> one(1, 20);
    run_linear(Runner("cpu"), linear, rows_of(x, row, 1), one);
    expect_same_bits("row", one, rows_of(whole, row, 1));
  }
}

MOESAIC_TEST("cpu linear: decodes an MXFP4 source exactly when bf16 is to be stored") {
  Random random(104);
  const LinearCase linear{random_mxfp4_matrix(random, 1, 47, 96, MK_BF16), Tensor<float>(1, 47), false};
  const Tensor<float> x = random_tensor(random, 4, 96), out(4, 47), want(4, 47);
  run_linear(Runner("cpu"), linear, x, out);
  run_linear(Runner("reference"), linear, x, want);
  expect_close("out", out, want, 2e-6, 2e-6);
}

MOESAIC_TEST("cpu linear: refuses a row count over the room and a missing weight") {
  Random random(105);
  const LinearCase linear = random_linear(random, 8, 8, false);
  Runner runner("cpu");
  Tensor<float> x(2, 8), out(2, 8);
  mk_linear_args args{sizeof(args), x.view(), linear.matrix.shape(), no_vector(), out.view(), 0};
  const mk_kernel& kernel = runner.kernel(args);
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "linear.weight: data is NULL", args);
  const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, linear.matrix);
  args.weight = packed.weight();
  x.set_num_rows(3);
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "3 rows given, room for 2", args);
  args.struct_size = 8;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "8 given", args);
}

MOESAIC_TEST("cpu package: a device without AVX2 gets no vector kernel") {
  Tensor<float> x(1, 8), out(1, 8);
  const mk_linear_args args{sizeof(args), x.view(), {nullptr, MK_BF16, 1, 8, 8}, no_vector(), out.view(), 0};
  expect(Runner("cpu", 1, 0).find(args) == nullptr, "a kernel for a CPU without AVX2");
}

MOESAIC_TEST("cpu router: chooses the experts that the reference chooses, with its weights") {
  Random random(106);
  const int32_t shapes[][3] = {{6, 288, 2}, {32, 2880, 4}, {8, 256, 4}, {128, 96, 4}, {3, 33, 3}};
  for (const auto& [experts, hidden, per_token] : shapes) {
    const LinearCase linear = random_linear(random, experts, hidden, false);
    for (const int32_t tokens : {1, 5, 64}) {
      const Tensor<float> x = random_tensor(random, tokens, hidden);
      const auto route = [&](const Runner& runner, const Tensor<int32_t>& ids, const Tensor<float>& weights) {
        mk_router_args args{sizeof(args),         x.view(),   linear.matrix.shape(),
                            linear.bias.vector(), ids.view(), weights.view()};
        const mk_kernel& kernel = runner.kernel(args);
        const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, linear.matrix);
        args.weight = packed.weight();
        runner.launch(kernel, args);
      };
      const Tensor<int32_t> want_ids(tokens, per_token);
      const Tensor<float> want_weights(tokens, per_token);
      route(Runner("reference"), want_ids, want_weights);
      for (const uint32_t features : instruction_sets()) {
        const Tensor<int32_t> ids(tokens, per_token);
        const Tensor<float> weights(tokens, per_token);
        route(Runner("cpu", 2, features), ids, weights);
        expect_same_bits("expert_ids", ids, want_ids);
        expect_close("expert_weights", weights, want_weights, 3e-6, 0);
      }
    }
  }
}

// Equal rows of the weight give equal logits.
MOESAIC_TEST("cpu router: ties go to the lower expert, a NaN is chosen last") {
  Runner runner("cpu");
  const Matrix matrix = bf16_matrix(6, 1, {1, 3, NAN, 3, 2, 3});
  Tensor<float> x(1, 1, {1}), weights(1, 5);
  Tensor<int32_t> ids(1, 5);
  mk_router_args args{sizeof(args), x.view(), matrix.shape(), no_vector(), ids.view(), weights.view()};
  const mk_kernel& kernel = runner.kernel(args);
  const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, matrix);
  args.weight = packed.weight();
  runner.launch(kernel, args);
  expect_same_bits("expert_ids", ids, Tensor<int32_t>(1, 5, {1, 3, 5, 4, 0}));
}

namespace {

// qkv of one step, once by the fused kernel and once by its parts.
struct HeadsCase {
  Random random{107};
  int32_t num_heads, num_kv_heads, head_dim;
  StepArrays step{{{1, 14, {0, 0, 0, 0, 0}}, {0, 3, {0}}, {2, 30, {0, 0, 0, 0, 0, 0, 0, 0, 0}}}, 64};
  KvArrays kv{random, 3, 64, 16, num_kv_heads, head_dim};
  int32_t cols{(num_heads + 2 * num_kv_heads) * head_dim};
  Matrix matrix{random_bf16_matrix(random, 1, cols, 93)};
  Tensor<float> bias{random_tensor(random, 1, cols)}, x{random_tensor(random, 15, 93)},
      rope{random_tensor(random, 15, head_dim)};
  Tensor<float> qkv{15, cols};

  HeadsCase(int32_t heads, int32_t kv_heads, int32_t dim) : num_heads(heads), num_kv_heads(kv_heads), head_dim(dim) {}
  Tensor<float> q() const {
    Tensor<float> q(15, num_heads * head_dim);
    for (int32_t t = 0; t < 15; ++t) std::copy_n(&qkv.at(t, 0), q.cols(), &q.at(t, 0));
    return q;
  }
};

void run_heads(const Runner& runner, const HeadsCase& c, bool fused) {
  mk_linear_args linear{sizeof(linear), c.x.view(), c.matrix.shape(), c.bias.vector(), c.qkv.view(), 0};
  const mk_rope_kv_write_args rope{sizeof(rope), c.step.view(), c.qkv.view(), c.rope.view(), c.kv.view(), c.num_heads};
  const mk_kernel& kernel = fused ? runner.kernel(linear, rope) : runner.kernel(linear);
  const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, c.matrix);
  linear.weight = packed.weight();
  if (fused) return runner.launch(kernel, linear, rope);
  runner.launch(kernel, linear);
  runner.run(rope);
}

}  // namespace

MOESAIC_TEST("cpu linear + rope_kv_write: the fused kernel has the bits of its parts") {
  const int32_t shapes[][3] = {{8, 4, 64}, {8, 1, 16}, {3, 3, 48}, {2, 1, 256}};
  for (const auto& [heads, kv_heads, dim] : shapes) {
    HeadsCase parts(heads, kv_heads, dim);
    run_heads(Runner("cpu", 1, MK_CPU_AVX2), parts, false);
    for (const uint32_t features : instruction_sets()) {
      HeadsCase fused(heads, kv_heads, dim);
      run_heads(Runner("cpu", 3, features, 1), fused, true);
      expect_same_bits("q", fused.q(), parts.q());
      expect_same_bits("k", fused.kv.k, parts.kv.k);
      expect_same_bits("v", fused.kv.v, parts.kv.v);
    }
  }
}

MOESAIC_TEST("cpu rope_kv_write: agrees with the reference to the bit") {
  HeadsCase ours(8, 2, 64), reference(8, 2, 64);
  const auto run = [](const Runner& runner, HeadsCase& c) {
    for (size_t i = 0; i < c.qkv.size(); ++i) c.qkv.data()[i] = c.random.normal();
    runner.run(mk_rope_kv_write_args{sizeof(mk_rope_kv_write_args), c.step.view(), c.qkv.view(), c.rope.view(),
                                     c.kv.view(), 8});
  };
  run(Runner("cpu"), ours);
  run(Runner("reference"), reference);
  expect_same_bits("q", ours.q(), reference.q());
  expect_same_bits("k", ours.kv.k, reference.kv.k);
  expect_same_bits("v", ours.kv.v, reference.kv.v);
}

MOESAIC_TEST("cpu linear + rope_kv_write: refuses the null block and a position outside the table") {
  HeadsCase c(8, 4, 64);
  Runner runner("cpu");
  mk_linear_args linear{sizeof(linear), c.x.view(), c.matrix.shape(), c.bias.vector(), c.qkv.view(), 0};
  const mk_rope_kv_write_args rope{sizeof(rope), c.step.view(), c.qkv.view(), c.rope.view(), c.kv.view(), c.num_heads};
  const mk_kernel& kernel = runner.kernel(linear, rope);
  const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, c.matrix);
  linear.weight = packed.weight();
  c.kv.table[4] = 0;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "block 0 of row 1 is 0", linear, rope);
  c.kv.table[4] = 1;
  c.step.positions[2] = 64;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "position 64 of row 1", linear, rope);
}
