// experts: out[t, s, :] = down[e] act(gate_up[e] x[t] + gate_up_bias[e]) + down_bias[e] for every local expert e of a
// token
//   g = min(h[2j], limit), u = clamp(h[2j+1], -limit, limit), act[j] = (u + 1) * g * sigmoid(alpha * g)
//   x (rows, hidden) f32 · expert_ids (rows, experts_per_token) i32 · gate_up (experts, 2 * intermediate, hidden) and
//   down (experts, hidden, intermediate), both bf16 or both mxfp4 · out (rows, experts_per_token * hidden) f32
//   every (token, slot) by itself: weights are read again for each · sums are doubles, act is rounded to float
#include <cmath>

#include "align.h"
#include "kernels.h"
#include "plain_kernel.h"
#include "rowmajor.h"

namespace moesaic::reference {

namespace {

template <mk_dtype kDtype>
bool shapes(Check& check, const mk_experts_args& args) {
  const int32_t experts_per_token = args.expert_ids.cols, hidden = args.x.cols, intermediate = args.down.cols;
  return check.matrix("gate_up", args.gate_up, kDtype) && check.matrix("down", args.down, kDtype) &&
         check.buffer("x", args.x, args.gate_up.cols) &&
         check.buffer("expert_ids", args.expert_ids, experts_per_token) &&
         check.buffer("out", args.out, static_cast<int64_t>(experts_per_token) * hidden) &&
         check.that(args.gate_up.rows == 2 * static_cast<int64_t>(intermediate),
                    "gate_up has %d rows, want twice the %d columns of down", args.gate_up.rows, intermediate) &&
         check.that(args.down.rows == hidden && args.down.num_experts == args.gate_up.num_experts,
                    "down is (%d, %d, %d), want (%d, %d, %d)", args.down.num_experts, args.down.rows, intermediate,
                    args.gate_up.num_experts, hidden, intermediate) &&
         check.that(args.num_global_experts > 0, "num_global_experts is %d, want 1 or more", args.num_global_experts);
}

bool expert_map(Check& check, const mk_experts_args& args) {
  if (!check.pointer("local_experts", args.local_experts)) return false;
  const int32_t last = args.gate_up.num_experts - 1;
  for (int32_t id = 0; id < args.num_global_experts; ++id) {
    const int32_t expert = args.local_experts[id];
    if (!check.that(expert >= -1 && expert <= last, "local_experts[%d] is %d, want -1 to %d", id, expert, last))
      return false;
  }
  return true;
}

bool expert_ids(Check& check, const mk_experts_args& args) {
  const int32_t experts_per_token = args.expert_ids.cols, last = args.num_global_experts - 1;
  const auto* ids = static_cast<const int32_t*>(args.expert_ids.data);
  for (int64_t slot = 0; slot < static_cast<int64_t>(*args.x.num_rows) * experts_per_token; ++slot) {
    if (!check.that(ids[slot] >= -1 && ids[slot] <= last, "expert_ids[%lld, %lld] is %d, want -1 to %d",
                    static_cast<long long>(slot / experts_per_token), static_cast<long long>(slot % experts_per_token),
                    ids[slot], last)) {
      return false;
    }
  }
  return true;
}

bool values(Check& check, const mk_experts_args& args) {
  const int32_t num_experts = args.gate_up.num_experts;
  return check.pointer("gate_up", args.gate_up.data) && check.pointer("down", args.down.data) &&
         check.rows("x", args.x) && check.rows("expert_ids", args.expert_ids, *args.x.num_rows) &&
         check.rows("out", args.out, *args.x.num_rows) &&
         check.optional_vector("gate_up_bias", args.gate_up_bias, num_experts, args.gate_up.rows) &&
         check.optional_vector("down_bias", args.down_bias, num_experts, args.down.rows) && expert_map(check, args) &&
         expert_ids(check, args);
}

int64_t thread_bytes(const mk_experts_args& args) {
  return round_up_64(args.down.cols * static_cast<int64_t>(sizeof(float)));
}

// weight[expert, row] . x + bias[expert, row]
double affine(const mk_weight& weight, const mk_weight& bias, int64_t expert, int64_t row, const float* x) {
  const float* biases = static_cast<const float*>(bias.data);
  return dot(weight, expert, row, x) + (biases == nullptr ? 0 : biases[expert * weight.rows + row]);
}

// Comparisons are written so that a NaN stays one.
double activation(double gate, double up, double alpha, double limit) {
  const double g = gate > limit ? limit : gate;
  const double u = up > limit ? limit : up < -limit ? -limit : up;
  return (u + 1) * g / (1 + std::exp(-alpha * g));
}

// `act` has room for `intermediate` floats.
void run_expert(const mk_experts_args& args, int64_t expert, const float* x, float* act, float* out) {
  for (int32_t j = 0; j < args.down.cols; ++j) {
    const double gate = affine(args.gate_up, args.gate_up_bias, expert, 2 * static_cast<int64_t>(j), x);
    const double up = affine(args.gate_up, args.gate_up_bias, expert, 2 * static_cast<int64_t>(j) + 1, x);
    act[j] = static_cast<float>(activation(gate, up, static_cast<double>(args.alpha), static_cast<double>(args.limit)));
  }
  for (int32_t r = 0; r < args.down.rows; ++r) {
    out[r] = static_cast<float>(affine(args.down, args.down_bias, expert, r, act));
  }
}

void run(const mk_experts_args& args, const mk_cpu_stream& stream, void* workspace) {
  const int32_t experts_per_token = args.expert_ids.cols;
  for_each(stream, static_cast<int64_t>(*args.x.num_rows) * experts_per_token, [&](int64_t slot, int32_t thread) {
    const int32_t id = static_cast<const int32_t*>(args.expert_ids.data)[slot];
    const int32_t expert = id < 0 ? -1 : args.local_experts[id];
    if (expert < 0) return;
    const float* x = static_cast<const float*>(args.x.data) + slot / experts_per_token * args.x.cols;
    auto* act = static_cast<float*>(thread_slice(workspace, thread, thread_bytes(args)));
    run_expert(args, expert, x, act, static_cast<float*>(args.out.data) + slot * args.x.cols);
  });
}

}  // namespace

const mk_kernel experts_bf16_kernel =
    PlainKernel<MK_OP_EXPERTS, mk_experts_args, shapes<MK_BF16>, values, run, thread_bytes>::offer("experts_bf16",
                                                                                                   &rowmajor_bf16);
const mk_kernel experts_mxfp4_kernel =
    PlainKernel<MK_OP_EXPERTS, mk_experts_args, shapes<MK_MXFP4>, values, run, thread_bytes>::offer("experts_mxfp4",
                                                                                                    &rowmajor_mxfp4);

}  // namespace moesaic::reference
