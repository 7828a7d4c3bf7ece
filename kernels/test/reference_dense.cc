// embed, rms_norm, linear and gather_rows of the reference package, worked out by hand, and what they refuse.
#include <algorithm>
#include <cmath>

#include "harness.h"

using namespace moesaic::test;

// Row 1 is decoded and its token is not known to the planner; row 0 brings a chunk of its prompt over a block border.
MOESAIC_TEST("reference begin_step: takes planned ids or the last sampled ones, and writes them down") {
  Runner runner("reference");
  StepArrays step({{1, 1, {0}}, {0, 1, {0, 0}}}, 4);
  int32_t planned[] = {-1, 8, 9}, last_sampled[] = {6, 7}, token_ids[3] = {}, history[10] = {};
  int32_t table[] = {4, 2, 3, 0};
  const mk_begin_step_args args{sizeof(args), step.view(), planned, last_sampled, token_ids, history, table, 2, 2};
  runner.run(args);
  expect_same_bits("token_ids", Tensor<int32_t>(1, 3, {token_ids, token_ids + 3}), Tensor<int32_t>(1, 3, {7, 8, 9}));
  expect_same_bits("history", Tensor<int32_t>(1, 10, {history, history + 10}),
                   Tensor<int32_t>(1, 10, {0, 0, 0, 0, 9, 0, 0, 7, 0, 8}));

  const mk_kernel& kernel = runner.kernel(args);
  last_sampled[1] = -1;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "planned_ids[0] asks for the last token of row 1", args);
  last_sampled[1] = 7;
  table[1] = 0;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "row 0 has KV block 0 at table entry 1", args);
  step.positions[0] = 4;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "positions[0] is 4", args);
}

MOESAIC_TEST("reference embed: rows are those of the token ids") {
  Runner runner("reference");
  const Matrix matrix = bf16_matrix(3, 2, {1, 2, 3, 4, 5, 6});
  StepArrays step({{0, 0, {2, 0, 2}}}, 8);
  Tensor<float> out(3, 2);
  mk_embed_args args{sizeof(args), step.view(), matrix.shape(), out.view()};
  const mk_kernel& kernel = runner.kernel(args);
  const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, matrix);
  args.weight = packed.weight();
  runner.launch(kernel, args);
  expect_same_bits("out", out, Tensor<float>(3, 2, {5, 6, 1, 2, 5, 6}));

  step.token_ids[1] = 3;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "token_ids[1] is 3, want 0 to 2", args);
  step.token_ids[1] = -1;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "token_ids[1] is -1", args);
}

// Row 1: mean square 12.5, so 3, 4 become 0.8485, 1.1314 times the weight. A row of zeros stays zero.
MOESAIC_TEST("reference rms_norm: divides by the root of the mean square and multiplies by the weight") {
  Tensor<float> x(3, 2, {3, 4, 0, 0, 1e-3f, 1e-3f}), weight(1, 2, {1, 10});
  mk_rms_norm_args args{sizeof(args), x.view(), weight.vector(), x.view(), 1e-5f};
  Runner("reference").run(args);
  const float root = std::sqrt(12.5f + 1e-5f), small = 1e-3f / std::sqrt(1e-6f + 1e-5f);
  expect_close("x", x, Tensor<float>(3, 2, {3 / root, 40 / root, 0, 0, small, 10 * small}), 0, 3e-7);
}

MOESAIC_TEST("reference rms_norm: refuses row counts that differ and a count over the room") {
  Runner runner("reference");
  Tensor<float> x(2, 4), out(2, 4), weight(1, 4);
  const mk_rms_norm_args args{sizeof(args), x.view(), weight.vector(), out.view(), 1e-5f};
  const mk_kernel& kernel = runner.kernel(args);
  out.set_num_rows(1);
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "out has 1 rows, want 2", args);
  x.set_num_rows(3);
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "x has 3 rows, want 0 to 2", args);
}

MOESAIC_TEST("reference linear: multiplies, adds the bias, and adds to what was there when asked") {
  Runner runner("reference");
  const Matrix matrix = bf16_matrix(3, 2, {1, 2, 3, 4, 5, 6});
  Tensor<float> x(2, 2, {10, 1, -1, 0.5f}), bias(1, 3, {100, 200, 300}), out(2, 3, {1, 2, 3, 4, 5, 6});
  mk_linear_args args{sizeof(args), x.view(), matrix.shape(), bias.vector(), out.view(), 0};
  const mk_kernel& kernel = runner.kernel(args);
  const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, matrix);
  args.weight = packed.weight();
  runner.launch(kernel, args);
  expect_same_bits("out", out, Tensor<float>(2, 3, {112, 234, 356, 100, 199, 298}));
  args.accumulate = 1;
  args.bias = no_vector();
  runner.launch(kernel, args);
  expect_same_bits("out", out, Tensor<float>(2, 3, {124, 268, 412, 100, 198, 296}));
}

MOESAIC_TEST("reference linear: the bits do not depend on other rows, threads or the split") {
  Random random(11);
  const Matrix matrix = random_bf16_matrix(random, 1, 37, 95);
  Tensor<float> x = random_tensor(random, 19, 95), whole(19, 37);
  const auto run = [&](const Runner& runner, const mk_buffer& in, const mk_buffer& out) {
    mk_linear_args args{sizeof(args), in, matrix.shape(), no_vector(), out, 0};
    const mk_kernel& kernel = runner.kernel(args);
    const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, matrix);
    args.weight = packed.weight();
    runner.launch(kernel, args);
  };
  run(Runner("reference", 3, 0, 2), x.view(), whole.view());
  for (int32_t t = 0; t < 19; ++t) {
    Tensor<float> row(1, 95), one(1, 37), want(1, 37);
    std::copy_n(&x.at(t, 0), 95, row.data());
    std::copy_n(&whole.at(t, 0), 37, want.data());
    run(Runner("reference", 1), row.view(), one.view());
    expect_same_bits("row", one, want);
  }
}

MOESAIC_TEST("reference linear: an empty batch is done at once and touches nothing") {
  Runner runner("reference");
  const Matrix matrix = bf16_matrix(1, 1, {1});
  Tensor<float> x(4, 1), out(4, 1, {7, 7, 7, 7});
  mk_linear_args args{sizeof(args), x.view(), matrix.shape(), no_vector(), out.view(), 0};
  const mk_kernel& kernel = runner.kernel(args);
  const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, matrix);
  args.weight = packed.weight();
  x.set_num_rows(0);
  out.set_num_rows(0);
  runner.launch(kernel, args);
  expect_same_bits("out", out, Tensor<float>(4, 1, {7, 7, 7, 7}));
}

MOESAIC_TEST("reference linear: shapes that do not fit each other have no kernel") {
  Runner runner("reference");
  const Matrix matrix = bf16_matrix(3, 2, {1, 2, 3, 4, 5, 6});
  Tensor<float> x(2, 3), out(2, 3);
  expect(runner.find(mk_linear_args{sizeof(mk_linear_args), x.view(), matrix.shape(), no_vector(), out.view(), 0}) ==
             nullptr,
         "3 columns were accepted for a weight with 2");
}

MOESAIC_TEST("reference gather_rows: copies the rows asked for and refuses one that is not there") {
  Runner runner("reference");
  Tensor<float> x(3, 2, {1, 2, 3, 4, 5, 6}), out(2, 2);
  int32_t indices[] = {2, 0};
  const mk_gather_rows_args args{sizeof(args), x.view(), indices, out.view()};
  runner.run(args);
  expect_same_bits("out", out, Tensor<float>(2, 2, {5, 6, 1, 2}));
  indices[1] = 3;
  runner.expect_refusal(runner.kernel(args), MK_INVALID_ARGUMENT, "row_indices[1] is 3, want 0 to 2", args);
  indices[1] = -1;
  runner.expect_refusal(runner.kernel(args), MK_INVALID_ARGUMENT, "row_indices[1] is -1", args);
}
