// mxfp4_decode: out[t, 32 g + 2b] and [... + 1] = low and high nibble of blocks[t, 16 g + b], times 2^(scales[t, g] -
// 127)
//   blocks (rows, cols / 2) u8 · scales (rows, cols / 32) u8 · out (rows, cols) f32, exact, infinite where it is too
//   large
#include "kernels.h"
#include "mxfp4.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_mxfp4_decode_args& args) {
  return check.buffer("out", args.out, args.out.cols) &&
         check.that(args.out.cols % kBlockCols == 0, "out has %d columns, want a multiple of 32", args.out.cols) &&
         check.buffer("blocks", args.blocks, args.out.cols / 2) &&
         check.buffer("scales", args.scales, args.out.cols / kBlockCols);
}

bool values(Check& check, const mk_mxfp4_decode_args& args) {
  return check.rows("blocks", args.blocks) && check.rows("scales", args.scales, *args.blocks.num_rows) &&
         check.rows("out", args.out, *args.blocks.num_rows);
}

void run(const mk_mxfp4_decode_args& args, const mk_cpu_stream& stream, void*) {
  for_each(stream, *args.blocks.num_rows, [&](int64_t t, int32_t) {
    const uint8_t* blocks = static_cast<const uint8_t*>(args.blocks.data) + t * args.blocks.cols;
    const uint8_t* scales = static_cast<const uint8_t*>(args.scales.data) + t * args.scales.cols;
    float* out = static_cast<float*>(args.out.data) + t * args.out.cols;
    for (int32_t c = 0; c < args.out.cols; ++c) out[c] = mxfp4_value(e2m1_code(blocks, c), scales[c / kBlockCols]);
  });
}

}  // namespace

const mk_kernel mxfp4_decode_kernel =
    PlainKernel<MK_OP_MXFP4_DECODE, mk_mxfp4_decode_args, shapes, values, run>::offer("mxfp4_decode_f32");

}  // namespace moesaic::reference
