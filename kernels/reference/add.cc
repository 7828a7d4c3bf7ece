// add: out[t, c] += x[t, c]
//   x, out (rows, cols) f32
#include "kernels.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_add_args& args) {
  return check.buffer("x", args.x, args.x.cols) && check.buffer("out", args.out, args.x.cols);
}

bool values(Check& check, const mk_add_args& args) {
  return check.rows("x", args.x) && check.rows("out", args.out, *args.x.num_rows);
}

void run(const mk_add_args& args, const mk_cpu_stream& stream, void*) {
  for_each(stream, *args.x.num_rows, [&](int64_t t, int32_t) {
    const float* x = static_cast<const float*>(args.x.data) + t * args.x.cols;
    float* out = static_cast<float*>(args.out.data) + t * args.out.cols;
    for (int32_t c = 0; c < args.x.cols; ++c) out[c] += x[c];
  });
}

}  // namespace

const mk_kernel add_kernel = PlainKernel<MK_OP_ADD, mk_add_args, shapes, values, run>::offer("add_f32");

}  // namespace moesaic::reference
