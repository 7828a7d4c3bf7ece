// simd_avx512: sixteen float32 lanes in one AVX-512 register. Included only by *_avx512.cc.
// simd_avx2.h offers the same names over two AVX2 registers; every operation gives the same bits in both, reductions pair
// lanes in the same order, so a kernel written over F16 has one result on every machine. All names have internal linkage:
// a function the linker merged with another file's copy would run these instructions on machines that lack them.
#pragma once

// GCC 12 takes the deliberately undefined registers inside its own intrinsics for a mistake of ours.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#include <stdint.h>

#define MK_ISA avx512
#define MK_INLINE inline __attribute__((always_inline))

namespace moesaic::cpu::avx512 {
namespace {

using F16 = __m512;   // sixteen floats
using I16 = __m512i;  // sixteen 32-bit integers

// Register tiles: rows of x times row groups of a matrix, so that sums, weights and one broadcast fit 32 registers. MXFP4
// takes two sums for each, and one group of many rows beats two of half as many: less is decoded at a time.
constexpr int kMaxRowsBf16 = 6;
constexpr int kMaxRowsMxfp4 = 12;
constexpr int groups_per_tile_bf16(int) { return 4; }
constexpr int groups_per_tile_mxfp4(int rows) { return rows <= 3 ? 4 : rows <= 5 ? 2 : 1; }
constexpr int vectors_per_tile_attention(int) { return 4; }

MK_INLINE F16 zero() { return _mm512_setzero_ps(); }
MK_INLINE F16 set1(float value) { return _mm512_set1_ps(value); }
MK_INLINE F16 load(const float* from) { return _mm512_loadu_ps(from); }
MK_INLINE void store(float* to, F16 v) { _mm512_storeu_ps(to, v); }

MK_INLINE __mmask16 first_lanes(int64_t count) { return static_cast<__mmask16>((1u << count) - 1u); }

// The first `count` (1..16) lanes; the others are zero, and their memory is not touched.
MK_INLINE F16 load_partial(const float* from, int64_t count) { return _mm512_maskz_loadu_ps(first_lanes(count), from); }
MK_INLINE void store_partial(float* to, F16 v, int64_t count) { _mm512_mask_storeu_ps(to, first_lanes(count), v); }

MK_INLINE F16 add(F16 a, F16 b) { return _mm512_add_ps(a, b); }
MK_INLINE F16 sub(F16 a, F16 b) { return _mm512_sub_ps(a, b); }
MK_INLINE F16 mul(F16 a, F16 b) { return _mm512_mul_ps(a, b); }
MK_INLINE F16 div(F16 a, F16 b) { return _mm512_div_ps(a, b); }
MK_INLINE F16 fma(F16 a, F16 b, F16 c) { return _mm512_fmadd_ps(a, b, c); }

// Where one operand is NaN the result is b.
MK_INLINE F16 min(F16 a, F16 b) { return _mm512_min_ps(a, b); }
MK_INLINE F16 max(F16 a, F16 b) { return _mm512_max_ps(a, b); }

MK_INLINE F16 round_to_integer(F16 v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// v * 2^n for integral n, rounded once, subnormals and overflow included.
MK_INLINE F16 scale_by_power(F16 v, F16 n) { return _mm512_scalef_ps(v, n); }

MK_INLINE float lane_sum(F16 v) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

MK_INLINE float lane_max(F16 v) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// v where first + lane lies in [low, high], else -infinity.
MK_INLINE F16 keep_range(F16 v, int32_t first, int32_t low, int32_t high) {
  const I16 iota = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const I16 index = _mm512_add_epi32(iota, _mm512_set1_epi32(first));
  const __mmask16 keep =
      _mm512_cmple_epi32_mask(index, _mm512_set1_epi32(high)) & _mm512_cmpge_epi32_mask(index, _mm512_set1_epi32(low));
  return _mm512_mask_blend_ps(keep, _mm512_set1_ps(-__builtin_inff()), v);
}

MK_INLINE F16 load_bf16(const uint16_t* from) {
  const I16 wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

// Twice the values of E2M1, so that scale_of_e8m0 is finite and not zero for every byte. As bf16, and twice, since the
// permutation looks at five bits of which the fifth is the next nibble's.
struct Mxfp4Table {
  I16 values;
};
MK_INLINE Mxfp4Table mxfp4_table() {
  const __m256i values = _mm256_set_epi16(-0x3EC0, -0x3F00, -0x3F40, -0x3F80, -0x3FC0, -0x4000, -0x4080, -0x8000,
                                          0x4140, 0x4100, 0x40C0, 0x4080, 0x4040, 0x4000, 0x3F80, 0);
  return {_mm512_broadcast_i64x4(values)};
}

MK_INLINE I16 load_codes(const uint8_t* from) { return _mm512_loadu_si512(from); }

// Nibbles kPair and kPair + 4 of every lane, one in each half of it: a shift and a lookup for both.
using DecodedPair = I16;
template <int kPair>
MK_INLINE DecodedPair decode_pair(const Mxfp4Table& table, I16 codes) {
  return _mm512_permutexvar_epi16(_mm512_srli_epi32(codes, 4 * kPair), table.values);
}
MK_INLINE F16 first_of(DecodedPair pair) { return _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16)); }
MK_INLINE F16 second_of(DecodedPair pair) { return _mm512_castsi512_ps(_mm512_maskz_mov_epi16(0xAAAAAAAAu, pair)); }

// 2^(byte - 128) of sixteen scale bytes: a shifted exponent, or a subnormal for bytes 0 and 1.
MK_INLINE F16 scale_of_e8m0(const uint8_t* from) {
  const I16 byte = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  const I16 normal = _mm512_slli_epi32(_mm512_sub_epi32(byte, _mm512_set1_epi32(1)), 23);
  const I16 subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), byte);
  const __mmask16 is_subnormal = _mm512_cmplt_epi32_mask(byte, _mm512_set1_epi32(2));
  return _mm512_castsi512_ps(_mm512_mask_blend_epi32(is_subnormal, normal, subnormal));
}

MK_INLINE __m512 four_quarters(const float* const* rows, int64_t column) {
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(rows[0] + column));
  v = _mm512_insertf32x4(v, _mm_loadu_ps(rows[4] + column), 1);
  v = _mm512_insertf32x4(v, _mm_loadu_ps(rows[8] + column), 2);
  return _mm512_insertf32x4(v, _mm_loadu_ps(rows[12] + column), 3);
}

// Columns [column, column + 4) of sixteen rows become four rows of sixteen, `stride` floats apart.
MK_INLINE void transpose_16x4(const float* const* rows, int64_t column, float* to, int64_t stride) {
  const __m512 a = four_quarters(rows, column), b = four_quarters(rows + 1, column);
  const __m512 c = four_quarters(rows + 2, column), d = four_quarters(rows + 3, column);
  const __m512d ab_low = _mm512_castps_pd(_mm512_unpacklo_ps(a, b)),
                ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
  const __m512d cd_low = _mm512_castps_pd(_mm512_unpacklo_ps(c, d)),
                cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
  store(to, _mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low)));
  store(to + stride, _mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low)));
  store(to + 2 * stride, _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high)));
  store(to + 3 * stride, _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high)));
}

}  // namespace
}  // namespace moesaic::cpu::avx512
