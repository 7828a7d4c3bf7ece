// begin_step: token_ids[t] = planned_ids[t] >= 0 ? planned_ids[t] : last_sampled[r], and the same into the row's history
//   planned_ids, token_ids (num_tokens) · last_sampled (max_rows) · table (max_rows, max_blocks) · one thread per token
//   bound: latency · oracle: kernels/reference/begin_step.cc
#include "kernels.h"
#include "launch_check.h"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) begin_step_rows(mk_begin_step_args args, mk_step step) {
  const int32_t t = static_cast<int32_t>(blockIdx.x * kThreads + threadIdx.x);
  if (t >= *step.num_tokens) return;
  const int32_t row = step.seq_rows[step.token_seqs[t]], position = step.positions[t], planned = args.planned_ids[t];
  const int32_t id = planned >= 0 ? planned : args.last_sampled[row];
  args.token_ids[t] = id;
  const int32_t entry = position / args.block_size;
  if (entry >= args.max_blocks) return;
  const int32_t block = args.table[static_cast<int64_t>(row) * args.max_blocks + entry];
  // The null block is nobody's to write.
  if (block > 0) args.history[static_cast<int64_t>(block) * args.block_size + position % args.block_size] = id;
}

bool shapes(const mk_begin_step_args& args, const mk_device&) { return args.max_blocks > 0 && args.block_size > 0; }

mk_status run(const mk_begin_step_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t tokens = 0;
  const mk_buffer ids = {args.token_ids, nullptr, args.step == nullptr ? 0 : args.step->max_tokens, 1, nullptr};
  const mk_status status = take_launch_tokens(args.step, ids, &tokens, error);
  if (status != MK_OK) return status;
  if (!has_sequences(*args.step) || args.planned_ids == nullptr || args.last_sampled == nullptr ||
      args.history == nullptr || args.table == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "begin_step: a pointer is NULL");
  if (tokens == 0) return MK_OK;
  begin_step_rows<<<static_cast<unsigned>(ceil_div(tokens, kThreads)), kThreads, 0, stream>>>(args, *args.step);
  return MK_OK;
}

}  // namespace

const mk_kernel begin_step_kernel = CudaKernel<MK_OP_BEGIN_STEP, mk_begin_step_args, shapes, run>::offer("begin_step");

}  // namespace moesaic::cuda
