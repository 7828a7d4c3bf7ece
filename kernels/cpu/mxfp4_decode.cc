// mxfp4_decode: out[t, 32 g + 2b] and [... + 1] from the low and high nibble of blocks[t, 16 g + b],
// times 2^(scales[t, g] - 127)
//   blocks (rows, cols / 2) u8 · scales (rows, cols / 32) u8 · out (rows, cols) f32 · exact
//   bound: the store · oracle: kernels/reference/mxfp4_decode.cc · Source: OCP Microscaling Formats (MX) v1.0
#include "check.h"
#include "e2m1.h"
#include "layout.h"
#include "offer.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

void decode_block(const uint8_t* codes, uint8_t scale, float* out) {
  const E2m1Values table = e2m1_values(scale);
  for (int64_t byte = 0; byte < kMxfp4Block / 2; ++byte) {
    out[2 * byte] = table.values[codes[byte] & 15];
    out[2 * byte + 1] = table.values[codes[byte] >> 4];
  }
}

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  const mk_mxfp4_decode_args& args = part<mk_mxfp4_decode_args>(parts, 0);
  return num_parts == 1 && has_features(device, 0) && args.out.cols % kMxfp4Block == 0 &&
         args.blocks.cols == args.out.cols / 2 && args.scales.cols == args.out.cols / kMxfp4Block;
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream stream, mk_error* error) {
  const mk_mxfp4_decode_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t rows = 0;
  MK_TRY(take_args(parts[0], "mxfp4_decode", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check_buffer(args->out, args->out.cols / kMxfp4Block * kMxfp4Block, "mxfp4_decode.out", error));
  MK_TRY(check_buffer(args->blocks, args->out.cols / 2, "mxfp4_decode.blocks", error));
  MK_TRY(check_buffer(args->scales, args->out.cols / kMxfp4Block, "mxfp4_decode.scales", error));
  MK_TRY(take_rows(args->blocks.num_rows, args->blocks, "mxfp4_decode.blocks", &rows, error));
  MK_TRY(take_rows(args->blocks.num_rows, args->scales, "mxfp4_decode.scales", &rows, error));
  MK_TRY(take_rows(args->blocks.num_rows, args->out, "mxfp4_decode.out", &rows, error));
  parallel(*pool, rows * args->scales.cols, 2 * kMxfp4Block, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t block = begin; block < end; ++block) {
      decode_block(static_cast<const uint8_t*>(args->blocks.data) + block * (kMxfp4Block / 2),
                   static_cast<const uint8_t*>(args->scales.data)[block],
                   static_cast<float*>(args->out.data) + block * kMxfp4Block);
    }
  });
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_MXFP4_DECODE};

}  // namespace

const mk_kernel kMxfp4Decode = {
    sizeof(mk_kernel), "mxfp4_decode_f32", kOps, 1, supports, nullptr, nullptr, nullptr, launch};

}  // namespace moesaic::cpu
