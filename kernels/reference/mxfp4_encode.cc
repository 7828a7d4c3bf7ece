// mxfp4_encode: per 32 values the scale d = max|x| / 6 rounded up to a power of two, and codes of |x| / d to the
// nearest of 0 .5 1 1.5 2 3 4 6, ties away from zero; bit 3 is the sign, -0 included; an all-zero block has scale byte
// 0
//   x (rows, cols) f32, finite · blocks (rows, cols / 2) u8 · scales (rows, cols / 32) u8
//   float32 arithmetic step by step as in the source, for the bytes must be the same
//   Source: triton_kernels' downcast_to_mxfp, rounding mode up
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels.h"
#include "mxfp4.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_mxfp4_encode_args& args) {
  return check.buffer("x", args.x, args.x.cols) &&
         check.that(args.x.cols % kBlockCols == 0, "x has %d columns, want a multiple of 32", args.x.cols) &&
         check.buffer("blocks", args.blocks, args.x.cols / 2) &&
         check.buffer("scales", args.scales, args.x.cols / kBlockCols);
}

// An infinity or a NaN has no code and no scale: quantising it would hide that the source is broken.
bool values(Check& check, const mk_mxfp4_encode_args& args) {
  if (!check.rows("x", args.x) || !check.rows("blocks", args.blocks, *args.x.num_rows) ||
      !check.rows("scales", args.scales, *args.x.num_rows)) {
    return false;
  }
  const float* x = static_cast<const float*>(args.x.data);
  for (int64_t i = 0; i < static_cast<int64_t>(*args.x.num_rows) * args.x.cols; ++i) {
    if (!check.that(std::isfinite(x[i]), "x[%lld, %lld] is %g, want a finite number",
                    static_cast<long long>(i / args.x.cols), static_cast<long long>(i % args.x.cols),
                    static_cast<double>(x[i]))) {
      return false;
    }
  }
  return true;
}

// The exponent field of max|x| / 6 rounded up to a power of two.
uint8_t scale_of(const float* x) {
  float largest = 0;
  for (int i = 0; i < kBlockCols; ++i) largest = std::max(largest, std::fabs(x[i]));
  return static_cast<uint8_t>((std::bit_cast<uint32_t>(largest / 6) + 0x007FFFFF) >> 23);
}

int code_of(float x, float inverse_scale) {
  static constexpr float kBorders[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5};
  const float magnitude = std::fabs(x * inverse_scale);
  int code = 0;
  for (const float border : kBorders) code += magnitude >= border;
  return std::signbit(x) ? code | 8 : code;
}

void run(const mk_mxfp4_encode_args& args, const mk_cpu_stream& stream, void*) {
  const int64_t num_blocks = static_cast<int64_t>(*args.x.num_rows) * args.scales.cols;
  for_each(stream, num_blocks, [&](int64_t block, int32_t) {
    const float* x = static_cast<const float*>(args.x.data) + block * kBlockCols;
    uint8_t* codes = static_cast<uint8_t*>(args.blocks.data) + block * kBlockBytes;
    const uint8_t scale = scale_of(x);
    const float inverse_scale = scale == 0 ? 0 : 1 / std::bit_cast<float>(static_cast<uint32_t>(scale) << 23);
    for (int b = 0; b < kBlockBytes; ++b) {
      const int low = code_of(x[2 * b], inverse_scale), high = code_of(x[2 * b + 1], inverse_scale);
      codes[b] = static_cast<uint8_t>(low | high << 4);
    }
    static_cast<uint8_t*>(args.scales.data)[block] = scale;
  });
}

}  // namespace

const mk_kernel mxfp4_encode_kernel =
    PlainKernel<MK_OP_MXFP4_ENCODE, mk_mxfp4_encode_args, shapes, values, run>::offer("mxfp4_encode_f32");

}  // namespace moesaic::reference
