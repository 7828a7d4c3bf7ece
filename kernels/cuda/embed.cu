// embed: out[t, :] = float32(weight[token_ids[t], :])
//   weight (vocab, hidden) bf16 in rowmajor_bf16 · out (num_tokens, hidden) f32 · one block per token
//   An id outside the vocabulary would be our own bug; its row is NaN, which no later op hides.
//   bound: latency of num_tokens rows from memory · oracle: kernels/reference/embed.cc
#include "kernels.h"
#include "launch_check.h"
#include "packing.h"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 256;

__device__ float widen(uint32_t bits) { return __uint_as_float(bits << 16); }

// kWide: cols is a multiple of 8, so that rows begin at multiples of 16 bytes.
template <bool kWide>
__global__ void __launch_bounds__(kThreads)
    embed_rows(const int32_t* num_tokens, const int32_t* token_ids, const uint16_t* weight, int32_t vocab, int32_t cols,
               float* out) {
  const int32_t t = static_cast<int32_t>(blockIdx.x);
  if (t >= *num_tokens) return;
  const int32_t id = token_ids[t];
  const bool is_known = id >= 0 && id < vocab;
  const uint16_t* from = weight + static_cast<int64_t>(is_known ? id : 0) * cols;
  float* to = out + static_cast<int64_t>(t) * cols;
  if (!is_known) {
    for (int32_t c = static_cast<int32_t>(threadIdx.x); c < cols; c += kThreads) to[c] = __int_as_float(0x7FC00000);
  } else if constexpr (kWide) {
    for (int32_t c = 8 * static_cast<int32_t>(threadIdx.x); c < cols; c += 8 * kThreads) {
      const uint4 eight = __ldg(reinterpret_cast<const uint4*>(from + c));
      const float4 low = {widen(eight.x & 0xFFFF), widen(eight.x >> 16), widen(eight.y & 0xFFFF), widen(eight.y >> 16)};
      const float4 high = {widen(eight.z & 0xFFFF), widen(eight.z >> 16), widen(eight.w & 0xFFFF), widen(eight.w >> 16)};
      reinterpret_cast<float4*>(to + c)[0] = low;
      reinterpret_cast<float4*>(to + c)[1] = high;
    }
  } else {
    for (int32_t c = static_cast<int32_t>(threadIdx.x); c < cols; c += kThreads) to[c] = widen(from[c]);
  }
}

bool shapes(const mk_embed_args& args, const mk_device&) {
  return args.weight.dtype == MK_BF16 && args.weight.num_experts == 1 && args.weight.rows > 0 && args.weight.cols > 0 &&
         args.weight.cols == args.out.cols;
}

mk_status run(const mk_embed_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t tokens = 0;
  const mk_status status = take_launch_tokens(args.step, args.out, &tokens, error);
  if (status != MK_OK) return status;
  if (args.step->token_ids == nullptr || args.weight.data == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "embed: token_ids or weight is NULL");
  if (tokens == 0) return MK_OK;
  const auto kernel = args.weight.cols % 8 == 0 ? embed_rows<true> : embed_rows<false>;
  kernel<<<static_cast<unsigned>(tokens), kThreads, 0, stream>>>(
      args.step->num_tokens, args.step->token_ids, static_cast<const uint16_t*>(args.weight.data), args.weight.rows,
      args.weight.cols, static_cast<float*>(args.out.data));
  return MK_OK;
}

}  // namespace

const mk_kernel embed_kernel =
    CudaKernel<MK_OP_EMBED, mk_embed_args, shapes, run>::offer("embed_bf16", &rowmajor_bf16);

}  // namespace moesaic::cuda
