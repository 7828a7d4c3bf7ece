// tile: totals of a few rows of x times a few row groups of a matrix. The inner loop of linear, router and experts.
// Over the F16 of whichever simd_*.h was included before; x is packed (cols, rows of the tile), see pack_rows.h.
//
// Every total is summed in one order, which depends on the column alone: within a block of columns one chain of fused
// multiply-adds, block after block added to the total. How many rows or groups share a tile decides only how often a weight
// that was read is used, so one row and many rows give the same bits.
#pragma once

#include "layout.h"

namespace moesaic::cpu::MK_ISA {
namespace {

// Weights are asked for this far ahead of their use: about the latency of memory times the bandwidth of one core.
constexpr int64_t kPrefetchBytes = 1024;

MK_INLINE void prefetch(const uint8_t* at) { __builtin_prefetch(at, 0, 3); }

struct Bf16 {
  static constexpr int kMaxRows = kMaxRowsBf16;
  static constexpr int groups(int rows) { return groups_per_tile_bf16(rows); }
  static constexpr int64_t kColumnBlock = 256;  // short chains round less; one addition in 256 is not felt

  // totals[g * kRows + r] = sum over columns of group first + g, row r.
  template <int kRows, int kGroups>
  static void tile(const Matrix& matrix, int64_t first, const float* x, F16* totals) {
    const int64_t group_bytes = matrix.cols * kLanes * 2;
    const uint8_t* weights = matrix.data + first * group_bytes;
    for (int i = 0; i < kGroups * kRows; ++i) totals[i] = zero();
    for (int64_t begin = 0; begin < matrix.cols; begin += kColumnBlock) {
      const int64_t end = begin + kColumnBlock < matrix.cols ? begin + kColumnBlock : matrix.cols;
      F16 sums[kGroups][kRows];
#pragma GCC unroll 32
      for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 32
        for (int r = 0; r < kRows; ++r) sums[g][r] = zero();
      }
      int64_t column = begin;
      for (; column + 1 < end; column += 2) {
        const uint8_t* at = weights + column * kLanes * 2;
        if constexpr (kRows > 1) {  // a single row is so quick that the hardware's own prefetching does better
#pragma GCC unroll 32
          for (int g = 0; g < kGroups; ++g) prefetch(at + g * group_bytes + kPrefetchBytes);
        }
        step<kRows, kGroups>(at, group_bytes, x + column * kRows, sums);
        step<kRows, kGroups>(at + kLanes * 2, group_bytes, x + (column + 1) * kRows, sums);
      }
      if (column < end) step<kRows, kGroups>(weights + column * kLanes * 2, group_bytes, x + column * kRows, sums);
#pragma GCC unroll 32
      for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 32
        for (int r = 0; r < kRows; ++r) totals[g * kRows + r] = add(totals[g * kRows + r], sums[g][r]);
      }
    }
  }

 private:
  template <int kRows, int kGroups>
  MK_INLINE static void step(const uint8_t* at, int64_t group_bytes, const float* x, F16 (&sums)[kGroups][kRows]) {
    F16 weights[kGroups];
#pragma GCC unroll 32
    for (int g = 0; g < kGroups; ++g) weights[g] = load_bf16(reinterpret_cast<const uint16_t*>(at + g * group_bytes));
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
      const F16 value = set1(x[r]);
#pragma GCC unroll 32
      for (int g = 0; g < kGroups; ++g) sums[g][r] = fma(weights[g], value, sums[g][r]);
    }
  }
};

struct Mxfp4 {
  static constexpr int kMaxRows = kMaxRowsMxfp4;
  static constexpr int groups(int rows) { return groups_per_tile_mxfp4(rows); }

  // As Bf16::tile. The scale is applied to the sum of its 32 columns, once: exact but for the rounding of that one product.
  template <int kRows, int kGroups>
  static void tile(const Matrix& matrix, int64_t first, const float* x, F16* totals) {
    const int64_t blocks = matrix.cols / kMxfp4Block;
    const uint8_t* codes = matrix.data + first * blocks * kMxfp4BlockBytes;
    const uint8_t* scales = matrix.scales + first * blocks * kLanes;
    const Mxfp4Table table = mxfp4_table();
    F16 sums[kGroups][kRows];
#pragma GCC unroll 32
    for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 32
      for (int r = 0; r < kRows; ++r) sums[g][r] = zero();
    }
    for (int64_t block = 0; block < blocks; ++block) {
      // Near the end of a group the next codes are those of the tile's next group, beyond its neighbours in this tile.
      const bool is_near_end = block + kPrefetchBytes / kMxfp4BlockBytes >= blocks;
      const int64_t ahead = kPrefetchBytes + (is_near_end ? (kGroups - 1) * blocks * kMxfp4BlockBytes : 0);
      if (block % 4 == 0) {  // a cache line of scales, for the next tile: their runs are too short to be foreseen
#pragma GCC unroll 32
        for (int g = 0; g < kGroups; ++g) prefetch(scales + ((g + kGroups) * blocks + block) * kLanes);
      }
      F16 part[kGroups][kRows];
#pragma GCC unroll 32
      for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 32
        for (int r = 0; r < kRows; ++r) part[g][r] = zero();
      }
#pragma GCC unroll 4
      for (int quarter = 0; quarter < 4; ++quarter) {
        I16 words[kGroups];
#pragma GCC unroll 32
        for (int g = 0; g < kGroups; ++g) {
          const uint8_t* at = codes + (g * blocks + block) * kMxfp4BlockBytes + quarter * 64;
          prefetch(at + ahead);
          words[g] = load_codes(at);
        }
        eight_columns<kRows, kGroups>(table, words, x + (block * 32 + quarter * 8) * kRows, part);
      }
#pragma GCC unroll 32
      for (int g = 0; g < kGroups; ++g) {
        const F16 scale = scale_of_e8m0(scales + (g * blocks + block) * kLanes);
#pragma GCC unroll 32
        for (int r = 0; r < kRows; ++r) sums[g][r] = fma(part[g][r], scale, sums[g][r]);
      }
    }
#pragma GCC unroll 32
    for (int g = 0; g < kGroups; ++g) {
#pragma GCC unroll 32
      for (int r = 0; r < kRows; ++r) totals[g * kRows + r] = sums[g][r];
    }
  }

 private:
  // Columns 0, 4, 1, 5, 2, 6, 3, 7 of eight: AVX-512 decodes two nibbles at once, four apart. Everyone adds in this order.
  template <int kRows, int kGroups, int kPair = 0>
  MK_INLINE static void eight_columns(const Mxfp4Table& table, const I16 (&words)[kGroups], const float* x,
                                      F16 (&part)[kGroups][kRows]) {
    if constexpr (kPair < 4) {
      DecodedPair pairs[kGroups];
      F16 weights[kGroups];
#pragma GCC unroll 32
      for (int g = 0; g < kGroups; ++g) pairs[g] = decode_pair<kPair>(table, words[g]);
#pragma GCC unroll 32
      for (int g = 0; g < kGroups; ++g) weights[g] = first_of(pairs[g]);
      column<kRows, kGroups>(weights, x + kPair * kRows, part);
#pragma GCC unroll 32
      for (int g = 0; g < kGroups; ++g) weights[g] = second_of(pairs[g]);
      column<kRows, kGroups>(weights, x + (kPair + 4) * kRows, part);
      eight_columns<kRows, kGroups, kPair + 1>(table, words, x, part);
    }
  }

  template <int kRows, int kGroups>
  MK_INLINE static void column(const F16 (&weights)[kGroups], const float* x, F16 (&part)[kGroups][kRows]) {
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
      const F16 value = set1(x[r]);
#pragma GCC unroll 32
      for (int g = 0; g < kGroups; ++g) part[g][r] = fma(weights[g], value, part[g][r]);
    }
  }
};

// totals[g * kRows + r] for `count` groups from `first`, in tiles of as many groups as fit the registers.
template <typename Weights, int kRows>
void tile_groups(const Matrix& matrix, int64_t first, int64_t count, const float* x, F16* totals) {
  constexpr int kGroups = Weights::groups(kRows);
  int64_t group = 0;
  for (; group + kGroups <= count; group += kGroups) {
    Weights::template tile<kRows, kGroups>(matrix, first + group, x, totals + group * kRows);
  }
  for (; group < count; ++group) Weights::template tile<kRows, 1>(matrix, first + group, x, totals + group * kRows);
}

template <int kValue>
struct Rows {
  static constexpr int value = kValue;
};

// Calls body(Rows<rows>{}), so that the number of rows is known to the compiler. 1 <= rows <= kMax.
template <int kMax, typename Body>
MK_INLINE void with_rows(int64_t rows, Body&& body) {
  if (rows == kMax) {
    body(Rows<kMax>{});
  } else if constexpr (kMax > 1) {
    with_rows<kMax - 1>(rows, body);
  }
}

}  // namespace
}  // namespace moesaic::cpu::MK_ISA
