// combine: out[t, :] += ((w[t,0] y[t,0,:] + w[t,1] y[t,1,:]) + w[t,2] y[t,2,:]) + ...
//   y (rows, experts_per_token * hidden) f32 · expert_weights (rows, experts_per_token) f32 · out (rows, hidden) f32
//   Every product and sum is rounded, in slot order, as in the oracle: layouts of expert parallelism agree to the bit.
//   bound: memory, 4 B per element of y and 8 per element of out · oracle: kernels/reference/combine.cc
#include "kernels.h"
#include "launch_check.h"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 256;

template <int kWidth>
struct alignas(4 * kWidth) Floats {
  float at[kWidth];
};

template <int kWidth>
__device__ Floats<kWidth> times(float weight, const float* values) {
  Floats<kWidth> result = *reinterpret_cast<const Floats<kWidth>*>(values);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) result.at[i] = __fmul_rn(weight, result.at[i]);
  return result;
}

template <int kWidth>
__device__ void add(Floats<kWidth>& sum, const Floats<kWidth>& more) {
#pragma unroll
  for (int i = 0; i < kWidth; ++i) sum.at[i] = __fadd_rn(sum.at[i], more.at[i]);
}

template <int kWidth>
__global__ void __launch_bounds__(kThreads)
    combine_rows(const int32_t* num_rows, const float* y, const float* expert_weights, int32_t experts_per_token,
                 int32_t hidden, float* out) {
  const int64_t t = blockIdx.x;
  const int32_t c = kWidth * static_cast<int32_t>(blockIdx.y * kThreads + threadIdx.x);
  if (t >= *num_rows || c >= hidden) return;
  const float* from = y + t * experts_per_token * hidden + c;
  const float* weights = expert_weights + t * experts_per_token;
  auto& to = *reinterpret_cast<Floats<kWidth>*>(out + t * hidden + c);
  Floats<kWidth> sum = times<kWidth>(weights[0], from), result = to;
#pragma unroll 4
  for (int32_t s = 1; s < experts_per_token; ++s) add(sum, times<kWidth>(weights[s], from + static_cast<int64_t>(s) * hidden));
  add(result, sum);
  to = result;
}

bool shapes(const mk_combine_args& args, const mk_device&) {
  return args.expert_weights.cols > 0 && args.out.cols > 0 &&
         args.y.cols == static_cast<int64_t>(args.expert_weights.cols) * args.out.cols;
}

template <int kWidth>
void queue(const mk_combine_args& args, int32_t rows, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(ceil_div(args.out.cols, kThreads * kWidth)));
  combine_rows<kWidth><<<grid, kThreads, 0, stream>>>(
      args.y.num_rows, static_cast<const float*>(args.y.data), static_cast<const float*>(args.expert_weights.data),
      args.expert_weights.cols, args.out.cols, static_cast<float*>(args.out.data));
}

mk_status run(const mk_combine_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t rows = 0;
  const mk_status status = take_launch_rows("combine.y", args.y, &rows, error);
  if (status != MK_OK) return status;
  if (args.expert_weights.data == nullptr || args.out.data == nullptr || args.expert_weights.max_rows < rows ||
      args.out.max_rows < rows)
    return refuse(error, MK_INVALID_ARGUMENT, "combine: expert_weights or out has no room for %d rows", rows);
  if (rows == 0) return MK_OK;
  args.out.cols % 4 == 0 ? queue<4>(args, rows, stream) : queue<1>(args, rows, stream);
  return MK_OK;
}

}  // namespace

const mk_kernel combine_kernel = CudaKernel<MK_OP_COMBINE, mk_combine_args, shapes, run>::offer("combine_f32");

}  // namespace moesaic::cuda
