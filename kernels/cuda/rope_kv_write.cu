// rope_kv_write: rotates q (in place) and k by halves with the rope table, writes k and v to the paged cache
//   qkv (num_tokens, (num_heads + 2 * num_kv_heads) * head_dim) f32 · rope (num_tokens, head_dim): cosines, then sines
//   kv f32 or bf16, rounded to nearest even · a thread turns kWidth pairs (j, j + head_dim / 2) of one head
//   Every product and sum is rounded, so that a float32 cache has the oracle's bits.
//   bound: memory, 2 x 4 B per element of q · oracle: kernels/reference/rope_kv_write.cc
#include <cuda_bf16.h>

#include "kernels.h"
#include "launch_check.h"
#include "paged_kv.cuh"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 128;

template <int kWidth>
struct alignas(4 * kWidth) Floats {
  float at[kWidth];
};
template <int kWidth>
struct alignas(2 * kWidth) Halves {
  __nv_bfloat16 at[kWidth];
};

template <int kWidth>
__device__ Floats<kWidth> load(const float* from) {
  return *reinterpret_cast<const Floats<kWidth>*>(from);
}

template <int kWidth>
__device__ void store(float* to, const Floats<kWidth>& values) {
  *reinterpret_cast<Floats<kWidth>*>(to) = values;
}

template <int kWidth>
__device__ void store(__nv_bfloat16* to, const Floats<kWidth>& values) {
  Halves<kWidth> rounded;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) rounded.at[i] = __float2bfloat16_rn(values.at[i]);
  *reinterpret_cast<Halves<kWidth>*>(to) = rounded;
}

template <int kWidth>
__device__ void rotate(Floats<kWidth>& first, Floats<kWidth>& second, const Floats<kWidth>& cosine,
                       const Floats<kWidth>& sine) {
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const float f = first.at[i], s = second.at[i], c = cosine.at[i], n = sine.at[i];
    first.at[i] = __fsub_rn(__fmul_rn(f, c), __fmul_rn(s, n));
    second.at[i] = __fadd_rn(__fmul_rn(s, c), __fmul_rn(f, n));
  }
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    rope_kv_write_rows(mk_step step, float* qkv, int32_t stride, const float* rope, PagedRows kv, T* keys, T* values,
                       int32_t num_heads, int32_t head_dim) {
  const int32_t t = static_cast<int32_t>(blockIdx.x);
  if (t >= *step.num_tokens) return;
  const int32_t half = head_dim / 2, per_head = half / kWidth;
  const int32_t unit = static_cast<int32_t>(blockIdx.y * kThreads + threadIdx.x);
  const int32_t head = unit / per_head, j = unit % per_head * kWidth;
  if (head >= num_heads + 2 * kv.num_kv_heads) return;

  float* from = qkv + static_cast<int64_t>(t) * stride + static_cast<int64_t>(head) * head_dim + j;
  Floats<kWidth> first = load<kWidth>(from), second = load<kWidth>(from + half);
  const bool is_value = head >= num_heads + kv.num_kv_heads;
  if (!is_value) {
    const float* turn = rope + static_cast<int64_t>(t) * head_dim + j;
    rotate(first, second, load<kWidth>(turn), load<kWidth>(turn + half));
  }
  if (head < num_heads) {
    store(from, first);
    store(from + half, second);
    return;
  }
  const int32_t kv_head = (head - num_heads) % kv.num_kv_heads;
  const uint32_t slot = kv.slot(step.seq_rows[step.token_seqs[t]], step.positions[t], kv_head);
  // The null block is nobody's to write.
  if (slot < static_cast<uint32_t>(kv.num_kv_heads) << kv.block_bits) return;
  T* to = (is_value ? values : keys) + static_cast<int64_t>(slot) * head_dim + j;
  store(to, first);
  store(to + half, second);
}

bool shapes(const mk_rope_kv_write_args& args, const mk_device&) {
  if (!is_paged_kv(args.kv, args.num_heads)) return false;
  const int64_t heads = args.num_heads + 2 * static_cast<int64_t>(args.kv.num_kv_heads);
  return args.qkv.cols == heads * args.kv.head_dim && args.rope.cols == args.kv.head_dim;
}

template <class T, int kWidth>
void queue(const mk_rope_kv_write_args& args, int32_t tokens, cudaStream_t stream) {
  const int64_t heads = args.num_heads + 2 * static_cast<int64_t>(args.kv.num_kv_heads);
  const dim3 grid(static_cast<unsigned>(tokens),
                  static_cast<unsigned>(ceil_div(heads * (args.kv.head_dim / 2 / kWidth), kThreads)));
  rope_kv_write_rows<T, kWidth><<<grid, kThreads, 0, stream>>>(
      *args.step, static_cast<float*>(args.qkv.data), args.qkv.cols, static_cast<const float*>(args.rope.data),
      PagedRows(args.kv), static_cast<T*>(args.kv.k), static_cast<T*>(args.kv.v), args.num_heads, args.kv.head_dim);
}

template <class T>
void queue_any(const mk_rope_kv_write_args& args, int32_t tokens, cudaStream_t stream) {
  args.kv.head_dim % 8 == 0 ? queue<T, 4>(args, tokens, stream) : queue<T, 1>(args, tokens, stream);
}

mk_status run(const mk_rope_kv_write_args& args, void*, void*, cudaStream_t stream, mk_error* error) {
  int32_t tokens = 0;
  const mk_status status = take_launch_tokens(args.step, args.qkv, &tokens, error);
  if (status != MK_OK) return status;
  if (!has_sequences(*args.step) || args.kv.k == nullptr || args.kv.v == nullptr || args.kv.table == nullptr ||
      args.rope.data == nullptr || tokens > args.rope.max_rows)
    return refuse(error, MK_INVALID_ARGUMENT, "rope_kv_write: a pointer is NULL, or rope has less than %d rows", tokens);
  if (tokens == 0) return MK_OK;
  args.kv.dtype == MK_F32 ? queue_any<float>(args, tokens, stream) : queue_any<__nv_bfloat16>(args, tokens, stream);
  return MK_OK;
}

}  // namespace

const mk_kernel rope_kv_write_kernel =
    CudaKernel<MK_OP_ROPE_KV_WRITE, mk_rope_kv_write_args, shapes, run>::offer("rope_kv_write");

}  // namespace moesaic::cuda
