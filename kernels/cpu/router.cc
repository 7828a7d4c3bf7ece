// router: logits = weight x + bias; the experts_per_token largest, best first, ties to the lower id; softmax over those.
//   x (rows, hidden) f32 · weight (num_experts, hidden) bf16 in il16_bf16 · ids i32, weights f32 (rows, experts_per_token)
//   bound: the linear; the choice reads num_experts logits experts_per_token times
//   A NaN logit ranks as -infinity, so that the ids are always ids.
//   oracle: kernels/reference/router.cc · upstream: none
#include <math.h>

#include "check.h"
#include "linear.h"
#include "offer.h"
#include "pack_rows.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

int64_t logits_bytes(const mk_router_args& args) {
  return round_up(rows_in_pass(args.x.max_rows) * args.weight.rows * int64_t{sizeof(float)}, 64);
}

// Whether a ranks before b. Equal logits keep the order in which they are asked about: lower ids first.
bool is_better(float a, float b) { return a > b || (isnan(b) && !isnan(a)); }

// Insertion into the best so far: num_experts * experts_per_token comparisons at most, mostly one each.
void choose(const float* logits, int64_t num_experts, int64_t count, int32_t* ids, float* chosen) {
  int64_t filled = 0;
  for (int64_t expert = 0; expert < num_experts; ++expert) {
    int64_t place = filled;
    while (place > 0 && is_better(logits[expert], chosen[place - 1])) --place;
    if (place == count) continue;
    if (filled < count) ++filled;
    for (int64_t i = filled - 1; i > place; --i) {
      ids[i] = ids[i - 1];
      chosen[i] = chosen[i - 1];
    }
    ids[place] = static_cast<int32_t>(expert);
    chosen[place] = logits[expert];
  }
}

// In place, in double: experts_per_token is small and the bits are the same on every CPU.
void softmax(float* values, int64_t count) {
  const double largest = values[0];
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += exp(values[i] - largest);
  for (int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(exp(values[i] - largest) / sum);
}

bool is_router(const mk_router_args& args) {
  return args.weight.dtype == MK_BF16 && args.weight.num_experts == 1 && args.x.cols == args.weight.cols &&
         args.expert_ids.cols >= 1 && args.expert_ids.cols <= args.weight.rows &&
         args.expert_weights.cols == args.expert_ids.cols;
}

mk_status check(const mk_router_args& args, int64_t* rows, const void* workspace, mk_error* error) {
  MK_TRY(check_matrix(args.weight, MK_BF16, "router.weight", error));
  MK_TRY(check_buffer(args.x, args.weight.cols, "router.x", error));
  MK_TRY(check_buffer(args.expert_ids, args.expert_ids.cols, "router.expert_ids", error));
  MK_TRY(check_buffer(args.expert_weights, args.expert_ids.cols, "router.expert_weights", error));
  MK_TRY(check_optional_vector(args.bias, args.weight.rows, "router.bias", error));
  MK_TRY(take_rows(args.x.num_rows, args.x, "router.x", rows, error));
  if (!is_router(args)) {
    return fail(error, MK_INVALID_ARGUMENT, "router: %d experts per token of %d given", args.expert_ids.cols,
                args.weight.rows);
  }
  if (*rows > args.expert_ids.max_rows || *rows > args.expert_weights.max_rows) {
    return fail(error, MK_INVALID_ARGUMENT, "router: %lld rows wanted, room for %d", static_cast<long long>(*rows),
                args.expert_ids.max_rows);
  }
  if (*rows > 0 && workspace == nullptr) return fail(error, MK_RESOURCE_EXHAUSTED, "router: workspace is NULL");
  return MK_OK;
}

template <uint32_t kFeatures>
int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  return num_parts == 1 && has_features(device, kFeatures) && is_router(part<mk_router_args>(parts, 0));
}

// Logits, then packed rows.
int64_t workspace_bytes(const mk_device*, const mk_op_instance* parts, int32_t) {
  const mk_router_args& args = part<mk_router_args>(parts, 0);
  return logits_bytes(args) + linear_workspace_bytes(args.x.max_rows, args.weight.cols);
}

// Rows [first, first + rows): logits to the workspace, choices to the outputs.
void route(const LinearIsa& isa, const mk_router_args& args, int64_t first, int64_t rows, void* workspace,
           const mk_cpu_stream& stream) {
  const int64_t cols = args.weight.cols, num_experts = args.weight.rows, count = args.expert_ids.cols;
  float* logits = static_cast<float*>(workspace);
  LinearWork work = {};
  work.matrix = expert_matrix(args.weight, false, 0);
  work.bias = static_cast<const float*>(args.bias.data);
  work.out_features = num_experts;
  work.tiling = tile_rows(rows, isa.max_tile_rows);
  work.packed_x = pack_pass(static_cast<const float*>(args.x.data) + first * cols, cols, work.tiling, cols,
                            logits + logits_bytes(args) / int64_t{sizeof(float)}, stream);
  work.out = logits;
  work.out_stride = num_experts;
  run_linear(isa, work, stream);
  parallel(stream, rows, num_experts * 4, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t row = begin; row < end; ++row) {
      float* weights = static_cast<float*>(args.expert_weights.data) + (first + row) * count;
      choose(logits + row * num_experts, num_experts, count,
             static_cast<int32_t*>(args.expert_ids.data) + (first + row) * count, weights);
      softmax(weights, count);
    }
  });
}

template <const LinearIsa& kIsa>
mk_status launch(const void* const* parts, int32_t, void* workspace, void*, mk_stream stream, mk_error* error) {
  const mk_router_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t num_rows = 0;
  MK_TRY(take_args(parts[0], "router", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check(*args, &num_rows, workspace, error));
  for (int64_t first = 0; first < num_rows; first += kRowsPerPass) {
    route(kIsa, *args, first, rows_in_pass(num_rows - first), workspace, *pool);
  }
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_ROUTER};

}  // namespace

const mk_kernel kRouterAvx2 = {sizeof(mk_kernel),     "router_bf16_avx2", kOps,    1,
                               supports<MK_CPU_AVX2>, workspace_bytes,    nullptr, &kPackingBf16,
                               launch<kLinearIsaAvx2>};
const mk_kernel kRouterAvx512 = {sizeof(mk_kernel),       "router_bf16_avx512", kOps,    1,
                                 supports<MK_CPU_AVX512>, workspace_bytes,      nullptr, &kPackingBf16,
                                 launch<kLinearIsaAvx512>};

}  // namespace moesaic::cpu
