// rms_norm: out[t, :] = x[t, :] * rsqrt(mean(x[t, :]^2) + eps) * weight[:]
//   x, out (rows, cols) f32, out may be x · weight (cols) f32 · one block per row; a thread's squares are added in column
//   order, then lanes and warps in a fixed tree
//   bound: latency at few rows, then memory, 8 B per element
//   Rows of up to 8,192 columns, a multiple of 4, stay in registers between the two passes.
//   oracle: kernels/reference/rms_norm.cc
#include "kernels.h"
#include "launch_check.h"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kVectors = 4;  // float4s of a row that one thread keeps

__device__ float block_sum(float value) {
  __shared__ float warps[kThreads / 32];
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xFFFFFFFF, value, offset);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = warps[threadIdx.x % (kThreads / 32)];
#pragma unroll
  for (int offset = kThreads / 64; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xFFFFFFFF, sum, offset);
  return sum;
}

__device__ float scale_of(float sum_of_squares, int32_t cols, float eps) {
  return 1.0f / sqrtf(sum_of_squares / static_cast<float>(cols) + eps);
}

__global__ void __launch_bounds__(kThreads)
    rms_norm_in_registers(const int32_t* num_rows, const float* x, const float* weight, int32_t cols, float eps, float* out) {
  const int64_t t = blockIdx.x;
  if (t >= *num_rows) return;
  const float4* from = reinterpret_cast<const float4*>(x + t * cols);
  const float4* gains = reinterpret_cast<const float4*>(weight);
  float4 values[kVectors], gain[kVectors];
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const int32_t c = static_cast<int32_t>(threadIdx.x) + i * kThreads;
    const bool is_there = c < cols / 4;
    values[i] = is_there ? from[c] : float4{0, 0, 0, 0};
    gain[i] = is_there ? __ldg(gains + c) : float4{0, 0, 0, 0};
  }
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const float4 v = values[i];
    sum += (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w);
  }
  const float scale = scale_of(block_sum(sum), cols, eps);
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const int32_t c = static_cast<int32_t>(threadIdx.x) + i * kThreads;
    const float4 v = values[i], g = gain[i];
    if (c < cols / 4)
      reinterpret_cast<float4*>(out + t * cols)[c] = {v.x * scale * g.x, v.y * scale * g.y, v.z * scale * g.z,
                                                      v.w * scale * g.w};
  }
}

__global__ void __launch_bounds__(kThreads)
    rms_norm_rows(const int32_t* num_rows, const float* x, const float* weight, int32_t cols, float eps, float* out) {
  const int64_t t = blockIdx.x;
  if (t >= *num_rows) return;
  float sum = 0;
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < cols; c += kThreads) sum += x[t * cols + c] * x[t * cols + c];
  const float scale = scale_of(block_sum(sum), cols, eps);
  // A thread reads again what it alone writes: out may be x.
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < cols; c += kThreads)
    out[t * cols + c] = x[t * cols + c] * scale * weight[c];
}

bool shapes(const mk_rms_norm_args& args, const mk_device&) {
  return args.x.cols > 0 && args.x.cols == args.out.cols && args.weight.dtype == MK_F32 && args.weight.num_experts == 1 &&
         args.weight.rows == args.x.cols;
}

mk_status run(const mk_rms_norm_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t rows = 0, out_rows = 0;
  mk_status status = take_launch_rows("rms_norm.x", args.x, &rows, error);
  if (status == MK_OK) status = take_launch_rows("rms_norm.out", args.out, &out_rows, error);
  if (status != MK_OK) return status;
  if (args.weight.data == nullptr || args.out.max_rows < rows)
    return refuse(error, MK_INVALID_ARGUMENT, "rms_norm: weight is NULL, or out has no room for %d rows", rows);
  if (rows == 0) return MK_OK;
  const int32_t cols = args.x.cols;
  const bool fits = cols % 4 == 0 && cols <= 4 * kVectors * kThreads;
  const auto kernel = fits ? rms_norm_in_registers : rms_norm_rows;
  kernel<<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(
      args.x.num_rows, static_cast<const float*>(args.x.data), static_cast<const float*>(args.weight.data), cols, args.eps,
      static_cast<float*>(args.out.data));
  return MK_OK;
}

}  // namespace

const mk_kernel rms_norm_kernel = CudaKernel<MK_OP_RMS_NORM, mk_rms_norm_args, shapes, run>::offer("rms_norm_f32");

}  // namespace moesaic::cuda
