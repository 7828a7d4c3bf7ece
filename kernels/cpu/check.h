// check: how launches of this package refuse what they are given. For files without an instruction set in their name.
#pragma once

#include <stdarg.h>
#include <stdio.h>

#include "moesaic/kernel.h"

// Returns from the caller with the first status that is not MK_OK.
#define MK_TRY(expression)                            \
  do {                                                \
    const mk_status status_of_try = (expression);     \
    if (status_of_try != MK_OK) return status_of_try; \
  } while (0)

namespace moesaic::cpu {

__attribute__((format(printf, 3, 4))) static inline mk_status fail(mk_error* error, mk_status status,
                                                                   const char* format, ...) {
  if (error == nullptr) return status;
  va_list values;
  va_start(values, format);
  vsnprintf(error->message, sizeof(error->message), format, values);
  va_end(values);
  return status;
}

// The args struct of part 0, or NULL after filling *error.
template <typename Args>
static mk_status take_args(const void* part, const char* op, const Args** args, mk_error* error) {
  if (part == nullptr) return fail(error, MK_INVALID_ARGUMENT, "%s: args are NULL", op);
  *args = static_cast<const Args*>(part);
  if ((*args)->struct_size >= sizeof(Args)) return MK_OK;
  return fail(error, MK_INVALID_ARGUMENT, "%s: args of %zu bytes wanted, %u given", op, sizeof(Args),
              (*args)->struct_size);
}

static inline mk_status check_buffer(const mk_buffer& buffer, int64_t cols, const char* name, mk_error* error) {
  if (buffer.data == nullptr) return fail(error, MK_INVALID_ARGUMENT, "%s: data is NULL", name);
  if (buffer.cols == cols) return MK_OK;
  return fail(error, MK_INVALID_ARGUMENT, "%s: %lld columns wanted, %d given", name, static_cast<long long>(cols),
              buffer.cols);
}

// Rows of this step, from `counter`; they must fit `buffer`.
static inline mk_status take_rows(const int32_t* counter, const mk_buffer& buffer, const char* name, int64_t* rows,
                                  mk_error* error) {
  if (counter == nullptr) return fail(error, MK_INVALID_ARGUMENT, "%s: num_rows is NULL", name);
  *rows = *counter;
  if (*rows >= 0 && *rows <= buffer.max_rows) return MK_OK;
  return fail(error, MK_INVALID_ARGUMENT, "%s: %d rows given, room for %d", name, *counter, buffer.max_rows);
}

static inline mk_status check_vector(const mk_weight& weight, int64_t num_experts, int64_t rows, const char* name,
                                     mk_error* error) {
  if (weight.data == nullptr) return fail(error, MK_INVALID_ARGUMENT, "%s: data is NULL", name);
  if (weight.dtype == MK_F32 && weight.num_experts == num_experts && weight.rows == rows && weight.cols == 1)
    return MK_OK;
  return fail(error, MK_INVALID_ARGUMENT, "%s: float32 vector (%lld, %lld) wanted, dtype %d (%d, %d, %d) given", name,
              static_cast<long long>(num_experts), static_cast<long long>(rows), weight.dtype, weight.num_experts,
              weight.rows, weight.cols);
}

static inline mk_status check_optional_vector(const mk_weight& weight, int64_t rows, const char* name,
                                              mk_error* error) {
  return weight.data == nullptr ? MK_OK : check_vector(weight, 1, rows, name, error);
}

static inline mk_status check_matrix(const mk_weight& weight, mk_dtype dtype, const char* name, mk_error* error) {
  if (weight.data == nullptr) return fail(error, MK_INVALID_ARGUMENT, "%s: data is NULL", name);
  if (weight.dtype == dtype && weight.num_experts >= 1 && weight.rows >= 1 && weight.cols >= 1) return MK_OK;
  return fail(error, MK_INVALID_ARGUMENT, "%s: matrix of dtype %d wanted, dtype %d (%d, %d, %d) given", name, dtype,
              weight.dtype, weight.num_experts, weight.rows, weight.cols);
}

static inline mk_status check_stream(mk_stream stream, const mk_cpu_stream** pool, mk_error* error) {
  *pool = static_cast<const mk_cpu_stream*>(stream);
  if (*pool != nullptr && (*pool)->parallel_for != nullptr && (*pool)->num_threads >= 1) return MK_OK;
  return fail(error, MK_INVALID_ARGUMENT, "stream: a mk_cpu_stream with a parallel_for wanted");
}

}  // namespace moesaic::cpu
