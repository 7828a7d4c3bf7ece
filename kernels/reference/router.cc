// router: the experts_per_token largest of weight x + bias, best first, ties to the lower id; softmax over those logits
//   x (rows, hidden) f32 · weight (num_experts, hidden) bf16 · bias (num_experts) f32 or absent
//   expert_ids (rows, experts_per_token) i32 · expert_weights (rows, experts_per_token) f32
//   logits are rounded to float before they are compared, so that what ties for other kernels ties here; a NaN ranks
//   last
#include <cmath>

#include "kernels.h"
#include "plain_kernel.h"
#include "ranking.h"
#include "rowmajor.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_router_args& args) {
  const int32_t experts_per_token = args.expert_ids.cols;
  return check.matrix("weight", args.weight, MK_BF16) &&
         check.that(args.weight.num_experts == 1, "weight has %d experts, want one matrix", args.weight.num_experts) &&
         check.buffer("x", args.x, args.weight.cols) &&
         check.buffer("expert_ids", args.expert_ids, experts_per_token) &&
         check.buffer("expert_weights", args.expert_weights, experts_per_token) &&
         check.that(experts_per_token <= args.weight.rows, "%d experts per token of %d, want at most all",
                    experts_per_token, args.weight.rows);
}

bool values(Check& check, const mk_router_args& args) {
  return check.pointer("weight", args.weight.data) && check.rows("x", args.x) &&
         check.rows("expert_ids", args.expert_ids, *args.x.num_rows) &&
         check.rows("expert_weights", args.expert_weights, *args.x.num_rows) &&
         check.optional_vector("bias", args.bias, 1, args.weight.rows);
}

// In place; logits[0] is the largest.
void softmax(float* logits, int32_t count) {
  const double largest = logits[0];
  double sum = 0;
  for (int32_t i = 0; i < count; ++i) sum += std::exp(logits[i] - largest);
  for (int32_t i = 0; i < count; ++i) logits[i] = static_cast<float>(std::exp(logits[i] - largest) / sum);
}

void run(const mk_router_args& args, const mk_cpu_stream& stream, void*) {
  const float* bias = static_cast<const float*>(args.bias.data);
  const int32_t experts_per_token = args.expert_ids.cols;
  for_each(stream, *args.x.num_rows, [&](int64_t t, int32_t) {
    const float* x = static_cast<const float*>(args.x.data) + t * args.x.cols;
    int32_t* ids = static_cast<int32_t*>(args.expert_ids.data) + t * experts_per_token;
    float* weights = static_cast<float*>(args.expert_weights.data) + t * experts_per_token;
    Ranking best(ids, weights, experts_per_token);
    for (int32_t e = 0; e < args.weight.rows; ++e) {
      best.offer(e, static_cast<float>(dot(args.weight, 0, e, x) + (bias == nullptr ? 0 : bias[e])));
    }
    softmax(weights, experts_per_token);
  });
}

}  // namespace

const mk_kernel router_kernel =
    PlainKernel<MK_OP_ROUTER, mk_router_args, shapes, values, run>::offer("router_bf16", &rowmajor_bf16);

}  // namespace moesaic::reference
