// gather_rows: out[i, :] = x[row_indices[i], :]
//   x (rows, cols) f32 · row_indices (rows of out) · out f32 · bound: the copy · oracle: kernels/reference/gather_rows.cc
#include <string.h>

#include "check.h"
#include "offer.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

mk_status check(const mk_gather_rows_args& args, int64_t* rows, mk_error* error) {
  int64_t x_rows = 0;
  MK_TRY(check_buffer(args.x, args.out.cols, "gather_rows.x", error));
  MK_TRY(check_buffer(args.out, args.x.cols, "gather_rows.out", error));
  MK_TRY(take_rows(args.x.num_rows, args.x, "gather_rows.x", &x_rows, error));
  MK_TRY(take_rows(args.out.num_rows, args.out, "gather_rows.out", rows, error));
  if (args.row_indices == nullptr) return fail(error, MK_INVALID_ARGUMENT, "gather_rows: row_indices is NULL");
  for (int64_t row = 0; row < *rows; ++row) {
    const int32_t index = args.row_indices[row];
    if (index >= 0 && index < x_rows) continue;
    return fail(error, MK_INVALID_ARGUMENT, "gather_rows: row_indices[%lld] is %d, wanted 0 to %lld",
                static_cast<long long>(row), index, static_cast<long long>(x_rows - 1));
  }
  return MK_OK;
}

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  const mk_gather_rows_args& args = part<mk_gather_rows_args>(parts, 0);
  return num_parts == 1 && has_features(device, 0) && args.x.cols == args.out.cols;
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream stream, mk_error* error) {
  const mk_gather_rows_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t rows = 0;
  MK_TRY(take_args(parts[0], "gather_rows", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check(*args, &rows, error));
  const int64_t cols = args->x.cols;
  parallel(*pool, rows, cols, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t row = begin; row < end; ++row) {
      memcpy(static_cast<float*>(args->out.data) + row * cols,
             static_cast<const float*>(args->x.data) + args->row_indices[row] * cols, cols * sizeof(float));
    }
  });
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_GATHER_ROWS};

}  // namespace

const mk_kernel kGatherRows = {sizeof(mk_kernel), "gather_rows_f32", kOps,    1,     supports,
                               nullptr,           nullptr,           nullptr, launch};

}  // namespace moesaic::cpu
