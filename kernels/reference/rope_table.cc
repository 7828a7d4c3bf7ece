// rope_table: out[t, 0:d/2] = cos(a) * scaling, out[t, d/2:d] = sin(a) * scaling, a = float32(position) * inv_freq[i]
//   out (num_tokens, head_dim) f32 · the angle is a float32 product, everything after it double, rounded once
//   Source: YaRN, arXiv 2309.00071; gpt-oss torch/model.py
#include <cmath>

#include "kernels.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_rope_table_args& args) {
  return check.buffer("out", args.out, args.out.cols) &&
         check.that(args.out.cols % 2 == 0, "out has %d columns, want an even number", args.out.cols);
}

bool values(Check& check, const mk_rope_table_args& args) {
  return check.tokens(args.step) && check.pointer("inv_freq", args.inv_freq) &&
         check.rows("out", args.out, *args.step->num_tokens);
}

void run(const mk_rope_table_args& args, const mk_cpu_stream& stream, void*) {
  const int32_t half = args.out.cols / 2;
  for_each(stream, *args.step->num_tokens, [&](int64_t t, int32_t) {
    float* out = static_cast<float*>(args.out.data) + t * args.out.cols;
    for (int32_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(args.step->positions[t]) * args.inv_freq[i];
      out[i] = static_cast<float>(std::cos(static_cast<double>(angle)) * args.scaling);
      out[half + i] = static_cast<float>(std::sin(static_cast<double>(angle)) * args.scaling);
    }
  });
}

}  // namespace

const mk_kernel rope_table_kernel =
    PlainKernel<MK_OP_ROPE_TABLE, mk_rope_table_args, shapes, values, run>::offer("rope_table_f32");

}  // namespace moesaic::reference
