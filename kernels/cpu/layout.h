// layout: where the numbers of a packed matrix lie. Plain data and internal functions, for files of any instruction set.
//
// A group is 16 output rows side by side, so that one vector holds the same column of 16 rows and no sum crosses lanes.
//   il16_bf16            (groups, cols, 16) bf16
//   il16_bf16_experts    the same per expert; of gate_up, group 2u holds the gate rows of units 16u..16u+15 and group 2u+1
//                        their up rows (source rows 2j and 2j+1)
//   il16_mxfp4_experts   codes (groups, cols / 32, 4, 16) uint32: nibble i of a word is column 8q + i of its row; then scales
//                        (groups, cols / 32, 16) bytes; gate_up paired as above
//   rowmajor_bf16        (rows, cols) bf16, for embed, which reads single rows
// Rows past the end of the last group are zero. Every expert starts on a multiple of 64 bytes.
#pragma once

#include <stdint.h>

#include "moesaic/kernel.h"

namespace moesaic::cpu {

constexpr int64_t kLanes = 16;
constexpr int64_t kMxfp4Block = 32;
constexpr int64_t kMxfp4BlockBytes = 256;  // codes of a group and 32 columns

static inline int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }
static inline int64_t num_groups(int64_t rows) { return (rows + kLanes - 1) / kLanes; }

// Groups of one expert; paired: gate_up.
static inline int64_t num_groups(int64_t rows, bool paired) {
  return paired ? 2 * num_groups(rows / 2) : num_groups(rows);
}

// One expert of a packed matrix.
struct Matrix {
  const uint8_t* data;    // bf16 values or MXFP4 codes
  const uint8_t* scales;  // MXFP4 only
  int64_t cols;
};

static inline int64_t expert_bytes(int64_t groups, int64_t cols, mk_dtype dtype) {
  const int64_t bytes =
      dtype == MK_MXFP4 ? groups * (cols / kMxfp4Block) * (kMxfp4BlockBytes + kLanes) : groups * cols * kLanes * 2;
  return round_up(bytes, 64);
}

static inline Matrix expert_matrix(const mk_weight& weight, bool paired, int64_t expert) {
  const int64_t groups = num_groups(weight.rows, paired);
  const uint8_t* data =
      static_cast<const uint8_t*>(weight.data) + expert * expert_bytes(groups, weight.cols, weight.dtype);
  return {data, data + groups * (weight.cols / kMxfp4Block) * kMxfp4BlockBytes, weight.cols};
}

// Rows of x are worked on in tiles of nearly equal size: tile i of `num_tiles` starts at row first_row(i).
struct Tiling {
  int64_t num_rows, num_tiles;
  int64_t first_row(int64_t tile) const { return num_rows * tile / num_tiles; }
};
static inline Tiling tile_rows(int64_t num_rows, int64_t max_tile) {
  return {num_rows, (num_rows + max_tile - 1) / max_tile};
}

}  // namespace moesaic::cpu
