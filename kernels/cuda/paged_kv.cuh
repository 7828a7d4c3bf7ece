// Where the paged KV cache keeps a token, on the device.
#pragma once

#include <cstdint>

#include "moesaic/kernel.h"

namespace moesaic::cuda {

// The part of mk_kv and of mk_step's rows that addresses need. An entry outside the pool would be our own bug; it is taken to
// the null block, so that no other memory is touched.
struct PagedRows {
  const int32_t* table;
  int32_t max_blocks, num_blocks, block_bits, num_kv_heads;

  explicit PagedRows(const mk_kv& kv)
      : table(kv.table),
        max_blocks(kv.max_blocks),
        num_blocks(kv.num_blocks),
        block_bits(__builtin_ctz(static_cast<unsigned>(kv.block_size))),
        num_kv_heads(kv.num_kv_heads) {}

  // Index of the head_dim elements of a head of a token, in k and in v.
  __device__ uint32_t slot(int32_t row, int32_t position, int32_t kv_head) const {
    const int32_t entry = position >> block_bits;
    int32_t block = entry < max_blocks ? __ldg(table + static_cast<int64_t>(row) * max_blocks + entry) : 0;
    if (block < 0 || block >= num_blocks) block = 0;
    const uint32_t head = static_cast<uint32_t>(block) * num_kv_heads + kv_head;
    return (head << block_bits) + (position & ((1 << block_bits) - 1));
  }
};

// Whether the shapes are ones that any kernel here could serve: slots are counted in 31 bits.
inline bool is_paged_kv(const mk_kv& kv, int32_t num_heads) {
  const bool is_block = kv.block_size > 0 && (kv.block_size & (kv.block_size - 1)) == 0;
  if (!is_block || kv.head_dim < 2 || kv.head_dim % 2 != 0 || kv.num_kv_heads < 1 || num_heads < 1) return false;
  if (num_heads % kv.num_kv_heads != 0 || kv.num_blocks < 2 || kv.max_blocks < 1) return false;
  if (kv.dtype != MK_F32 && kv.dtype != MK_BF16) return false;
  return static_cast<int64_t>(kv.num_blocks) * kv.num_kv_heads * kv.block_size <= INT32_MAX;
}

}  // namespace moesaic::cuda
