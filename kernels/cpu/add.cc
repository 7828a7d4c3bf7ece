// add: out[t, c] += x[t, c]
//   x, out (rows, cols) f32
//   bound: memory · oracle: kernels/reference/add.cc, the same bits
#include "check.h"
#include "offer.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  const mk_add_args& args = part<mk_add_args>(parts, 0);
  return num_parts == 1 && has_features(device, 0) && args.x.cols >= 1 && args.out.cols == args.x.cols;
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream stream, mk_error* error) {
  const mk_add_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t rows = 0, out_rows = 0;
  MK_TRY(take_args(parts[0], "add", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check_buffer(args->x, args->x.cols, "add.x", error));
  MK_TRY(check_buffer(args->out, args->x.cols, "add.out", error));
  MK_TRY(take_rows(args->x.num_rows, args->x, "add.x", &rows, error));
  MK_TRY(take_rows(args->out.num_rows, args->out, "add.out", &out_rows, error));
  if (rows != out_rows) {
    return fail(error, MK_INVALID_ARGUMENT, "add.out: %lld rows wanted, %lld given", static_cast<long long>(rows),
                static_cast<long long>(out_rows));
  }
  // Both are without gaps, so that rows need not be told apart.
  parallel(*pool, rows * args->x.cols, 1, [&](int64_t begin, int64_t end, int32_t) {
    const float* x = static_cast<const float*>(args->x.data);
    float* out = static_cast<float*>(args->out.data);
    for (int64_t i = begin; i < end; ++i) out[i] += x[i];
  });
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_ADD};

}  // namespace

const mk_kernel kAdd = {sizeof(mk_kernel), "add_f32", kOps, 1, supports, nullptr, nullptr, nullptr, launch};

}  // namespace moesaic::cpu
