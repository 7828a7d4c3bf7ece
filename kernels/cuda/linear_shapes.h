// What every linear kernel of the package checks.
#pragma once

#include "cuda_kernel.h"

namespace moesaic::cuda {

inline bool linear_shapes(const mk_linear_args& args) {
  const mk_weight& weight = args.weight;
  return weight.dtype == MK_BF16 && weight.num_experts == 1 && weight.rows > 0 && weight.cols > 0 && args.x.max_rows > 0 &&
         args.out.max_rows > 0 && args.x.cols == weight.cols && args.out.cols == weight.rows &&
         (args.accumulate == 0 || args.accumulate == 1);
}

inline mk_status check_linear(const mk_linear_args& args, mk_error* error) {
  if (!linear_shapes(args)) return refuse(error, MK_INVALID_ARGUMENT, "linear: shapes do not fit each other");
  if (args.x.data == nullptr || args.out.data == nullptr || args.weight.data == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "linear: a pointer is NULL");
  if (args.x.num_rows == nullptr || args.x.launch_rows == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "linear: x has no row count or no bound of it");
  const int32_t rows = *args.x.launch_rows;
  if (rows < 0 || rows > args.x.max_rows || rows > args.out.max_rows)
    return refuse(error, MK_INVALID_ARGUMENT, "linear: %d rows at most, room for %d and %d", rows, args.x.max_rows,
                  args.out.max_rows);
  return MK_OK;
}

}  // namespace moesaic::cuda
