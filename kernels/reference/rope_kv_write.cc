// rope_kv_write: rotates q in place and k by halves, writes k and v to the paged cache
//   qkv (num_tokens, (num_heads + 2 * num_kv_heads) * head_dim) f32 · rope (num_tokens, head_dim) f32: cos, then sin
//   first' = first * cos - second * sin      second' = second * cos + first * sin       (element j pairs with j + d/2)
#include <algorithm>

#include "kernels.h"
#include "kv_slot.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_rope_kv_write_args& args) {
  const int64_t heads = args.num_heads + 2 * static_cast<int64_t>(args.kv.num_kv_heads);
  return check.kv(args.kv, args.num_heads) && check.buffer("qkv", args.qkv, heads * args.kv.head_dim) &&
         check.buffer("rope", args.rope, args.kv.head_dim);
}

// The blocks written to are those of a window of one token.
bool values(Check& check, const mk_rope_kv_write_args& args) {
  return check.sequences(args.step) && check.rows("qkv", args.qkv, *args.step->num_tokens) &&
         check.rows("rope", args.rope, *args.step->num_tokens) && check.kv_blocks(args.kv, *args.step, 1);
}

// `out` may be `head`.
void rotate(const float* head, const float* rope, int32_t head_dim, float* out) {
  const int32_t half = head_dim / 2;
  for (int32_t j = 0; j < half; ++j) {
    const float first = head[j], second = head[j + half], cos = rope[j], sin = rope[j + half];
    out[j] = first * cos - second * sin;
    out[j + half] = second * cos + first * sin;
  }
}

void run(const mk_rope_kv_write_args& args, const mk_cpu_stream& stream, void*) {
  const mk_kv& kv = args.kv;
  float* keys = static_cast<float*>(kv.k);
  float* values = static_cast<float*>(kv.v);
  for_each(stream, *args.step->num_tokens, [&](int64_t t, int32_t) {
    float* q = static_cast<float*>(args.qkv.data) + t * args.qkv.cols;
    const float* k = q + args.num_heads * kv.head_dim;
    const float* v = k + kv.num_kv_heads * kv.head_dim;
    const float* rope = static_cast<const float*>(args.rope.data) + t * kv.head_dim;
    const int32_t row = args.step->seq_rows[args.step->token_seqs[t]];
    for (int32_t h = 0; h < args.num_heads; ++h) {
      rotate(q + h * kv.head_dim, rope, kv.head_dim, q + h * kv.head_dim);
    }
    for (int32_t h = 0; h < kv.num_kv_heads; ++h) {
      const int64_t slot = kv_slot(kv, row, args.step->positions[t], h);
      rotate(k + h * kv.head_dim, rope, kv.head_dim, keys + slot);
      std::copy_n(v + h * kv.head_dim, kv.head_dim, values + slot);
    }
  });
}

}  // namespace

const mk_kernel rope_kv_write_kernel =
    PlainKernel<MK_OP_ROPE_KV_WRITE, mk_rope_kv_write_args, shapes, values, run>::offer("rope_kv_write_f32");

}  // namespace moesaic::reference
