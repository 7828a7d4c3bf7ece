// attention: what the plain and the instruction-set files of attention say to each other.
#pragma once

#include "layout.h"

namespace moesaic::cpu {

constexpr int64_t kQueryRows = 96;  // rows of a tile: enough that transposing keys for them is not felt
constexpr int64_t kKeys = 64;       // keys of a chunk; chunks begin at multiples of it in every sequence

// Row f of a sequence is query token f / group_size and, of the kv head's query heads, number f % group_size.
struct AttentionTile {
  int32_t first_token;  // of the sequence in the step
  int32_t seq_row;      // persistent row
  int32_t first_row, num_rows;
};

struct AttentionWork {
  const AttentionTile* tiles;
  int64_t num_tiles;
  const int32_t* positions;
  const float* qkv;
  int64_t qkv_stride;
  const float* sinks;  // NULL: none
  mk_kv kv;
  float* out;
  int64_t out_stride, num_heads, window;
  float scale;
  float* scratch;  // scratch_floats(head_dim) for each thread
};

// Queries, transposed keys, scores, weighted sums of values.
static inline int64_t scratch_floats(int64_t head_dim) {
  return 2 * kQueryRows * head_dim + head_dim * kKeys + kQueryRows * kKeys;
}

// First key that the token at `position` sees.
static inline int64_t first_key(int64_t position, int64_t window) {
  return window == 0 || position < window ? 0 : position - window + 1;
}

using AttentionIsa = void (*)(const AttentionWork& work, int64_t begin, int64_t end, int32_t thread);
void attend_avx2(const AttentionWork& work, int64_t begin, int64_t end, int32_t thread);
void attend_avx512(const AttentionWork& work, int64_t begin, int64_t end, int32_t thread);

}  // namespace moesaic::cpu
