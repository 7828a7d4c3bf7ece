// gather_rows: out[i, :] = x[row_indices[i], :]
//   x (rows, cols) f32 · row_indices (out rows) · out (out rows, cols) f32 · one block per row of out
//   An index outside x would be our own bug; its row is NaN, which no later op hides.
//   bound: memory, 8 B per element · oracle: kernels/reference/gather_rows.cc
#include "kernels.h"
#include "launch_check.h"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 256;

// T: float4 where rows begin at multiples of 16 bytes, else float; cols counts Ts.
template <class T>
__global__ void __launch_bounds__(kThreads)
    gather(const int32_t* num_rows, const int32_t* x_rows, const int32_t* row_indices, const T* x, int32_t cols, T* out) {
  const int64_t i = blockIdx.x;
  if (i >= *num_rows) return;
  const int64_t index = row_indices[i];
  const bool is_there = index >= 0 && index < *x_rows;
  T nothing;
  memset(&nothing, 0xFF, sizeof(nothing));
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < cols; c += kThreads)
    out[i * cols + c] = is_there ? x[index * cols + c] : nothing;
}

bool shapes(const mk_gather_rows_args& args, const mk_device&) { return args.x.cols > 0 && args.x.cols == args.out.cols; }

mk_status run(const mk_gather_rows_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t rows = 0;
  const mk_status status = take_launch_rows("gather_rows.out", args.out, &rows, error);
  if (status != MK_OK) return status;
  if (args.row_indices == nullptr || args.x.data == nullptr || args.x.num_rows == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "gather_rows: row_indices, x or its row count is NULL");
  if (rows == 0) return MK_OK;
  if (args.x.cols % 4 == 0) {
    gather<<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(
        args.out.num_rows, args.x.num_rows, args.row_indices, static_cast<const float4*>(args.x.data), args.x.cols / 4,
        static_cast<float4*>(args.out.data));
  } else {
    gather<<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(
        args.out.num_rows, args.x.num_rows, args.row_indices, static_cast<const float*>(args.x.data), args.x.cols,
        static_cast<float*>(args.out.data));
  }
  return MK_OK;
}

}  // namespace

const mk_kernel gather_rows_kernel =
    CudaKernel<MK_OP_GATHER_ROWS, mk_gather_rows_args, shapes, run>::offer("gather_rows_f32");

}  // namespace moesaic::cuda
