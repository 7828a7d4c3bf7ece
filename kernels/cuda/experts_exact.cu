// experts, exact: float32 sums of float32 products, any shape; serves fast as well, where the fast kernels do not.
//   x (rows, hidden) f32 · act (pairs, intermediate) f32 in the workspace · out (rows, slots * hidden) f32
//   weights bf16 (rowmajor_bf16) or MXFP4 (rowmajor_mxfp4) · 2 or 3 launches per 2,048 rows
//   oracle: kernels/reference/experts.cc
#include "kernels.h"
#include "matmul_exact.cuh"
#include "packing.h"

namespace moesaic::cuda {
namespace {

constexpr int32_t kPassRows = 2048;

template <mk_dtype kDtype>
bool shapes(const mk_experts_args& args, const mk_device&) {
  return experts_shapes(args, kDtype);
}

int64_t act_bytes(const mk_experts_args& args, const PassPlan& plan) {
  return 4 * static_cast<int64_t>(plan.rows) * args.expert_ids.cols * args.down.cols;
}

int64_t workspace_bytes(const mk_experts_args& args, const mk_device&) {
  const PassPlan plan = PassPlan::of(args, kPassRows);
  return plan.bytes() + ceil_div(act_bytes(args, plan), 64) * 64;
}

Matmul matmul_of(const mk_experts_args& args, const mk_weight& weight, const mk_weight& bias, const Grouping& groups) {
  Matmul job{};
  job.weights = weight.data;
  job.rows = weight.rows;
  job.cols = weight.cols;
  job.bias = static_cast<const float*>(bias.data);
  job.alpha = args.alpha;
  job.limit = args.limit;
  job.groups = groups;
  return job;
}

template <mk_dtype kDtype, Product kProduct>
mk_status start(const Matmul& job, int64_t blocks, cudaStream_t stream, mk_error* error) {
  if constexpr (kDtype == MK_MXFP4) return start_exact<Mxfp4Groups, true, kProduct>(job, blocks, stream, error);
  if (job.cols % kGroupCols == 0) return start_exact<Bf16Groups<true>, true, kProduct>(job, blocks, stream, error);
  return start_exact<Bf16Groups<false>, false, kProduct>(job, blocks, stream, error);
}

template <mk_dtype kDtype>
mk_status run_pass(const mk_experts_args& args, const PassPlan& plan, int32_t row_base, int32_t rows, void* workspace,
                   cudaStream_t stream, mk_error* error) {
  Carver carver(workspace);
  const Grouping groups = group_pairs(args, plan, carver, row_base, rows, kExactTokens, stream);
  void* const act = carver.take<void>(act_bytes(args, plan));
  const int64_t blocks = tile_blocks(groups, rows, kExactTokens);
  Matmul gate_up = matmul_of(args, args.gate_up, args.gate_up_bias, groups);
  gate_up.x = static_cast<const float*>(args.x.data) + static_cast<int64_t>(row_base) * args.x.cols;
  gate_up.out = act;
  Matmul down = matmul_of(args, args.down, args.down_bias, groups);
  down.x = act;
  down.out = static_cast<float*>(args.out.data) + static_cast<int64_t>(row_base) * args.out.cols;
  const mk_status status = start<kDtype, Product::kGateUp>(gate_up, blocks, stream, error);
  return status == MK_OK ? start<kDtype, Product::kDown>(down, blocks, stream, error) : status;
}

template <mk_dtype kDtype>
mk_status run(const mk_experts_args& args, void* workspace, void*, cudaStream_t stream, mk_error* error) {
  const mk_status status = check_experts(args, kDtype, error);
  if (status != MK_OK) return status;
  const PassPlan plan = PassPlan::of(args, kPassRows);
  for (int32_t base = 0; base < *args.x.launch_rows; base += plan.rows) {
    const int32_t rows = std::min(plan.rows, *args.x.launch_rows - base);
    const mk_status passed = run_pass<kDtype>(args, plan, base, rows, workspace, stream, error);
    if (passed != MK_OK) return passed;
  }
  return MK_OK;
}

}  // namespace

const mk_kernel experts_bf16_exact_kernel =
    CudaKernel<MK_OP_EXPERTS, mk_experts_args, shapes<MK_BF16>, run<MK_BF16>, workspace_bytes>::offer("experts_bf16_exact",
                                                                                                      &rowmajor_bf16);
const mk_kernel experts_mxfp4_exact_kernel =
    CudaKernel<MK_OP_EXPERTS, mk_experts_args, shapes<MK_MXFP4>, run<MK_MXFP4>, workspace_bytes>::offer("experts_mxfp4_exact",
                                                                                                        &rowmajor_mxfp4);

}  // namespace moesaic::cuda
