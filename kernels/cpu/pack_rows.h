// pack_rows: the order in which tile.h reads x. A tile of r rows is (cols, r): one step of the inner loop finds the values
// of its column side by side. For files without an instruction set in their name.
#pragma once

#include "layout.h"

namespace moesaic::cpu {

constexpr int kMaxTileRows = 16;       // no instruction set has larger tiles
constexpr int64_t kRowsPerPass = 512;  // bounds the workspace; weights are read once per pass

// rows[r] for r < num_rows point at `cols` floats each; to has room for cols * num_rows.
static inline void pack_tile(const float* const* rows, int64_t num_rows, int64_t cols, float* to) {
  for (int64_t begin = 0; begin < cols; begin += 64) {
    const int64_t end = begin + 64 < cols ? begin + 64 : cols;
    for (int64_t row = 0; row < num_rows; ++row) {
      for (int64_t column = begin; column < end; ++column) to[column * num_rows + row] = rows[row][column];
    }
  }
}

static inline int64_t rows_in_pass(int64_t max_rows) { return max_rows < kRowsPerPass ? max_rows : kRowsPerPass; }

}  // namespace moesaic::cpu
