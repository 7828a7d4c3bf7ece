// mxfp4_decode: out[t, 32 g + 2b] and [... + 1] = low and high nibble of blocks[t, 16 g + b], times 2^(scales[t, g] - 127)
// mxfp4_encode: the inverse, with the scale max|x| / 6 rounded up to a power of two; kernel.h has the rules
//   blocks (rows, cols / 2) u8 · scales (rows, cols / 32) u8 · float32 step by step as in the oracle: the same bits
//   decode: a thread writes eight elements · encode: a thread writes a block of 32
//   oracle: kernels/reference/mxfp4_decode.cc, mxfp4_encode.cc · Source: OCP Microscaling Formats (MX) v1.0; triton_kernels'
//   downcast_to_mxfp, rounding mode up
#include "kernels.h"
#include "launch_check.h"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kBlockCols = 32;

// 0 .5 1 1.5 2 3 4 6 from the two exponent bits and the one mantissa bit; 0 and .5 have exponent 0.
__device__ float e2m1(uint32_t code) {
  const uint32_t exponent = code >> 1 & 3, mantissa = code & 1;
  const uint32_t bits = exponent == 0 ? (mantissa == 0 ? 0u : 0x3F000000u) : (126 + exponent) << 23 | mantissa << 22;
  return __uint_as_float(bits | (code & 8) << 28);
}

// Half the scale first: 2^128 is no float, and 0 * infinity would be NaN.
__device__ float decode(uint32_t code, uint32_t scale) {
  const uint32_t half = scale >= 2 ? (scale - 1) << 23 : 0x00200000u << scale;
  return __fmul_rn(__fmul_rn(e2m1(code), __uint_as_float(half)), 2.0f);
}

__global__ void __launch_bounds__(kThreads)
    decode_words(const int32_t* num_rows, int32_t cols, const uint32_t* blocks, const uint8_t* scales, float4* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= static_cast<int64_t>(*num_rows) * cols / 8) return;
  const uint32_t word = blocks[i], scale = scales[i / 4];
  out[2 * i] = {decode(word & 15, scale), decode(word >> 4 & 15, scale), decode(word >> 8 & 15, scale),
                decode(word >> 12 & 15, scale)};
  out[2 * i + 1] = {decode(word >> 16 & 15, scale), decode(word >> 20 & 15, scale), decode(word >> 24 & 15, scale),
                    decode(word >> 28, scale)};
}

__device__ uint32_t encode(float x, float inverse_scale) {
  const float magnitude = fabsf(__fmul_rn(x, inverse_scale));
  const uint32_t code = (magnitude >= 0.25f) + (magnitude >= 0.75f) + (magnitude >= 1.25f) + (magnitude >= 1.75f) +
                        (magnitude >= 2.5f) + (magnitude >= 3.5f) + (magnitude >= 5);
  return code | (__float_as_uint(x) >> 31) << 3;
}

__device__ uint32_t encode_four(float4 x, float inverse_scale) {
  return encode(x.x, inverse_scale) | encode(x.y, inverse_scale) << 4 | encode(x.z, inverse_scale) << 8 |
         encode(x.w, inverse_scale) << 12;
}

__global__ void __launch_bounds__(kThreads)
    encode_blocks(const int32_t* num_rows, int32_t cols, const float4* x, uint4* blocks, uint8_t* scales) {
  const int64_t block = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (block >= static_cast<int64_t>(*num_rows) * cols / kBlockCols) return;
  float4 values[8];
  float largest = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    values[i] = x[8 * block + i];
    const float first = fmaxf(fabsf(values[i].x), fabsf(values[i].y)), last = fmaxf(fabsf(values[i].z), fabsf(values[i].w));
    largest = fmaxf(largest, fmaxf(first, last));
  }
  const uint32_t scale = (__float_as_uint(__fdiv_rn(largest, 6)) + 0x007FFFFF) >> 23;
  const float inverse = scale == 0 ? 0 : __fdiv_rn(1, __uint_as_float(scale << 23));
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) words[i] = encode_four(values[2 * i], inverse) | encode_four(values[2 * i + 1], inverse) << 16;
  blocks[block] = {words[0], words[1], words[2], words[3]};
  scales[block] = static_cast<uint8_t>(scale);
}

bool is_codec(const mk_buffer& values, const mk_buffer& blocks, const mk_buffer& scales) {
  return values.cols > 0 && values.cols % kBlockCols == 0 && blocks.cols == values.cols / 2 &&
         scales.cols == values.cols / kBlockCols;
}

mk_status take_rows(const mk_buffer& from, const mk_buffer& second, const mk_buffer& third, int32_t* rows, mk_error* error) {
  const mk_status status = take_launch_rows("mxfp4 source", from, rows, error);
  if (status != MK_OK) return status;
  if (second.data != nullptr && third.data != nullptr && second.max_rows >= *rows && third.max_rows >= *rows) return MK_OK;
  return refuse(error, MK_INVALID_ARGUMENT, "mxfp4: a buffer has no data or no room for %d rows", *rows);
}

bool decode_shapes(const mk_mxfp4_decode_args& args, const mk_device&) { return is_codec(args.out, args.blocks, args.scales); }

mk_status run_decode(const mk_mxfp4_decode_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t rows = 0;
  const mk_status status = take_rows(args.blocks, args.scales, args.out, &rows, error);
  if (status != MK_OK || rows == 0) return status;
  const auto blocks = static_cast<unsigned>(ceil_div(static_cast<int64_t>(rows) * args.out.cols / 8, kThreads));
  decode_words<<<blocks, kThreads, 0, stream>>>(args.blocks.num_rows, args.out.cols,
                                                static_cast<const uint32_t*>(args.blocks.data),
                                                static_cast<const uint8_t*>(args.scales.data),
                                                static_cast<float4*>(args.out.data));
  return MK_OK;
}

bool encode_shapes(const mk_mxfp4_encode_args& args, const mk_device&) { return is_codec(args.x, args.blocks, args.scales); }

mk_status run_encode(const mk_mxfp4_encode_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t rows = 0;
  const mk_status status = take_rows(args.x, args.blocks, args.scales, &rows, error);
  if (status != MK_OK || rows == 0) return status;
  const auto blocks = static_cast<unsigned>(ceil_div(static_cast<int64_t>(rows) * args.x.cols / kBlockCols, kThreads));
  encode_blocks<<<blocks, kThreads, 0, stream>>>(args.x.num_rows, args.x.cols, static_cast<const float4*>(args.x.data),
                                                 static_cast<uint4*>(args.blocks.data),
                                                 static_cast<uint8_t*>(args.scales.data));
  return MK_OK;
}

}  // namespace

const mk_kernel mxfp4_decode_kernel =
    CudaKernel<MK_OP_MXFP4_DECODE, mk_mxfp4_decode_args, decode_shapes, run_decode>::offer("mxfp4_decode_f32");
const mk_kernel mxfp4_encode_kernel =
    CudaKernel<MK_OP_MXFP4_ENCODE, mk_mxfp4_encode_args, encode_shapes, run_encode>::offer("mxfp4_encode_f32");

}  // namespace moesaic::cuda
