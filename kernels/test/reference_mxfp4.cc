// mxfp4_decode and mxfp4_encode of the reference package against values worked out by hand.
#include <cmath>

#include "harness.h"

using namespace moesaic::test;

namespace {

Tensor<float> decode(const Tensor<uint8_t>& blocks, const Tensor<uint8_t>& scales) {
  Tensor<float> out(blocks.rows(), blocks.cols() * 2);
  Runner("reference").run(mk_mxfp4_decode_args{sizeof(mk_mxfp4_decode_args), blocks.view(), scales.view(), out.view()});
  return out;
}

struct Encoded {
  Tensor<uint8_t> blocks, scales;
};

Encoded encode(const Tensor<float>& x) {
  Encoded result{Tensor<uint8_t>(x.rows(), x.cols() / 2), Tensor<uint8_t>(x.rows(), x.cols() / 32)};
  Runner("reference")
      .run(mk_mxfp4_encode_args{sizeof(mk_mxfp4_encode_args), x.view(), result.blocks.view(), result.scales.view()});
  return result;
}

// One block that begins with `values`, the rest zero.
Encoded encode_block(const std::vector<float>& values) {
  Tensor<float> x(1, 32);
  for (size_t i = 0; i < values.size(); ++i) x.data()[i] = values[i];
  return encode(x);
}

int code_at(const Encoded& encoded, int col) { return encoded.blocks.data()[col / 2] >> (col % 2 * 4) & 15; }

}  // namespace

// Scale 125 is 2^-2; bytes 0x2F, 0x91 are the codes 15, 2, 1, 9 = -6, 1, 0.5, -0.5, low nibble first.
MOESAIC_TEST("reference mxfp4_decode: the low nibble comes first and the scale's bias is 127") {
  Tensor<uint8_t> blocks(1, 16), scales(1, 1, {125});
  blocks.data()[0] = 0x2F;
  blocks.data()[1] = 0x91;
  Tensor<float> want(1, 32);
  want.data()[0] = -1.5f;
  want.data()[1] = 0.25f;
  want.data()[2] = 0.125f;
  want.data()[3] = -0.125f;
  expect_same_bits("out", decode(blocks, scales), want);
}

MOESAIC_TEST("reference mxfp4_decode: every code under every scale is exact, subnormal and infinite ones too") {
  Tensor<uint8_t> blocks(256, 16), scales(256, 1);
  Tensor<float> want(256, 32);
  for (int scale = 0; scale < 256; ++scale) {
    scales.at(scale, 0) = static_cast<uint8_t>(scale);
    for (int col = 0; col < 32; ++col) {
      const int code = col % 16;
      blocks.at(scale, col / 2) |= static_cast<uint8_t>(code << (col % 2 * 4));
      want.at(scale, col) = decode_mxfp4(code, static_cast<uint8_t>(scale));
    }
  }
  expect(want.at(0, 1) == std::ldexp(1.0f, -128), "the oracle is wrong about the smallest value");
  expect_same_bits("out", decode(blocks, scales), want);
}

// max 6 gives d = 1, byte 127: codes are the values themselves. Borders go away from zero.
MOESAIC_TEST("reference mxfp4_encode: codes are the nearest grid points, ties away from zero") {
  const Encoded got = encode_block({6, 0.25f, 0.2499f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5, 4.999f, -0.75f, -5});
  const int want[] = {7, 1, 0, 2, 3, 4, 5, 6, 7, 6, 10, 15};
  expect(got.scales.data()[0] == 127, "scale is %d, want 127", got.scales.data()[0]);
  for (int i = 0; i < 12; ++i)
    expect(code_at(got, i) == want[i], "code %d is %d, want %d", i, code_at(got, i), want[i]);
}

// 6.1 / 6 is over 1: the scale becomes 2, so that 6.1 / 2 = 3.05 rounds to 3.
MOESAIC_TEST("reference mxfp4_encode: the scale is rounded up to a power of two") {
  const Encoded above = encode_block({6.1f});
  expect(above.scales.data()[0] == 128 && code_at(above, 0) == 5, "6.1 became scale %d, code %d, want 128, 5",
         above.scales.data()[0], code_at(above, 0));
  const Encoded below = encode_block({5.9f});
  expect(below.scales.data()[0] == 127 && code_at(below, 0) == 7, "5.9 became scale %d, code %d, want 127, 7",
         below.scales.data()[0], code_at(below, 0));
}

MOESAIC_TEST("reference mxfp4_encode: zeros keep their sign, an all-zero block has scale 0") {
  const Encoded zeros = encode_block({-0.0f, 0.0f});
  expect(zeros.scales.data()[0] == 0 && zeros.blocks.data()[0] == 0x08, "-0, 0 became scale %d, byte 0x%02x",
         zeros.scales.data()[0], zeros.blocks.data()[0]);
  const Encoded small = encode_block({6, -0.1f});
  expect(code_at(small, 1) == 8, "-0.1 became code %d, want 8", code_at(small, 1));
}

// Every value that decoding can give is encoded to something that decodes to it.
MOESAIC_TEST("reference mxfp4_encode: decoded values survive the way there and back") {
  Random random(7);
  const Matrix matrix = random_mxfp4_matrix(random, 1, 33, 96);
  Tensor<float> x(33, 96);
  for (int32_t r = 0; r < 33; ++r) {
    for (int32_t c = 0; c < 96; ++c) x.at(r, c) = matrix.at(0, r, c);
  }
  const Encoded encoded = encode(x);
  expect_same_bits("round trip", decode(encoded.blocks, encoded.scales), x);
}

MOESAIC_TEST("reference mxfp4_encode: an infinity or a NaN is refused with its place") {
  Runner runner("reference");
  Tensor<float> x(2, 32);
  Tensor<uint8_t> blocks(2, 16), scales(2, 1);
  const mk_mxfp4_encode_args args{sizeof(args), x.view(), blocks.view(), scales.view()};
  x.at(1, 3) = INFINITY;
  runner.expect_refusal(runner.kernel(args), MK_INVALID_ARGUMENT, "x[1, 3] is inf", args);
  x.at(1, 3) = NAN;
  runner.expect_refusal(runner.kernel(args), MK_INVALID_ARGUMENT, "x[1, 3] is", args);
}

MOESAIC_TEST("reference mxfp4_decode: a shape whose parts do not fit has no kernel") {
  Runner runner("reference");
  Tensor<uint8_t> blocks(2, 16), scales(2, 2);
  Tensor<float> out(2, 32);
  const mk_mxfp4_decode_args args{sizeof(args), blocks.view(), scales.view(), out.view()};
  expect(runner.find(args) == nullptr, "two scales for 32 columns were accepted");
}
