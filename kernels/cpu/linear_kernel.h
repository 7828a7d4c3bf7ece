// linear_kernel: see linear.cc. Over the F16 of whichever simd_*.h was included before.
#pragma once

#include "linear.h"
#include "rotate.h"
#include "tile.h"

namespace moesaic::cpu::MK_ISA {
namespace {

constexpr int64_t kMaxGroupsPerItem = 4;
constexpr int64_t kMaxGroupsPerHead = 16;

// The first lanes of a group that are rows of the matrix.
MK_INLINE int64_t lanes_of(int64_t group, int64_t out_features) {
  const int64_t left = out_features - group * kLanes;
  return left < kLanes ? left : kLanes;
}

MK_INLINE F16 with_bias(F16 total, const float* bias, int64_t group, int64_t lanes) {
  return bias == nullptr ? total : add(total, load_partial(bias + group * kLanes, lanes));
}

// Tiles of x inside, so that groups of weights are read from memory once and then from cache.
void linear_groups(const LinearWork& work, int64_t begin, int64_t end) {
  const int64_t groups = num_groups(work.out_features);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item * work.groups_per_item;
    const int64_t count = groups - first < work.groups_per_item ? groups - first : work.groups_per_item;
    for (int64_t tile = 0; tile < work.tiling.num_tiles; ++tile) {
      const int64_t row = work.tiling.first_row(tile);
      with_rows<kMaxRowsBf16>(work.tiling.first_row(tile + 1) - row, [&](auto rows) {
        constexpr int kRows = decltype(rows)::value;
        F16 totals[kMaxGroupsPerItem * kRows];
        tile_groups<Bf16, kRows>(work.matrix, first, count, work.packed_x + row * work.matrix.cols, totals);
        for (int64_t g = 0; g < count; ++g) {
          const int64_t lanes = lanes_of(first + g, work.out_features);
          for (int r = 0; r < kRows; ++r) {
            float* out = work.out + (row + r) * work.out_stride + (first + g) * kLanes;
            F16 value = with_bias(totals[g * kRows + r], work.bias, first + g, lanes);
            if (work.accumulate) value = add(load_partial(out, lanes), value);
            store_partial(out, value, lanes);
          }
        }
      });
    }
  }
}

void linear_heads(const HeadsWork& work, int64_t begin, int64_t end) {
  const LinearWork& linear = work.linear;
  const int64_t head_dim = work.kv.head_dim, groups = head_dim / kLanes;
  alignas(64) float values[kMaxRowsBf16 * kMaxGroupsPerHead * kLanes];
  for (int64_t head = begin; head < end; ++head) {
    for (int64_t tile = 0; tile < linear.tiling.num_tiles; ++tile) {
      const int64_t row = linear.tiling.first_row(tile);
      with_rows<kMaxRowsBf16>(linear.tiling.first_row(tile + 1) - row, [&](auto rows) {
        constexpr int kRows = decltype(rows)::value;
        F16 totals[kMaxGroupsPerHead * kRows];
        tile_groups<Bf16, kRows>(linear.matrix, head * groups, groups, linear.packed_x + row * linear.matrix.cols,
                                 totals);
        for (int64_t g = 0; g < groups; ++g) {
          for (int r = 0; r < kRows; ++r) {
            store(values + r * head_dim + g * kLanes,
                  with_bias(totals[g * kRows + r], linear.bias, head * groups + g, kLanes));
          }
        }
        for (int r = 0; r < kRows; ++r) {
          const int64_t token = work.first_token + row + r;
          place_head(work.kv, *work.step, work.rope + token * head_dim, work.num_heads, head, token,
                     values + r * head_dim, linear.out + (row + r) * linear.out_stride + head * head_dim);
        }
      });
    }
  }
}

}  // namespace
}  // namespace moesaic::cpu::MK_ISA
