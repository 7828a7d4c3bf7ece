// rope_table: out[t, 0:d/2] = cos(a) * scaling, out[t, d/2:d] = sin(a) * scaling, a = float32(position) * inv_freq[i]
//   out (num_tokens, head_dim) f32 · one thread per (token, frequency)
//   The angle is a float32 product, what follows is double and rounded once: sincosf may be two ulps off, which is more than
//   1e-7, and one launch a step costs a microsecond either way.
//   oracle: kernels/reference/rope_table.cc · Source: YaRN, arXiv 2309.00071; gpt-oss torch/model.py
#include "kernels.h"
#include "launch_check.h"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    rope_table_rows(const int32_t* num_tokens, const int32_t* positions, const float* inv_freq, float scaling,
                    int32_t half, float* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int32_t t = static_cast<int32_t>(i / half), frequency = static_cast<int32_t>(i % half);
  if (t >= *num_tokens) return;
  const float angle = __fmul_rn(static_cast<float>(positions[t]), inv_freq[frequency]);
  double sine, cosine;
  sincos(static_cast<double>(angle), &sine, &cosine);
  float* row = out + static_cast<int64_t>(t) * 2 * half + frequency;
  row[0] = static_cast<float>(cosine * static_cast<double>(scaling));
  row[half] = static_cast<float>(sine * static_cast<double>(scaling));
}

bool shapes(const mk_rope_table_args& args, const mk_device&) {
  return args.out.max_rows > 0 && args.out.cols > 0 && args.out.cols % 2 == 0;
}

mk_status run(const mk_rope_table_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t tokens = 0;
  const mk_status status = take_launch_tokens(args.step, args.out, &tokens, error);
  if (status != MK_OK) return status;
  if (args.inv_freq == nullptr) return refuse(error, MK_INVALID_ARGUMENT, "rope_table: inv_freq is NULL");
  if (tokens == 0) return MK_OK;
  const int32_t half = args.out.cols / 2;
  const auto blocks = static_cast<unsigned>(ceil_div(static_cast<int64_t>(tokens) * half, kThreads));
  rope_table_rows<<<blocks, kThreads, 0, stream>>>(args.step->num_tokens, args.step->positions, args.inv_freq,
                                                   args.scaling, half, static_cast<float*>(args.out.data));
  return MK_OK;
}

}  // namespace

const mk_kernel rope_table_kernel =
    CudaKernel<MK_OP_ROPE_TABLE, mk_rope_table_args, shapes, run>::offer("rope_table_f32");

}  // namespace moesaic::cuda
