// gather_rows: out[i, :] = x[row_indices[i], :]
//   x (rows, cols) f32 · row_indices (out rows) · out (out rows, cols) f32
#include <algorithm>

#include "kernels.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_gather_rows_args& args) {
  return check.buffer("x", args.x, args.x.cols) && check.buffer("out", args.out, args.x.cols);
}

bool values(Check& check, const mk_gather_rows_args& args) {
  if (!check.rows("x", args.x) || !check.rows("out", args.out) || !check.pointer("row_indices", args.row_indices)) {
    return false;
  }
  for (int32_t i = 0; i < *args.out.num_rows; ++i) {
    const int32_t index = args.row_indices[i];
    if (!check.that(index >= 0 && index < *args.x.num_rows, "row_indices[%d] is %d, want 0 to %d", i, index,
                    *args.x.num_rows - 1)) {
      return false;
    }
  }
  return true;
}

void run(const mk_gather_rows_args& args, const mk_cpu_stream& stream, void*) {
  for_each(stream, *args.out.num_rows, [&](int64_t i, int32_t) {
    const float* x = static_cast<const float*>(args.x.data) + static_cast<int64_t>(args.row_indices[i]) * args.x.cols;
    std::copy_n(x, args.x.cols, static_cast<float*>(args.out.data) + i * args.out.cols);
  });
}

}  // namespace

const mk_kernel gather_rows_kernel =
    PlainKernel<MK_OP_GATHER_ROWS, mk_gather_rows_args, shapes, values, run>::offer("gather_rows_f32");

}  // namespace moesaic::reference
