// linear, exact: float32 sums of float32 products, any shape; serves fast as well, where linear.cu does not.
//   x (rows, in) f32 · weight (out, in) bf16, rowmajor_bf16 · bias (out) f32 or absent · out (rows, out) f32
//   oracle: kernels/reference/linear.cc
#include "kernels.h"
#include "linear_shapes.h"
#include "matmul_exact.cuh"
#include "packing.h"

namespace moesaic::cuda {
namespace {

bool shapes(const mk_linear_args& args, const mk_device&) { return linear_shapes(args); }

mk_status run(const mk_linear_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  const mk_status status = check_linear(args, error);
  if (status != MK_OK) return status;
  Matmul job{};
  job.weights = args.weight.data;
  job.rows = args.weight.rows;
  job.cols = args.weight.cols;
  job.bias = static_cast<const float*>(args.bias.data);
  job.x = args.x.data;
  job.out = args.out.data;
  job.num_rows = args.x.num_rows;
  job.accumulate = args.accumulate;
  const int64_t blocks = ceil_div(*args.x.launch_rows, kExactTokens);
  if (job.cols % kGroupCols == 0) return start_exact<Bf16Groups<true>, true, Product::kLinear>(job, blocks, stream, error);
  return start_exact<Bf16Groups<false>, false, Product::kLinear>(job, blocks, stream, error);
}

}  // namespace

const mk_kernel linear_exact_kernel =
    CudaKernel<MK_OP_LINEAR, mk_linear_args, shapes, run>::offer("linear_bf16_exact", &rowmajor_bf16);

}  // namespace moesaic::cuda
