// rotate: where a computed head of q, k or v goes: rotated in place, or to its slot of the paged cache. Internal functions,
// for files of any instruction set: plain products and sums, so that fused and plain kernels give the same bits.
#pragma once

#include <stdint.h>

#include "moesaic/kernel.h"

namespace moesaic::cpu {

// to may be head. rope: cosines, then sines.
static inline void rotate(const float* head, const float* rope, int64_t head_dim, float* to) {
  const int64_t half = head_dim / 2;
  for (int64_t j = 0; j < half; ++j) {
    const float first = head[j], second = head[j + half], cosine = rope[j], sine = rope[j + half];
    to[j] = first * cosine - second * sine;
    to[j + half] = second * cosine + first * sine;
  }
}

// Floats from the start of k or v to the slot of a token for one kv head.
static inline int64_t slot_offset(const mk_kv& kv, const mk_step& step, int64_t token, int64_t kv_head) {
  const int64_t position = step.positions[token];
  const int64_t row = step.seq_rows[step.token_seqs[token]];
  const int64_t block = kv.table[row * kv.max_blocks + position / kv.block_size];
  return ((block * kv.num_kv_heads + kv_head) * kv.block_size + position % kv.block_size) * kv.head_dim;
}

// Column head of qkv: q heads, then k heads, then v heads. q is the place of this head in the token's qkv row.
static inline void place_head(const mk_kv& kv, const mk_step& step, const float* rope, int64_t num_heads, int64_t head,
                              int64_t token, const float* values, float* q) {
  if (head < num_heads) return rotate(values, rope, kv.head_dim, q);
  const int64_t kv_head = (head - num_heads) % kv.num_kv_heads;
  const int64_t offset = slot_offset(kv, step, token, kv_head);
  if (head - num_heads < kv.num_kv_heads) return rotate(values, rope, kv.head_dim, static_cast<float*>(kv.k) + offset);
  __builtin_memcpy(static_cast<float*>(kv.v) + offset, values, kv.head_dim * sizeof(float));
}

}  // namespace moesaic::cpu
