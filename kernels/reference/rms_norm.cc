// rms_norm: out[t, :] = x[t, :] * rsqrt(mean(x[t, :]^2) + eps) * weight[:]
//   x, out (rows, cols) f32, out may be x · weight (cols) f32 · the mean is a double, so that long rows lose nothing
#include <cmath>

#include "kernels.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_rms_norm_args& args) {
  return check.buffer("x", args.x, args.weight.rows) && check.buffer("out", args.out, args.x.cols) &&
         check.vector("weight", args.weight, 1, args.x.cols) &&
         check.that(args.eps >= 0, "eps is %g, want 0 or more", static_cast<double>(args.eps));
}

bool values(Check& check, const mk_rms_norm_args& args) {
  return check.rows("x", args.x) && check.rows("out", args.out, *args.x.num_rows) &&
         check.pointer("weight", args.weight.data);
}

void run(const mk_rms_norm_args& args, const mk_cpu_stream& stream, void*) {
  const float* weight = static_cast<const float*>(args.weight.data);
  const int32_t cols = args.x.cols;
  for_each(stream, *args.x.num_rows, [&](int64_t t, int32_t) {
    const float* x = static_cast<const float*>(args.x.data) + t * cols;
    float* out = static_cast<float*>(args.out.data) + t * cols;
    double sum = 0;
    for (int32_t c = 0; c < cols; ++c) sum += static_cast<double>(x[c]) * x[c];
    const float scale = static_cast<float>(1 / std::sqrt(sum / cols + static_cast<double>(args.eps)));
    for (int32_t c = 0; c < cols; ++c) out[c] = x[c] * scale * weight[c];
  });
}

}  // namespace

const mk_kernel rms_norm_kernel =
    PlainKernel<MK_OP_RMS_NORM, mk_rms_norm_args, shapes, values, run>::offer("rms_norm_f32");

}  // namespace moesaic::reference
