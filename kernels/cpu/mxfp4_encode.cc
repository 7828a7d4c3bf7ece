// mxfp4_encode: per 32 values a scale, max|x| / 6 rounded up to a power of two, and codes, nearest with ties away from zero
//   x (rows, cols) f32, finite · blocks (rows, cols / 2) u8 · scales (rows, cols / 32) u8, 0 for an all-zero block
//   bound: compare and count, some 20 operations a value · oracle: kernels/reference/mxfp4_encode.cc
//   Source: triton_kernels' downcast_to_mxfp, rounding mode up; float32 step by step as there, for the bytes must be equal
#include <math.h>

#include "check.h"
#include "e2m1.h"
#include "layout.h"
#include "offer.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

uint8_t scale_of(const float* x) {
  float largest = 0;
  for (int64_t i = 0; i < kMxfp4Block; ++i) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
  return static_cast<uint8_t>((bits_of_float(largest / 6) + 0x007FFFFFu) >> 23);
}

// How many of the borders between neighbouring values the magnitude reaches: that is the code.
int code_of(float x, float inverse_scale) {
  const float magnitude = fabsf(x * inverse_scale);
  const int code = (magnitude >= 0.25f) + (magnitude >= 0.75f) + (magnitude >= 1.25f) + (magnitude >= 1.75f) +
                   (magnitude >= 2.5f) + (magnitude >= 3.5f) + (magnitude >= 5.0f);
  return signbit(x) ? code | 8 : code;
}

void encode_block(const float* x, uint8_t* codes, uint8_t* scale) {
  *scale = scale_of(x);
  const float inverse_scale = *scale == 0 ? 0 : 1 / float_of_bits(uint32_t{*scale} << 23);
  for (int64_t byte = 0; byte < kMxfp4Block / 2; ++byte) {
    codes[byte] =
        static_cast<uint8_t>(code_of(x[2 * byte], inverse_scale) | code_of(x[2 * byte + 1], inverse_scale) << 4);
  }
}

// An infinity or a NaN has neither code nor scale.
mk_status check_finite(const float* x, int64_t rows, int64_t cols, mk_error* error) {
  for (int64_t i = 0; i < rows * cols; ++i) {
    if (isfinite(x[i])) continue;
    return fail(error, MK_INVALID_ARGUMENT, "mxfp4_encode: x[%lld, %lld] is %g, wanted a finite number",
                static_cast<long long>(i / cols), static_cast<long long>(i % cols), double{x[i]});
  }
  return MK_OK;
}

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  const mk_mxfp4_encode_args& args = part<mk_mxfp4_encode_args>(parts, 0);
  return num_parts == 1 && has_features(device, 0) && args.x.cols % kMxfp4Block == 0 &&
         args.blocks.cols == args.x.cols / 2 && args.scales.cols == args.x.cols / kMxfp4Block;
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream stream, mk_error* error) {
  const mk_mxfp4_encode_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t rows = 0;
  MK_TRY(take_args(parts[0], "mxfp4_encode", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check_buffer(args->x, args->x.cols / kMxfp4Block * kMxfp4Block, "mxfp4_encode.x", error));
  MK_TRY(check_buffer(args->blocks, args->x.cols / 2, "mxfp4_encode.blocks", error));
  MK_TRY(check_buffer(args->scales, args->x.cols / kMxfp4Block, "mxfp4_encode.scales", error));
  MK_TRY(take_rows(args->x.num_rows, args->x, "mxfp4_encode.x", &rows, error));
  MK_TRY(take_rows(args->x.num_rows, args->blocks, "mxfp4_encode.blocks", &rows, error));
  MK_TRY(take_rows(args->x.num_rows, args->scales, "mxfp4_encode.scales", &rows, error));
  const float* x = static_cast<const float*>(args->x.data);
  MK_TRY(check_finite(x, rows, args->x.cols, error));
  parallel(*pool, rows * args->scales.cols, 16 * kMxfp4Block, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t block = begin; block < end; ++block) {
      encode_block(x + block * kMxfp4Block, static_cast<uint8_t*>(args->blocks.data) + block * (kMxfp4Block / 2),
                   static_cast<uint8_t*>(args->scales.data) + block);
    }
  });
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_MXFP4_ENCODE};

}  // namespace

const mk_kernel kMxfp4Encode = {
    sizeof(mk_kernel), "mxfp4_encode_f32", kOps, 1, supports, nullptr, nullptr, nullptr, launch};

}  // namespace moesaic::cpu
