// linear: out[t, r] = (accumulate ? out[t, r] : 0) + sum_c weight[r, c] * x[t, c] + bias[r]
//   x (rows, in) f32 · weight (out, in) bf16 · bias (out) f32 or absent · out (rows, out) f32 · sums are doubles
#include "kernels.h"
#include "plain_kernel.h"
#include "rowmajor.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_linear_args& args) {
  return check.matrix("weight", args.weight, MK_BF16) &&
         check.that(args.weight.num_experts == 1, "weight has %d experts, want 1", args.weight.num_experts) &&
         check.buffer("x", args.x, args.weight.cols) && check.buffer("out", args.out, args.weight.rows) &&
         check.that(args.accumulate == 0 || args.accumulate == 1, "accumulate is %d, want 0 or 1", args.accumulate);
}

bool values(Check& check, const mk_linear_args& args) {
  return check.pointer("weight", args.weight.data) && check.rows("x", args.x) &&
         check.rows("out", args.out, *args.x.num_rows) && check.optional_vector("bias", args.bias, 1, args.weight.rows);
}

// One output feature of every row, so that a weight row is read from memory once.
void run(const mk_linear_args& args, const mk_cpu_stream& stream, void*) {
  const float* bias = static_cast<const float*>(args.bias.data);
  for_each(stream, args.weight.rows, [&](int64_t r, int32_t) {
    for (int64_t t = 0; t < *args.x.num_rows; ++t) {
      const float* x = static_cast<const float*>(args.x.data) + t * args.x.cols;
      float& out = static_cast<float*>(args.out.data)[t * args.out.cols + r];
      const double before = args.accumulate ? out : 0;
      out = static_cast<float>(before + dot(args.weight, 0, r, x) + (bias == nullptr ? 0 : bias[r]));
    }
  });
}

}  // namespace

const mk_kernel linear_kernel =
    PlainKernel<MK_OP_LINEAR, mk_linear_args, shapes, values, run>::offer("linear_bf16", &rowmajor_bf16);

}  // namespace moesaic::reference
