// simd_avx2: sixteen float32 lanes in two AVX2 registers. Included only by *_avx2.cc. See simd_avx512.h, whose names these are.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#define MK_ISA avx2
#define MK_INLINE inline __attribute__((always_inline))

namespace moesaic::cpu::avx2 {
namespace {

struct F16 {
  __m256 low, high;
};
struct I16 {
  __m256i low, high;
};

// Register tiles for 16 registers, of which every F16 takes two.
constexpr int kMaxRowsBf16 = 6;
constexpr int kMaxRowsMxfp4 = 4;
constexpr int groups_per_tile_bf16(int rows) { return rows <= 1 ? 4 : rows <= 3 ? 2 : 1; }
constexpr int groups_per_tile_mxfp4(int rows) { return rows <= 1 ? 2 : 1; }
constexpr int vectors_per_tile_attention(int rows) { return rows <= 1 ? 4 : rows <= 3 ? 2 : 1; }

MK_INLINE F16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
MK_INLINE F16 set1(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
MK_INLINE F16 load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
MK_INLINE void store(float* to, F16 v) {
  _mm256_storeu_ps(to, v.low);
  _mm256_storeu_ps(to + 8, v.high);
}

MK_INLINE __m256i iota() { return _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0); }
MK_INLINE I16 first_lanes(int64_t count) {
  const __m256i n = _mm256_set1_epi32(static_cast<int>(count));
  return {_mm256_cmpgt_epi32(n, iota()), _mm256_cmpgt_epi32(n, _mm256_add_epi32(iota(), _mm256_set1_epi32(8)))};
}

MK_INLINE F16 load_partial(const float* from, int64_t count) {
  const I16 mask = first_lanes(count);
  return {_mm256_maskload_ps(from, mask.low), _mm256_maskload_ps(from + 8, mask.high)};
}
MK_INLINE void store_partial(float* to, F16 v, int64_t count) {
  const I16 mask = first_lanes(count);
  _mm256_maskstore_ps(to, mask.low, v.low);
  _mm256_maskstore_ps(to + 8, mask.high, v.high);
}

MK_INLINE F16 add(F16 a, F16 b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
MK_INLINE F16 sub(F16 a, F16 b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
MK_INLINE F16 mul(F16 a, F16 b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
MK_INLINE F16 div(F16 a, F16 b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
MK_INLINE F16 fma(F16 a, F16 b, F16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
MK_INLINE F16 min(F16 a, F16 b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
MK_INLINE F16 max(F16 a, F16 b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }

MK_INLINE F16 round_to_integer(F16 v) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(v.low, kMode), _mm256_round_ps(v.high, kMode)};
}

// Two powers of two, each a normal number: only the second product can round.
MK_INLINE __m256 scale_by_power(__m256 v, __m256 n) {
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(v, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}
MK_INLINE F16 scale_by_power(F16 v, F16 n) { return {scale_by_power(v.low, n.low), scale_by_power(v.high, n.high)}; }

MK_INLINE float lane_sum(F16 v) {
  const __m256 eight = _mm256_add_ps(v.low, v.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

MK_INLINE float lane_max(F16 v) {
  const __m256 eight = _mm256_max_ps(v.low, v.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

MK_INLINE __m256 keep_range(__m256 v, int32_t first, int32_t low, int32_t high) {
  const __m256i index = _mm256_add_epi32(iota(), _mm256_set1_epi32(first));
  const __m256i drop = _mm256_or_si256(_mm256_cmpgt_epi32(index, _mm256_set1_epi32(high)),
                                       _mm256_cmpgt_epi32(_mm256_set1_epi32(low), index));
  return _mm256_blendv_ps(v, _mm256_set1_ps(-__builtin_inff()), _mm256_castsi256_ps(drop));
}
MK_INLINE F16 keep_range(F16 v, int32_t first, int32_t low, int32_t high) {
  return {keep_range(v.low, first, low, high), keep_range(v.high, first + 8, low, high)};
}

MK_INLINE __m256 load_bf16_half(const uint16_t* from) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
MK_INLINE F16 load_bf16(const uint16_t* from) { return {load_bf16_half(from), load_bf16_half(from + 8)}; }

// Magnitudes only: the lookup has eight entries, the sign is the code's fourth bit.
struct Mxfp4Table {
  __m256 magnitudes;
};
MK_INLINE Mxfp4Table mxfp4_table() { return {_mm256_set_ps(12, 8, 6, 4, 3, 2, 1, 0)}; }

MK_INLINE I16 load_codes(const uint8_t* from) {
  const __m256i* vectors = reinterpret_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(vectors), _mm256_loadu_si256(vectors + 1)};
}

template <int kNibble>
MK_INLINE __m256 decode(__m256 magnitudes, __m256i codes) {
  const __m256 magnitude = _mm256_permutevar8x32_ps(magnitudes, _mm256_srli_epi32(codes, 4 * kNibble));
  const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(codes, 28 - 4 * kNibble), _mm256_set1_epi32(INT32_MIN));
  return _mm256_or_ps(magnitude, _mm256_castsi256_ps(sign));
}

// Nibbles kPair and kPair + 4 of every lane.
struct DecodedPair {
  F16 first, second;
};
template <int kPair>
MK_INLINE DecodedPair decode_pair(const Mxfp4Table& table, I16 codes) {
  return {{decode<kPair>(table.magnitudes, codes.low), decode<kPair>(table.magnitudes, codes.high)},
          {decode<kPair + 4>(table.magnitudes, codes.low), decode<kPair + 4>(table.magnitudes, codes.high)}};
}
MK_INLINE F16 first_of(const DecodedPair& pair) { return pair.first; }
MK_INLINE F16 second_of(const DecodedPair& pair) { return pair.second; }

MK_INLINE __m256 scale_of_e8m0_half(const uint8_t* from) {
  const __m256i byte = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(byte, _mm256_set1_epi32(1)), 23);
  const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), byte);
  const __m256i is_subnormal = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), byte);
  return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, subnormal, is_subnormal));
}
MK_INLINE F16 scale_of_e8m0(const uint8_t* from) { return {scale_of_e8m0_half(from), scale_of_e8m0_half(from + 8)}; }

MK_INLINE __m256 two_quarters(const float* const* rows, int64_t column) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows[0] + column)), _mm_loadu_ps(rows[4] + column),
                              1);
}

MK_INLINE void transpose_8x4(const float* const* rows, int64_t column, float* to, int64_t stride) {
  const __m256 a = two_quarters(rows, column), b = two_quarters(rows + 1, column);
  const __m256 c = two_quarters(rows + 2, column), d = two_quarters(rows + 3, column);
  const __m256d ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(a, b)),
                ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
  const __m256d cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(c, d)),
                cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
  _mm256_storeu_ps(to, _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low)));
  _mm256_storeu_ps(to + stride, _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low)));
  _mm256_storeu_ps(to + 2 * stride, _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high)));
  _mm256_storeu_ps(to + 3 * stride, _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high)));
}
MK_INLINE void transpose_16x4(const float* const* rows, int64_t column, float* to, int64_t stride) {
  transpose_8x4(rows, column, to, stride);
  transpose_8x4(rows + 8, column, to + 8, stride);
}

}  // namespace
}  // namespace moesaic::cpu::avx2
