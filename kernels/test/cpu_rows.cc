// The ops of the cpu package that work row by row, against the reference package; most must agree to the bit.
#include <cmath>

#include "cpu_isa.h"

using namespace moesaic::test;

MOESAIC_TEST("cpu rms_norm: agrees with the reference, in place and for rows of any length") {
  Random random(401);
  for (const int32_t cols : {1, 7, 8, 33, 288, 2880}) {
    for (const int32_t rows : {1, 3, 64}) {
      const Tensor<float> x = random_tensor(random, rows, cols, 3), same = rows_of(x, 0, rows), want(rows, cols);
      const Tensor<float> weight = random_tensor(random, 1, cols);
      Runner("reference")
          .run(mk_rms_norm_args{sizeof(mk_rms_norm_args), x.view(), weight.vector(), want.view(), 1e-5f});
      Runner("cpu").run(mk_rms_norm_args{sizeof(mk_rms_norm_args), same.view(), weight.vector(), same.view(), 1e-5f});
      expect_close("out", same, want, 0, 3e-7);
    }
  }
}

MOESAIC_TEST("cpu embed: has the reference's rows, and refuses an id outside the vocabulary") {
  Random random(402);
  const Matrix matrix = random_bf16_matrix(random, 1, 1111, 33);
  StepArrays step({{0, 0, {0, 1110, 7, 7}}}, 8);
  const Tensor<float> out(4, 33), want(4, 33);
  const auto run = [&](const Runner& runner, const Tensor<float>& to) {
    mk_embed_args args{sizeof(args), step.view(), matrix.shape(), to.view()};
    const mk_kernel& kernel = runner.kernel(args);
    const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, matrix);
    args.weight = packed.weight();
    runner.launch(kernel, args);
    step.token_ids[1] = 1111;
    runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "token_ids[1] is 1111", args);
    step.token_ids[1] = 1110;
  };
  run(Runner("cpu"), out);
  run(Runner("reference"), want);
  expect_same_bits("out", out, want);
}

MOESAIC_TEST("cpu rope_table: has the reference's bits, at large positions too") {
  StepArrays step({{0, 0, {0, 0, 0}}, {1, 131070, {0, 0}}}, 131072);
  float inv_freq[32];
  for (int i = 0; i < 32; ++i) inv_freq[i] = static_cast<float>(std::pow(150000.0, -i / 32.0));
  const Tensor<float> out(5, 64), want(5, 64);
  Runner("cpu").run(mk_rope_table_args{sizeof(mk_rope_table_args), step.view(), inv_freq, 1.3465736f, out.view()});
  Runner("reference")
      .run(mk_rope_table_args{sizeof(mk_rope_table_args), step.view(), inv_freq, 1.3465736f, want.view()});
  expect_same_bits("out", out, want);
}

MOESAIC_TEST("cpu combine: has the reference's bits for any number of experts per token") {
  Random random(403);
  for (const int32_t per_token : {1, 2, 4, 5}) {
    const Tensor<float> y = random_tensor(random, 9, per_token * 33), weights = random_tensor(random, 9, per_token);
    const Tensor<float> out = random_tensor(random, 9, 33), want = rows_of(out, 0, 9);
    Runner("cpu").run(mk_combine_args{sizeof(mk_combine_args), y.view(), weights.view(), out.view()});
    Runner("reference").run(mk_combine_args{sizeof(mk_combine_args), y.view(), weights.view(), want.view()});
    expect_same_bits("out", out, want);
  }
}

MOESAIC_TEST("cpu add: has the reference's bits, adds the rows of the step alone, refuses row counts that differ") {
  Random random(406);
  for (const int32_t cols : {1, 33, 2880}) {
    Tensor<float> x = random_tensor(random, 100, cols), out = random_tensor(random, 100, cols);
    const Tensor<float> want = rows_of(out, 0, 100);
    x.set_num_rows(99);
    out.set_num_rows(99);
    const mk_add_args args{sizeof(args), x.view(), out.view()};
    Runner("cpu").run(args);
    for (int32_t i = 0; i < 99 * cols; ++i) want.data()[i] += x.data()[i];
    expect_same_bits("out", out, want);
    out.set_num_rows(98);
    Runner("cpu").expect_refusal(Runner("cpu").kernel(args), MK_INVALID_ARGUMENT, "99 rows wanted, 98 given", args);
  }
}

MOESAIC_TEST("cpu gather_rows: copies the rows asked for and refuses one that is not there") {
  Tensor<float> x(3, 2, {1, 2, 3, 4, 5, 6}), out(2, 2);
  int32_t indices[] = {2, 0};
  const mk_gather_rows_args args{sizeof(args), x.view(), indices, out.view()};
  const Runner runner("cpu");
  runner.run(args);
  expect_same_bits("out", out, Tensor<float>(2, 2, {5, 6, 1, 2}));
  indices[1] = 3;
  runner.expect_refusal(runner.kernel(args), MK_INVALID_ARGUMENT, "row_indices[1] is 3", args);
}

// All codes under all scales, both ends of E8M0 included.
MOESAIC_TEST("cpu mxfp4_decode: has the reference's bits for every code and scale") {
  Random random(404);
  Tensor<uint8_t> blocks(256, 16), scales(256, 1);
  for (int32_t row = 0; row < 256; ++row) {
    scales.at(row, 0) = static_cast<uint8_t>(row);
    for (int32_t byte = 0; byte < 16; ++byte)
      blocks.at(row, byte) = static_cast<uint8_t>(byte << 4 | random.integer(0, 15));
  }
  const Tensor<float> out(256, 32), want(256, 32);
  Runner("cpu").run(mk_mxfp4_decode_args{sizeof(mk_mxfp4_decode_args), blocks.view(), scales.view(), out.view()});
  Runner("reference")
      .run(mk_mxfp4_decode_args{sizeof(mk_mxfp4_decode_args), blocks.view(), scales.view(), want.view()});
  expect_same_bits("out", out, want);
}

MOESAIC_TEST("cpu mxfp4_encode: has the reference's bytes, and refuses what is not finite") {
  Random random(405);
  Tensor<float> x = random_tensor(random, 40, 96);
  for (int32_t row = 0; row < 40; ++row) {
    for (int32_t c = 0; c < 96; ++c) x.at(row, c) *= std::ldexp(1.0f, 6 * row - 120);
  }
  std::fill_n(&x.at(3, 32), 32, -0.0f);
  const Tensor<uint8_t> blocks(40, 48), scales(40, 3), want_blocks(40, 48), want_scales(40, 3);
  const mk_mxfp4_encode_args args{sizeof(args), x.view(), blocks.view(), scales.view()};
  Runner("cpu").run(args);
  Runner("reference").run(mk_mxfp4_encode_args{sizeof(args), x.view(), want_blocks.view(), want_scales.view()});
  expect_same_bits("blocks", blocks, want_blocks);
  expect_same_bits("scales", scales, want_scales);
  x.at(5, 40) = INFINITY;
  Runner("cpu").expect_refusal(Runner("cpu").kernel(args), MK_INVALID_ARGUMENT, "x[5, 40] is inf", args);
}
