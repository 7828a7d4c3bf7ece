// What launches of row-by-row kernels refuse, from bounds and pointers that the host can see.
#pragma once

#include <initializer_list>

#include "cuda_kernel.h"

namespace moesaic::cuda {

// *rows: the bound of a buffer's rows, from 0 to max_rows.
inline mk_status take_launch_rows(const char* name, const mk_buffer& buffer, int32_t* rows, mk_error* error) {
  if (buffer.data == nullptr || buffer.num_rows == nullptr || buffer.launch_rows == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "%s has no data, row count or bound", name);
  *rows = *buffer.launch_rows;
  if (*rows >= 0 && *rows <= buffer.max_rows) return MK_OK;
  return refuse(error, MK_INVALID_ARGUMENT, "%s: %d rows bound the launch, want 0 to %d", name, *rows, buffer.max_rows);
}

// *rows: the bound of x, whose rows must fit the buffers beside it.
inline mk_status take_common_rows(const char* op, const mk_buffer& x, std::initializer_list<const mk_buffer*> beside,
                                  int32_t* rows, mk_error* error) {
  const mk_status status = take_launch_rows(op, x, rows, error);
  if (status != MK_OK) return status;
  for (const mk_buffer* buffer : beside) {
    if (buffer->data == nullptr) return refuse(error, MK_INVALID_ARGUMENT, "%s: a buffer has no data", op);
    if (*rows > buffer->max_rows)
      return refuse(error, MK_INVALID_ARGUMENT, "%s: %d rows bound the launch, room for %d", op, *rows, buffer->max_rows);
  }
  return MK_OK;
}

// *tokens: the bound of a step's tokens. They must fit `buffer`.
inline mk_status take_launch_tokens(const mk_step* step, const mk_buffer& buffer, int32_t* tokens, mk_error* error) {
  if (step == nullptr || step->struct_size < sizeof(mk_step))
    return refuse(error, MK_INVALID_ARGUMENT, "step is NULL or too small");
  if (step->num_tokens == nullptr || step->positions == nullptr || step->launch_tokens == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "step has no token count, positions or bound");
  if (buffer.data == nullptr) return refuse(error, MK_INVALID_ARGUMENT, "a buffer has no data");
  *tokens = *step->launch_tokens;
  if (*tokens >= 0 && *tokens <= step->max_tokens && *tokens <= buffer.max_rows) return MK_OK;
  return refuse(error, MK_INVALID_ARGUMENT, "%d tokens bound the launch, want 0 to %d and at most %d rows", *tokens,
                step->max_tokens, buffer.max_rows);
}

inline bool has_sequences(const mk_step& step) {
  return step.num_seqs != nullptr && step.token_seqs != nullptr && step.seq_rows != nullptr;
}

}  // namespace moesaic::cuda
