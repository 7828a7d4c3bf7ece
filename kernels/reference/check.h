// Check: what every launch refuses, in one place, with messages that say what was wanted and what was there.
#pragma once

#include <cstdarg>
#include <cstdint>

#include "moesaic/kernel.h"

namespace moesaic::reference {

const char* op_name(mk_op op);

// Collects the first failure of one launch. Each method returns true when all is well, so that checks chain with &&.
// Borrows `error` (may be null: then only the code is kept) for its lifetime.
class Check {
 public:
  Check(mk_op op, mk_error* error) : op_(op), error_(error) {}
  mk_status status() const { return status_; }

  // The general form: fails as MK_INVALID_ARGUMENT with a message made as by printf.
  __attribute__((format(printf, 3, 4))) bool that(bool holds, const char* format, ...);
  // As above, with a code of its own.
  __attribute__((format(printf, 4, 5))) bool that_or(mk_status code, bool holds, const char* format, ...);

  // ---- constants, known before the first step: no pointer is looked at ----
  bool buffer(const char* name, const mk_buffer& buffer, int64_t cols);
  bool vector(const char* name, const mk_weight& weight, int64_t num_experts, int64_t rows);
  bool matrix(const char* name, const mk_weight& weight, mk_dtype dtype);
  bool kv(const mk_kv& kv, int32_t num_heads);

  // ---- what only a launch knows ----
  bool pointer(const char* name, const void* pointer);
  // A buffer with data and a row count that fits.
  bool rows(const char* name, const mk_buffer& buffer);
  // A buffer with exactly `num_rows` rows.
  bool rows(const char* name, const mk_buffer& buffer, int64_t num_rows);
  // A vector that may be absent; its shape is only looked at when it is there.
  bool optional_vector(const char* name, const mk_weight& weight, int64_t num_experts, int64_t rows);
  // Token count and positions.
  bool tokens(const mk_step* step);
  // The same, and for every token a sequence with a persistent row.
  bool sequences(const mk_step* step);
  // KV memory, and table entries for every block that positions [window start, position] of each token fall into.
  bool kv_blocks(const mk_kv& kv, const mk_step& step, int32_t window);

 private:
  void refuse(mk_status code, const char* format, va_list values);

  const mk_op op_;
  mk_error* const error_;
  mk_status status_ = MK_OK;
};

}  // namespace moesaic::reference
