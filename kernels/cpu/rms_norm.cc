// rms_norm: out[t, :] = x[t, :] * rsqrt(mean(x[t, :]^2) + eps) * weight[:]
//   x, out (rows, cols) f32, out may be x · weight (cols) f32 · squares are summed in double, in eight fixed lanes
//   bound: cache, 12 B per element; a thousandth of a step · oracle: kernels/reference/rms_norm.cc
#include <math.h>

#include "check.h"
#include "offer.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

constexpr int64_t kSumLanes = 8;

double sum_of_squares(const float* x, int64_t cols) {
  double lanes[kSumLanes] = {};
  int64_t column = 0;
  for (; column + kSumLanes <= cols; column += kSumLanes) {
    for (int64_t lane = 0; lane < kSumLanes; ++lane) lanes[lane] += double{x[column + lane]} * double{x[column + lane]};
  }
  for (; column < cols; ++column) lanes[column % kSumLanes] += double{x[column]} * double{x[column]};
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

void normalize(const float* x, const float* weight, int64_t cols, float eps, float* out) {
  const float factor = static_cast<float>(1 / sqrt(sum_of_squares(x, cols) / static_cast<double>(cols) + double{eps}));
  for (int64_t column = 0; column < cols; ++column) out[column] = x[column] * factor * weight[column];
}

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  const mk_rms_norm_args& args = part<mk_rms_norm_args>(parts, 0);
  return num_parts == 1 && has_features(device, 0) && args.x.cols == args.weight.rows && args.x.cols == args.out.cols;
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream stream, mk_error* error) {
  const mk_rms_norm_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t rows = 0;
  MK_TRY(take_args(parts[0], "rms_norm", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check_vector(args->weight, 1, args->x.cols, "rms_norm.weight", error));
  MK_TRY(check_buffer(args->x, args->weight.rows, "rms_norm.x", error));
  MK_TRY(check_buffer(args->out, args->weight.rows, "rms_norm.out", error));
  MK_TRY(take_rows(args->x.num_rows, args->x, "rms_norm.x", &rows, error));
  MK_TRY(take_rows(args->x.num_rows, args->out, "rms_norm.out", &rows, error));
  const int64_t cols = args->x.cols;
  parallel(*pool, rows, cols * 2, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t row = begin; row < end; ++row) {
      normalize(static_cast<const float*>(args->x.data) + row * cols, static_cast<const float*>(args->weight.data),
                cols, args->eps, static_cast<float*>(args->out.data) + row * cols);
    }
  });
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_RMS_NORM};

}  // namespace

const mk_kernel kRmsNorm = {sizeof(mk_kernel), "rms_norm_f32", kOps, 1, supports, nullptr, nullptr, nullptr, launch};

}  // namespace moesaic::cpu
