// What every linear kernel of the package checks, and its arguments as those of a matmul.
#pragma once

#include "cuda_kernel.h"
#include "launch_check.h"
#include "matmul.cuh"

namespace moesaic::cuda {

inline bool linear_shapes(const mk_linear_args& args) {
  const mk_weight& weight = args.weight;
  return weight.dtype == MK_BF16 && weight.num_experts == 1 && weight.rows > 0 && weight.cols > 0 && args.x.max_rows > 0 &&
         args.out.max_rows > 0 && args.x.cols == weight.cols && args.out.cols == weight.rows &&
         (args.accumulate == 0 || args.accumulate == 1);
}

// *rows: the bound of the launch.
inline mk_status check_linear(const mk_linear_args& args, int32_t* rows, mk_error* error) {
  if (!linear_shapes(args)) return refuse(error, MK_INVALID_ARGUMENT, "linear: shapes do not fit each other");
  if (args.weight.data == nullptr) return refuse(error, MK_INVALID_ARGUMENT, "linear: weight has no data");
  return take_common_rows("linear", args.x, {&args.out}, rows, error);
}

inline Matmul matmul_of(const mk_linear_args& args) {
  Matmul job{};
  job.weights = args.weight.data;
  job.rows = args.weight.rows;
  job.cols = args.weight.cols;
  job.bias = static_cast<const float*>(args.bias.data);
  job.x = args.x.data;
  job.out = args.out.data;
  job.num_rows = args.x.num_rows;
  job.accumulate = args.accumulate;
  return job;
}

}  // namespace moesaic::cuda
