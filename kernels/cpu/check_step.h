// check_step: what the ops that look across tokens refuse: ids that would lead out of a table or into the null block.
// For files without an instruction set in their name.
#pragma once

#include "check.h"

namespace moesaic::cpu {

constexpr int64_t kMaxHeadDim = 256;

// What the vector kernels can do; other heads are left to the reference package.
static inline bool is_supported_kv(const mk_kv& kv, int64_t num_heads) {
  const bool is_head = kv.head_dim >= 16 && kv.head_dim <= kMaxHeadDim && kv.head_dim % 16 == 0;
  const bool is_block = kv.block_size >= 1 && (kv.block_size & (kv.block_size - 1)) == 0;
  const bool is_grouped = kv.num_kv_heads >= 1 && num_heads >= 1 && num_heads % kv.num_kv_heads == 0;
  return kv.dtype == MK_F32 && is_head && is_block && is_grouped;
}

static inline mk_status check_tokens(const mk_step* step, int64_t* num_tokens, mk_error* error) {
  if (step == nullptr || step->struct_size < sizeof(*step) || step->num_tokens == nullptr ||
      step->positions == nullptr) {
    return fail(error, MK_INVALID_ARGUMENT, "step: a mk_step with num_tokens and positions wanted");
  }
  *num_tokens = *step->num_tokens;
  if (*num_tokens >= 0 && *num_tokens <= step->max_tokens) return MK_OK;
  return fail(error, MK_INVALID_ARGUMENT, "step: %d tokens given, room for %d", *step->num_tokens, step->max_tokens);
}

// One token's KV blocks from position `first` to its own.
static inline mk_status check_blocks(const mk_kv& kv, int64_t row, int64_t first, int64_t position, mk_error* error) {
  if (position < 0 || position / kv.block_size >= kv.max_blocks || row < 0) {
    return fail(error, MK_INVALID_ARGUMENT, "kv: position %lld of row %lld has no place in a table of %d blocks of %d",
                static_cast<long long>(position), static_cast<long long>(row), kv.max_blocks, kv.block_size);
  }
  const int32_t* table = kv.table + row * kv.max_blocks;
  for (int64_t index = first / kv.block_size; index <= position / kv.block_size; ++index) {
    if (table[index] > 0 && table[index] < kv.num_blocks) continue;
    return fail(error, MK_INVALID_ARGUMENT, "kv: block %lld of row %lld is %d, wanted 1 to %d",
                static_cast<long long>(index), static_cast<long long>(row), table[index], kv.num_blocks - 1);
  }
  return MK_OK;
}

static inline mk_status check_kv(const mk_kv& kv, int64_t num_heads, mk_error* error) {
  if (kv.k == nullptr || kv.v == nullptr || kv.table == nullptr)
    return fail(error, MK_INVALID_ARGUMENT, "kv: NULL pointer");
  if (is_supported_kv(kv, num_heads)) return MK_OK;
  return fail(error, MK_UNIMPLEMENTED,
              "kv: float32, head_dim a multiple of 16 up to %d and whole groups of heads wanted; "
              "dtype %d, %d, %lld over %d given",
              static_cast<int>(kMaxHeadDim), kv.dtype, kv.head_dim, static_cast<long long>(num_heads), kv.num_kv_heads);
}

// Every token has a sequence.
static inline mk_status check_seqs(const mk_step& step, int64_t num_tokens, mk_error* error) {
  if (step.token_seqs == nullptr || step.seq_rows == nullptr || step.num_seqs == nullptr) {
    return fail(error, MK_INVALID_ARGUMENT, "step: num_seqs, token_seqs and seq_rows wanted");
  }
  for (int64_t token = 0; token < num_tokens; ++token) {
    const int32_t seq = step.token_seqs[token];
    if (seq < 0 || seq >= *step.num_seqs) {
      return fail(error, MK_INVALID_ARGUMENT, "step: token %lld is of sequence %d of %d", static_cast<long long>(token),
                  seq, *step.num_seqs);
    }
  }
  return MK_OK;
}

// Every token has a slot to be written to.
static inline mk_status check_slots(const mk_kv& kv, const mk_step& step, int64_t num_tokens, mk_error* error) {
  MK_TRY(check_seqs(step, num_tokens, error));
  for (int64_t token = 0; token < num_tokens; ++token) {
    const int64_t position = step.positions[token];
    MK_TRY(check_blocks(kv, step.seq_rows[step.token_seqs[token]], position, position, error));
  }
  return MK_OK;
}

}  // namespace moesaic::cpu
