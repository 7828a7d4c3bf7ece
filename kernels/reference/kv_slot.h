// Where the paged KV cache keeps a token.
#pragma once

#include <cstdint>

#include "moesaic/kernel.h"

namespace moesaic::reference {

// First element of head `kv_head` of the token at `position` of persistent row `row`, in kv.k and in kv.v.
inline int64_t kv_slot(const mk_kv& kv, int64_t row, int32_t position, int32_t kv_head) {
  const int64_t block = kv.table[row * kv.max_blocks + position / kv.block_size];
  return ((block * kv.num_kv_heads + kv_head) * kv.block_size + position % kv.block_size) * kv.head_dim;
}

}  // namespace moesaic::reference
