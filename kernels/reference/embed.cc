// embed: out[t, :] = float32(weight[token_ids[t], :])
//   weight (vocab, hidden) bf16 · out (num_tokens, hidden) f32
#include "bf16.h"
#include "kernels.h"
#include "plain_kernel.h"
#include "rowmajor.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_embed_args& args) {
  return check.matrix("weight", args.weight, MK_BF16) && check.buffer("out", args.out, args.weight.cols);
}

bool values(Check& check, const mk_embed_args& args) {
  if (!check.tokens(args.step) || !check.pointer("step.token_ids", args.step->token_ids) ||
      !check.pointer("weight", args.weight.data) || !check.rows("out", args.out, *args.step->num_tokens)) {
    return false;
  }
  for (int32_t t = 0; t < *args.step->num_tokens; ++t) {
    const int32_t id = args.step->token_ids[t];
    if (!check.that(id >= 0 && id < args.weight.rows, "token_ids[%d] is %d, want 0 to %d", t, id,
                    args.weight.rows - 1)) {
      return false;
    }
  }
  return true;
}

void run(const mk_embed_args& args, const mk_cpu_stream& stream, void*) {
  for_each(stream, *args.step->num_tokens, [&](int64_t t, int32_t) {
    const uint16_t* row = bf16_row(args.weight, 0, args.step->token_ids[t]);
    float* out = static_cast<float*>(args.out.data) + t * args.out.cols;
    for (int32_t c = 0; c < args.out.cols; ++c) out[c] = bf16_to_float(row[c]);
  });
}

}  // namespace

const mk_kernel embed_kernel =
    PlainKernel<MK_OP_EMBED, mk_embed_args, shapes, values, run>::offer("embed_bf16", &rowmajor_bf16);

}  // namespace moesaic::reference
