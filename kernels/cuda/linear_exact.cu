// linear, exact: float32 sums of float32 products, any shape; serves fast as well, where linear.cu does not.
//   x (rows, in) f32 · weight (out, in) bf16, rowmajor_bf16 · bias (out) f32 or absent · out (rows, out) f32
//   oracle: kernels/reference/linear.cc
#include "kernels.h"
#include "linear.cuh"
#include "matmul_exact.cuh"
#include "packing.h"

namespace moesaic::cuda {
namespace {

bool shapes(const mk_linear_args& args, const mk_device&) { return linear_shapes(args); }

mk_status run(const mk_linear_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t rows = 0;
  const mk_status status = check_linear(args, &rows, error);
  if (status != MK_OK) return status;
  const Matmul job = matmul_of(args);
  const int64_t blocks = ceil_div(rows, kExactTokens);
  if (job.cols % kGroupCols == 0) return start_exact<Bf16Groups<true>, true, Product::kLinear>(job, blocks, stream, error);
  return start_exact<Bf16Groups<false>, false, Product::kLinear>(job, blocks, stream, error);
}

}  // namespace

const mk_kernel linear_exact_kernel =
    CudaKernel<MK_OP_LINEAR, mk_linear_args, shapes, run>::offer("linear_bf16_exact", &rowmajor_bf16);

}  // namespace moesaic::cuda
