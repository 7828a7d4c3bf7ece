#include "check.h"

#include <algorithm>
#include <cstdio>

namespace moesaic::reference {

namespace {

const char* const kOpNames[MK_OP_COUNT] = {"rope_table", "embed",        "rms_norm",    "linear",  "rope_kv_write",
                                           "attention",  "router",       "experts",     "combine", "gather_rows",
                                           "sample",     "mxfp4_decode", "mxfp4_encode", "add",     "sample_shard",
                                           "begin_step"};

bool is_power_of_two(int32_t value) { return value > 0 && (value & (value - 1)) == 0; }

}  // namespace

const char* op_name(mk_op op) { return kOpNames[op]; }

bool Check::that(bool holds, const char* format, ...) {
  if (holds) return true;
  va_list values;
  va_start(values, format);
  refuse(MK_INVALID_ARGUMENT, format, values);
  va_end(values);
  return false;
}

bool Check::that_or(mk_status code, bool holds, const char* format, ...) {
  if (holds) return true;
  va_list values;
  va_start(values, format);
  refuse(code, format, values);
  va_end(values);
  return false;
}

// The message is "op: text"; a long one is cut.
void Check::refuse(mk_status code, const char* format, va_list values) {
  status_ = code;
  if (error_ == nullptr) return;
  const int prefix = std::snprintf(error_->message, sizeof(error_->message), "%s: ", op_name(op_));
  std::vsnprintf(error_->message + prefix, sizeof(error_->message) - static_cast<size_t>(prefix), format, values);
}

bool Check::buffer(const char* name, const mk_buffer& buffer, int64_t cols) {
  return that(buffer.max_rows > 0, "%s has room for %d rows, want at least 1", name, buffer.max_rows) &&
         that(buffer.cols == cols && cols > 0, "%s has %d columns, want %lld", name, buffer.cols,
              static_cast<long long>(cols));
}

bool Check::vector(const char* name, const mk_weight& weight, int64_t num_experts, int64_t rows) {
  return that(weight.dtype == MK_F32, "%s has dtype %d, want float32 (%d)", name, weight.dtype, MK_F32) &&
         that(weight.num_experts == num_experts && weight.rows == rows && weight.cols == 1,
              "%s is (%d, %d, %d), want (%lld, %lld, 1)", name, weight.num_experts, weight.rows, weight.cols,
              static_cast<long long>(num_experts), static_cast<long long>(rows));
}

bool Check::matrix(const char* name, const mk_weight& weight, mk_dtype dtype) {
  return that(weight.dtype == dtype, "%s has dtype %d, want %d", name, weight.dtype, dtype) &&
         that(weight.num_experts > 0 && weight.rows > 0 && weight.cols > 0, "%s is (%d, %d, %d), want sizes above 0",
              name, weight.num_experts, weight.rows, weight.cols) &&
         that(dtype != MK_MXFP4 || weight.cols % 32 == 0, "%s has %d columns, want a multiple of 32 for mxfp4", name,
              weight.cols);
}

bool Check::kv(const mk_kv& kv, int32_t num_heads) {
  return that(kv.head_dim > 0 && kv.head_dim % 2 == 0, "kv.head_dim is %d, want an even number", kv.head_dim) &&
         that(kv.num_kv_heads > 0 && num_heads > 0 && num_heads % kv.num_kv_heads == 0,
              "%d heads over %d KV heads, want a multiple", num_heads, kv.num_kv_heads) &&
         that(is_power_of_two(kv.block_size), "kv.block_size is %d, want a power of two", kv.block_size) &&
         that(kv.dtype == MK_F32, "kv has dtype %d, want float32 (%d)", kv.dtype, MK_F32) &&
         that(kv.num_blocks > 1 && kv.max_blocks > 0, "kv has %d blocks and %d table entries per row, want 2 and 1",
              kv.num_blocks, kv.max_blocks);
}

bool Check::pointer(const char* name, const void* pointer) { return that(pointer != nullptr, "%s is NULL", name); }

bool Check::rows(const char* name, const mk_buffer& buffer) {
  return that(buffer.data != nullptr && buffer.num_rows != nullptr, "%s has no data or no row count", name) &&
         that(*buffer.num_rows >= 0 && *buffer.num_rows <= buffer.max_rows, "%s has %d rows, want 0 to %d", name,
              *buffer.num_rows, buffer.max_rows);
}

bool Check::rows(const char* name, const mk_buffer& buffer, int64_t num_rows) {
  return rows(name, buffer) && that(*buffer.num_rows == num_rows, "%s has %d rows, want %lld", name, *buffer.num_rows,
                                    static_cast<long long>(num_rows));
}

bool Check::optional_vector(const char* name, const mk_weight& weight, int64_t num_experts, int64_t rows) {
  return weight.data == nullptr || vector(name, weight, num_experts, rows);
}

bool Check::tokens(const mk_step* step) {
  if (!pointer("step", step)) return false;
  if (!that(step->struct_size >= sizeof(mk_step), "step has %u bytes, want %zu", step->struct_size, sizeof(mk_step)) ||
      !pointer("step.num_tokens", step->num_tokens) || !pointer("step.positions", step->positions) ||
      !that(*step->num_tokens >= 0 && *step->num_tokens <= step->max_tokens, "step has %d tokens, want 0 to %d",
            *step->num_tokens, step->max_tokens)) {
    return false;
  }
  for (int32_t t = 0; t < *step->num_tokens; ++t) {
    if (!that(step->positions[t] >= 0, "positions[%d] is %d, want 0 or more", t, step->positions[t])) return false;
  }
  return true;
}

bool Check::sequences(const mk_step* step) {
  if (!tokens(step) || !pointer("step.num_seqs", step->num_seqs) || !pointer("step.token_seqs", step->token_seqs) ||
      !pointer("step.seq_rows", step->seq_rows) ||
      !that(*step->num_seqs >= 0 && *step->num_seqs <= step->max_seqs, "step has %d sequences, want 0 to %d",
            *step->num_seqs, step->max_seqs)) {
    return false;
  }
  for (int32_t t = 0; t < *step->num_tokens; ++t) {
    const int32_t seq = step->token_seqs[t];
    if (!that(seq >= 0 && seq < *step->num_seqs, "token_seqs[%d] is %d, want 0 to %d", t, seq, *step->num_seqs - 1) ||
        !that(step->seq_rows[seq] >= 0, "seq_rows[%d] is %d, want 0 or more", seq, step->seq_rows[seq])) {
      return false;
    }
  }
  return true;
}

bool Check::kv_blocks(const mk_kv& kv, const mk_step& step, int32_t window) {
  if (!pointer("kv.k", kv.k) || !pointer("kv.v", kv.v) || !pointer("kv.table", kv.table)) return false;
  for (int32_t t = 0; t < *step.num_tokens; ++t) {
    const int32_t row = step.seq_rows[step.token_seqs[t]], position = step.positions[t];
    const int32_t first = window == 0 ? 0 : std::max(0, position - window + 1);
    const int32_t last_block = position / kv.block_size;
    if (!that(last_block < kv.max_blocks, "positions[%d] is %d, want under %d table entries of %d tokens", t, position,
              kv.max_blocks, kv.block_size)) {
      return false;
    }
    for (int32_t b = first / kv.block_size; b <= last_block; ++b) {
      const int32_t block = kv.table[static_cast<int64_t>(row) * kv.max_blocks + b];
      if (!that(block > 0 && block < kv.num_blocks, "row %d has KV block %d at table entry %d, want 1 to %d", row,
                block, b, kv.num_blocks - 1)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace moesaic::reference
