// mma: bf16 matrix products of one warp and asynchronous copies to shared memory, as PTX (sm_80 and later).
//
// K is permuted alike on both sides, so that a lane reads 16 consecutive bytes of a row for two products. With g = lane / 4 and
// t = lane % 4, a lane holds columns k = 32 j + 8 t + 0..7 of chunk j; product 2 j takes +0..3 and product 2 j + 1 takes +4..7.
// The weights are A (16 rows: g and g + 8), the tokens are B (8 tokens: g), and lane (g, t) gets rows g and g + 8 of tokens
// 2 t and 2 t + 1.
//   Source: PTX ISA, "Matrix Fragments for mma.m16n8k16"
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace moesaic::cuda {

// sums[0..3] += A B: rows g (0, 1) and g + 8 (2, 3), tokens 2 t (0, 2) and 2 t + 1 (1, 3).
__device__ __forceinline__ void mma_bf16(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// 16 bytes, or zeros where `exists` is false: then `from` is not read, but must be an address all the same.
__device__ __forceinline__ void copy_async_16(void* to, const void* from, bool exists) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(exists ? 16 : 0)
               : "memory");
}

__device__ __forceinline__ void copy_async_4(void* to, const void* from, bool exists) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(exists ? 4 : 0)
               : "memory");
}

__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

// Until at most kPending of this thread's youngest groups are under way.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

__device__ __forceinline__ uint32_t bf16_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const uint32_t&>(pair);
}

// Eight consecutive floats, 16-byte aligned, to bf16.
__device__ __forceinline__ uint4 load_bf16x8(const float* from) {
  const float4 a = __ldg(reinterpret_cast<const float4*>(from)), b = __ldg(reinterpret_cast<const float4*>(from) + 1);
  return {bf16_pair(a.x, a.y), bf16_pair(a.z, a.w), bf16_pair(b.x, b.y), bf16_pair(b.z, b.w)};
}
__device__ __forceinline__ uint4 load_bf16x8(const __nv_bfloat16* from) { return __ldg(reinterpret_cast<const uint4*>(from)); }

}  // namespace moesaic::cuda
