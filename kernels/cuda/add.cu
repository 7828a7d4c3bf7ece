// add: out[t, c] += x[t, c]
//   x, out (rows, cols) f32, without gaps: rows need not be told apart · a thread adds four elements
//   bound: memory, 12 B per element · oracle: kernels/reference/add.cc, the same bits
#include "kernels.h"
#include "launch_check.h"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWidth = 4;

__global__ void __launch_bounds__(kThreads) add_elements(const int32_t* num_rows, int32_t cols, const float* x, float* out) {
  const int64_t count = static_cast<int64_t>(*num_rows) * cols;
  const int64_t i = kWidth * (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x);
  if (i + kWidth <= count) {
    const float4 a = *reinterpret_cast<const float4*>(x + i), b = *reinterpret_cast<const float4*>(out + i);
    *reinterpret_cast<float4*>(out + i) = {b.x + a.x, b.y + a.y, b.z + a.z, b.w + a.w};
  } else {
    for (int64_t tail = i; tail < count; ++tail) out[tail] += x[tail];
  }
}

bool shapes(const mk_add_args& args, const mk_device&) { return args.x.cols > 0 && args.x.cols == args.out.cols; }

mk_status run(const mk_add_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t rows = 0, out_rows = 0;
  mk_status status = take_launch_rows("add.x", args.x, &rows, error);
  if (status == MK_OK) status = take_launch_rows("add.out", args.out, &out_rows, error);
  if (status != MK_OK) return status;
  if (args.out.max_rows < rows) return refuse(error, MK_INVALID_ARGUMENT, "add.out has no room for %d rows", rows);
  if (rows == 0) return MK_OK;
  const auto blocks = static_cast<unsigned>(ceil_div(static_cast<int64_t>(rows) * args.x.cols, kThreads * kWidth));
  add_elements<<<blocks, kThreads, 0, stream>>>(args.x.num_rows, args.x.cols, static_cast<const float*>(args.x.data),
                                                static_cast<float*>(args.out.data));
  return MK_OK;
}

}  // namespace

const mk_kernel add_kernel = CudaKernel<MK_OP_ADD, mk_add_args, shapes, run>::offer("add_f32");

}  // namespace moesaic::cuda
