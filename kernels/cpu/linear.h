// linear: what the plain and the instruction-set files of linear and of the fused linear + rope_kv_write say to each other.
#pragma once

#include "layout.h"

namespace moesaic::cpu {

// out[row, r] = (accumulate ? out[row, r] : 0) + sum_c matrix[r, c] * x[row, c] + bias[r] for the rows of one pass.
struct LinearWork {
  Matrix matrix;
  const float* bias;  // NULL: none
  int64_t out_features;
  const float* packed_x;  // tiles one after another, each (cols, rows of the tile)
  Tiling tiling;
  float* out;
  int64_t out_stride;
  bool accumulate;
  int64_t groups_per_item;
};

// The fused kernel: one head of q, k or v per item. The rows are tokens first_token.. of the step.
struct HeadsWork {
  LinearWork linear;  // out and out_stride are those of qkv
  const float* rope;
  const mk_step* step;
  mk_kv kv;
  int64_t num_heads, first_token;
};

// Items are runs of groups_per_item row groups; num_items of them.
static inline int64_t num_items(const LinearWork& work) {
  return (num_groups(work.out_features) + work.groups_per_item - 1) / work.groups_per_item;
}

// One pass of `rows` rows of a linear on the stream. workspace: linear_workspace_bytes.
struct LinearIsa {
  int64_t max_tile_rows;
  void (*groups)(const LinearWork& work, int64_t begin, int64_t end);
  void (*heads)(const HeadsWork& work, int64_t begin, int64_t end);
};
extern const LinearIsa kLinearIsaAvx2, kLinearIsaAvx512;

int64_t linear_workspace_bytes(int64_t max_rows, int64_t cols);
const float* pack_pass(const float* x, int64_t stride, const Tiling& tiling, int64_t cols, float* packed,
                       const mk_cpu_stream& stream);
void run_linear(const LinearIsa& isa, LinearWork work, const mk_cpu_stream& stream);

}  // namespace moesaic::cpu
