// combine: out[t, :] += ((w[t,0] y[t,0,:] + w[t,1] y[t,1,:]) + w[t,2] y[t,2,:]) + ...
//   y (rows, experts_per_token * hidden) f32 · expert_weights (rows, experts_per_token) f32 · out (rows, hidden) f32
//   bound: cache · every product and sum is rounded, in slot order, as in the oracle: layouts agree to the bit
//   oracle: kernels/reference/combine.cc
#include "check.h"
#include "offer.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

void combine_row(const float* y, const float* weights, int64_t count, int64_t hidden, float* out) {
  for (int64_t column = 0; column < hidden; ++column) {
    float sum = weights[0] * y[column];
    for (int64_t slot = 1; slot < count; ++slot) sum += weights[slot] * y[slot * hidden + column];
    out[column] += sum;
  }
}

// Columns innermost and a known number of slots, so that the compiler makes vectors of it.
void combine_row_of_four(const float* __restrict y, const float* weights, int64_t hidden, float* __restrict out) {
  const float a = weights[0], b = weights[1], c = weights[2], d = weights[3];
  for (int64_t column = 0; column < hidden; ++column) {
    const float* at = y + column;
    out[column] += ((a * at[0] + b * at[hidden]) + c * at[2 * hidden]) + d * at[3 * hidden];
  }
}

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  const mk_combine_args& args = part<mk_combine_args>(parts, 0);
  return num_parts == 1 && has_features(device, 0) && args.expert_weights.cols >= 1 &&
         args.y.cols == int64_t{args.expert_weights.cols} * args.out.cols;
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream stream, mk_error* error) {
  const mk_combine_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t rows = 0;
  MK_TRY(take_args(parts[0], "combine", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  const int64_t count = args->expert_weights.cols, hidden = args->out.cols;
  MK_TRY(check_buffer(args->expert_weights, count < 1 ? 1 : count, "combine.expert_weights", error));
  MK_TRY(check_buffer(args->y, count * hidden, "combine.y", error));
  MK_TRY(check_buffer(args->out, hidden, "combine.out", error));
  MK_TRY(take_rows(args->y.num_rows, args->y, "combine.y", &rows, error));
  MK_TRY(take_rows(args->y.num_rows, args->out, "combine.out", &rows, error));
  MK_TRY(take_rows(args->y.num_rows, args->expert_weights, "combine.expert_weights", &rows, error));
  parallel(*pool, rows, count * hidden, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t row = begin; row < end; ++row) {
      const float* y = static_cast<const float*>(args->y.data) + row * count * hidden;
      const float* weights = static_cast<const float*>(args->expert_weights.data) + row * count;
      float* out = static_cast<float*>(args->out.data) + row * hidden;
      count == 4 ? combine_row_of_four(y, weights, hidden, out) : combine_row(y, weights, count, hidden, out);
    }
  });
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_COMBINE};

}  // namespace

const mk_kernel kCombine = {sizeof(mk_kernel), "combine_f32", kOps, 1, supports, nullptr, nullptr, nullptr, launch};

}  // namespace moesaic::cpu
