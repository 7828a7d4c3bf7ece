// combine: out[t, :] += ((w[t,0] y[t,0,:] + w[t,1] y[t,1,:]) + w[t,2] y[t,2,:]) + ...
//   y (rows, experts_per_token * hidden) f32 · expert_weights (rows, experts_per_token) f32 · out (rows, hidden) f32
//   float32 throughout and slots in router order: these very roundings make layouts of expert parallelism agree
#include "kernels.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_combine_args& args) {
  const int32_t experts_per_token = args.expert_weights.cols;
  return check.buffer("expert_weights", args.expert_weights, experts_per_token) &&
         check.buffer("out", args.out, args.out.cols) &&
         check.buffer("y", args.y, static_cast<int64_t>(experts_per_token) * args.out.cols);
}

bool values(Check& check, const mk_combine_args& args) {
  return check.rows("y", args.y) && check.rows("expert_weights", args.expert_weights, *args.y.num_rows) &&
         check.rows("out", args.out, *args.y.num_rows);
}

void run(const mk_combine_args& args, const mk_cpu_stream& stream, void*) {
  const int32_t experts_per_token = args.expert_weights.cols, hidden = args.out.cols;
  for_each(stream, *args.y.num_rows, [&](int64_t t, int32_t) {
    const float* y = static_cast<const float*>(args.y.data) + t * args.y.cols;
    const float* weights = static_cast<const float*>(args.expert_weights.data) + t * experts_per_token;
    float* out = static_cast<float*>(args.out.data) + t * hidden;
    for (int32_t c = 0; c < hidden; ++c) {
      float sum = weights[0] * y[c];
      for (int64_t s = 1; s < experts_per_token; ++s) sum += weights[s] * y[s * hidden + c];
      out[c] += sum;
    }
  });
}

}  // namespace

const mk_kernel combine_kernel = PlainKernel<MK_OP_COMBINE, mk_combine_args, shapes, values, run>::offer("combine_f32");

}  // namespace moesaic::reference
