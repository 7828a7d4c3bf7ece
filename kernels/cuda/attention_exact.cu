// attention, exact: softmax over the keys a query sees and one sink, for every (token, head); kernel.h has the formula
//   qkv (tokens, >= num_heads * head_dim) f32 · kv paged, f32 or bf16 · head_dim even, up to 256
//   all products and sums float32
//   attention.cuh has the order of sums. A warp attends to a chunk of 64 keys for 8 query heads: lanes are keys for the scores,
//   with four partial sums each, and dimensions for the values.
//   bound: decode: memory, 2 * head_dim elements per key and kv head · tokens of a prompt go one by one: no tiles, same bits
//   oracle: kernels/reference/attention.cc · upstream: none
#include <cuda_bf16.h>

#include "attention.cuh"

namespace moesaic::cuda {
namespace {

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ __forceinline__ float4 load_four(const float* from) { return __ldg(reinterpret_cast<const float4*>(from)); }
__device__ __forceinline__ float4 load_four(const __nv_bfloat16* from) {
  const uint2 bits = __ldg(reinterpret_cast<const uint2*>(from));
  return {__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xFFFF0000), __uint_as_float(bits.y << 16),
          __uint_as_float(bits.y & 0xFFFF0000)};
}

__device__ __forceinline__ void add_product(float4& sums, const float4& a, const float4& b) {
  sums.x = fmaf(a.x, b.x, sums.x);
  sums.y = fmaf(a.y, b.y, sums.y);
  sums.z = fmaf(a.z, b.z, sums.z);
  sums.w = fmaf(a.w, b.w, sums.w);
}

__device__ __forceinline__ float total_of(const float4& sums) { return (sums.x + sums.y) + (sums.z + sums.w); }

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFF, value, offset));
  return value;
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xFFFFFFFF, value, offset);
  return value;
}

// T: element of the cache. A lane has kPerLane dimensions of a value.
template <class T, int kPerLane>
class ExactChunk {
 public:
  using Exp = NaturalExp;
  static constexpr int kRows = 8;
  static constexpr int kDims = 32 * kPerLane;
  static constexpr int kElements = kRows * kDims / kAttentionThreads;
  static constexpr int kThreadsPerRow = kAttentionThreads / kRows;

  struct Memory {
    float q[kRows][kDims];
    union {
      float weights[kChunkKeys][kRows];
      float sums[kRows][kDims];  // once the weights are used
    } warps[kWarps];
    uint32_t slots[kWarps][kChunkKeys];
  };

  __device__ ExactChunk(const AttentionWork& work, const AttentionToken& token, int32_t kv_head, int32_t first_head,
                        int32_t num_heads, Memory& memory)
      : work_(work), token_(token), kv_head_(kv_head), memory_(memory) {
    const float* q = work.q + static_cast<int64_t>(token.token) * work.q_stride + first_head * work.head_dim;
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < kRows * kDims; i += kAttentionThreads) {
      const int32_t r = i / kDims, d = i % kDims;
      memory.q[r][d] = r < num_heads && d < work.head_dim ? q[r * work.head_dim + d] : 0;
    }
    __syncthreads();
  }

  __device__ int32_t row() const { return static_cast<int32_t>(threadIdx.x) / kThreadsPerRow; }
  __device__ int32_t dim(int e) const { return static_cast<int32_t>(threadIdx.x) % kThreadsPerRow + kThreadsPerRow * e; }
  __device__ float sum(int32_t warp, int e) const { return memory_.warps[warp].sums[row()][dim(e)]; }

  __device__ void attend(int32_t begin, float2* softmax) {
    const int32_t warp = static_cast<int32_t>(threadIdx.x / 32), lane = static_cast<int32_t>(threadIdx.x % 32);
    float scores[2][kRows];  // keys begin + lane and begin + 32 + lane
    score(begin, memory_.slots[warp], scores);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float maximum = warp_max(fmaxf(scores[0][r], scores[1][r]));
      scores[0][r] = Exp::of(scores[0][r] - maximum);  // 0 where the score is -infinity
      scores[1][r] = Exp::of(scores[1][r] - maximum);
      const float weight = warp_sum(scores[0][r] + scores[1][r]);
      if (lane == 0) softmax[r] = {maximum, weight};
    }
    auto& mine = memory_.warps[warp];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float4* to = reinterpret_cast<float4*>(mine.weights[lane + 32 * half]);
      to[0] = {scores[half][0], scores[half][1], scores[half][2], scores[half][3]};
      to[1] = {scores[half][4], scores[half][5], scores[half][6], scores[half][7]};
    }
    __syncwarp();
    float sums[kRows][kPerLane];
    add_values(begin, memory_.slots[warp], mine.weights, sums);
    __syncwarp();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) mine.sums[r][lane + 32 * i] = sums[r][i];
    }
  }

 private:
  // Leaves the slots of the chunk's keys in `slots`; -infinity where the token does not see the key.
  __device__ __forceinline__ void score(int32_t begin, uint32_t* slots, float (&scores)[2][kRows]) {
    const auto lane = static_cast<int32_t>(threadIdx.x % 32);
    const T* keys[2];
    bool is_seen[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t position = begin + lane + 32 * half;
      is_seen[half] = position >= token_.first && position <= token_.position;
      const uint32_t slot = is_seen[half] ? work_.rows.slot(token_.row, position, kv_head_) : 0;
      slots[lane + 32 * half] = slot;
      keys[half] = static_cast<const T*>(work_.k) + static_cast<int64_t>(slot) * work_.head_dim;
    }
    float4 sums[2][kRows] = {};
    if (work_.head_dim % 4 == 0) {
#pragma unroll 2
      for (int32_t d = 0; d < work_.head_dim; d += 4) {
        const float4 nothing = {0, 0, 0, 0};
        const float4 a = is_seen[0] ? load_four(keys[0] + d) : nothing, b = is_seen[1] ? load_four(keys[1] + d) : nothing;
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const float4 q = *reinterpret_cast<const float4*>(&memory_.q[r][d]);
          add_product(sums[0][r], a, q);
          add_product(sums[1][r], b, q);
        }
      }
    } else {
      for (int32_t d = 0; d < work_.head_dim; ++d) {
        const float a = is_seen[0] ? to_float(keys[0][d]) : 0, b = is_seen[1] ? to_float(keys[1][d]) : 0;
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          sums[0][r].x = fmaf(a, memory_.q[r][d], sums[0][r].x);
          sums[1][r].x = fmaf(b, memory_.q[r][d], sums[1][r].x);
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int half = 0; half < 2; ++half)
        scores[half][r] = is_seen[half] ? __fmul_rn(total_of(sums[half][r]), work_.scale) : minus_infinity();
    }
  }

  // Over the keys that the token sees, ascending; no other is read.
  __device__ __forceinline__ void add_values(int32_t begin, const uint32_t* slots, const float (*weights)[kRows],
                                             float (&sums)[kRows][kPerLane]) {
    const auto lane = static_cast<int32_t>(threadIdx.x % 32);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) sums[r][i] = 0;
    }
    const int32_t first = max(token_.first - begin, 0), last = min(token_.position - begin, kChunkKeys - 1);
#pragma unroll 4
    for (int32_t key = first; key <= last; ++key) {
      const T* from = static_cast<const T*>(work_.v) + static_cast<int64_t>(slots[key]) * work_.head_dim;
      float values[kPerLane];
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) values[i] = lane + 32 * i < work_.head_dim ? to_float(from[lane + 32 * i]) : 0;
      const float4 low = *reinterpret_cast<const float4*>(&weights[key][0]);
      const float4 high = *reinterpret_cast<const float4*>(&weights[key][4]);
      const float w[kRows] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) sums[r][i] = fmaf(w[r], values[i], sums[r][i]);
      }
    }
  }

  const AttentionWork& work_;
  const AttentionToken& token_;
  const int32_t kv_head_;
  Memory& memory_;
};

template <class T, int kPerLane>
mk_status queue(const mk_attention_args& args, const AttentionBounds& bounds, void* workspace, cudaStream_t stream,
                mk_error* error) {
  using Chunk = ExactChunk<T, kPerLane>;
  const mk_status status = queue_decode<Chunk>(args, bounds, workspace, stream, error);
  if (status != MK_OK || bounds.query_len <= 1 || bounds.tokens == 0) return status;
  AttentionWork work = attention_work(args, Chunk::Exp::kUnit);
  work.by_token = true;
  return queue_units<Chunk>(work, bounds.tokens, 1, stream, error);
}

// Head sizes are rounded up to 32, 64, 128 or 256.
template <class T>
mk_status queue_any(const mk_attention_args& args, const AttentionBounds& bounds, void* workspace, cudaStream_t stream,
                    mk_error* error) {
  if (args.kv.head_dim <= 32) return queue<T, 1>(args, bounds, workspace, stream, error);
  if (args.kv.head_dim <= 64) return queue<T, 2>(args, bounds, workspace, stream, error);
  if (args.kv.head_dim <= 128) return queue<T, 4>(args, bounds, workspace, stream, error);
  return queue<T, 8>(args, bounds, workspace, stream, error);
}

mk_status run(const mk_attention_args& args, void* workspace, void*, cudaStream_t stream, mk_error* error) {
  AttentionBounds bounds{};
  const mk_status status = take_attention_bounds(args, &bounds, error);
  if (status != MK_OK) return status;
  return args.kv.dtype == MK_F32 ? queue_any<float>(args, bounds, workspace, stream, error)
                                 : queue_any<__nv_bfloat16>(args, bounds, workspace, stream, error);
}

bool shapes(const mk_attention_args& args, const mk_device&) { return is_attention(args) && args.kv.head_dim <= 256; }

int64_t workspace_bytes(const mk_attention_args& args, const mk_device&) {
  int64_t dims = 32;
  while (dims < args.kv.head_dim) dims *= 2;
  return attention_workspace_bytes(args, dims);
}

}  // namespace

const mk_kernel attention_exact_kernel =
    CudaKernel<MK_OP_ATTENTION, mk_attention_args, shapes, run, workspace_bytes>::offer("attention_exact");

}  // namespace moesaic::cuda
