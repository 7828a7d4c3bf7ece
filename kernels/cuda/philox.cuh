// Philox4x32-10 and the Gumbel noise that kernel.h makes of it.
//   Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace moesaic::cuda {

__device__ inline uint4 philox4x32_10(uint64_t key, uint4 counter) {
  uint32_t key_low = static_cast<uint32_t>(key), key_high = static_cast<uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter.x;
    const uint64_t b = uint64_t{0xCD9E8D57} * counter.z;
    counter = make_uint4(static_cast<uint32_t>(b >> 32) ^ counter.y ^ key_low, static_cast<uint32_t>(b),
                         static_cast<uint32_t>(a >> 32) ^ counter.w ^ key_high, static_cast<uint32_t>(a));
    key_low += 0x9E3779B9;
    key_high += 0xBB67AE85;
  }
  return counter;
}

// The four words that token ids 4 * group to 4 * group + 3 get.
__device__ inline uint4 noise_words(uint64_t seed, int32_t seq_len, uint32_t group) {
  return philox4x32_10(seed, make_uint4(group, static_cast<uint32_t>(seq_len), 0, 0));
}

__device__ inline uint32_t word_of(const uint4& words, uint32_t index) {
  const uint32_t low = (index & 1) != 0 ? words.y : words.x, high = (index & 1) != 0 ? words.w : words.z;
  return (index & 2) != 0 ? high : low;
}

__device__ inline double gumbel(uint32_t word) {
  const double u = (word + 0.5) / 4294967296.0;
  return -log(-log(u));
}

// The same to 1e-5: near 1, where -log(u) is small, by way of 1 - u, which float32 can hold.
__device__ inline float rough_gumbel(uint32_t word) {
  constexpr float kScale = 1.0f / 4294967296.0f;
  const float t = word >= 0x80000000u ? -log1pf(-((static_cast<float>(~word) + 0.5f) * kScale))
                                      : -logf((static_cast<float>(word) + 0.5f) * kScale);
  return -logf(t);
}

}  // namespace moesaic::cuda
