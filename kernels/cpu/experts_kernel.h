// experts_kernel: see experts.cc. Over the F16 of whichever simd_*.h was included before.
#pragma once

#include "experts.h"
#include "tile.h"
#include "vexp.h"

namespace moesaic::cpu::MK_ISA {
namespace {

MK_INLINE int64_t at_most(int64_t value, int64_t limit) { return value < limit ? value : limit; }

// (u + 1) * g * sigmoid(alpha * g) of the clamped halves; NaN stays.
MK_INLINE F16 swiglu(F16 gate, F16 up, float alpha, float limit) {
  const F16 g = min(set1(limit), gate);
  const F16 u = max(set1(-limit), min(set1(limit), up));
  const F16 decay = exp(mul(set1(-alpha), g));
  return div(mul(add(u, set1(1.0f)), g), add(set1(1.0f), decay));
}

struct UnitBias {
  F16 gate, up;
};

// The biases of `count` units, which alternate in memory. No bias: zeros.
UnitBias unit_bias(const float* bias, int64_t count) {
  float gate[kLanes] = {}, up[kLanes] = {};
  for (int64_t unit = 0; bias != nullptr && unit < count; ++unit) {
    gate[unit] = bias[2 * unit];
    up[unit] = bias[2 * unit + 1];
  }
  return {load(gate), load(up)};
}

// Activations of units [16 * first, 16 * (first + count)) for the rows of one tile.
template <typename Weights, int kRows>
void activate(const ExpertsWork& work, const Matrix& matrix, const float* bias, const ExpertTile& tile, int64_t first,
              int64_t count) {
  const int64_t units = work.down.cols;
  F16 totals[2 * kUnitGroupsPerItem * kRows];
  tile_groups<Weights, kRows>(matrix, 2 * first, 2 * count, tile.x, totals);
  for (int64_t g = 0; g < count; ++g) {
    const int64_t unit = (first + g) * kLanes, lanes = at_most(units - unit, kLanes);
    const UnitBias unit_biases = unit_bias(bias == nullptr ? nullptr : bias + 2 * unit, lanes);
    for (int r = 0; r < kRows; ++r) {
      const F16 gate = add(totals[2 * g * kRows + r], unit_biases.gate);
      const F16 up = add(totals[(2 * g + 1) * kRows + r], unit_biases.up);
      float values[kLanes];
      store(values, swiglu(gate, up, work.alpha, work.limit));
      for (int64_t lane = 0; lane < lanes; ++lane) tile.activations[(unit + lane) * kRows + r] = values[lane];
    }
  }
}

template <typename Weights>
void experts_gate_up(const ExpertsWork& work, int64_t begin, int64_t end) {
  const int64_t groups = num_groups(work.down.cols);
  for (int64_t item = begin; item < end; ++item) {
    const auto [active, first, count] = item_of(work, item, groups, kUnitGroupsPerItem);
    const Matrix matrix = expert_matrix(work.gate_up, true, active.expert);
    const float* bias = static_cast<const float*>(work.gate_up_bias.data);
    if (bias != nullptr) bias += int64_t{active.expert} * work.gate_up.rows;
    for (int32_t i = 0; i < active.num_tiles; ++i) {
      const ExpertTile& tile = work.tiles[active.first_tile + i];
      with_rows<Weights::kMaxRows>(tile.num_rows, [&](auto rows) {
        activate<Weights, decltype(rows)::value>(work, matrix, bias, tile, first, count);
      });
    }
  }
}

// Rows [16 * first, 16 * (first + count)) of down for the rows of one tile.
template <typename Weights, int kRows>
void project(const ExpertsWork& work, const Matrix& matrix, const float* bias, const ExpertTile& tile, int64_t first,
             int64_t count) {
  const int64_t hidden = work.down.rows;
  F16 totals[kDownGroupsPerItem * kRows];
  tile_groups<Weights, kRows>(matrix, first, count, tile.activations, totals);
  for (int64_t g = 0; g < count; ++g) {
    const int64_t row = (first + g) * kLanes, lanes = at_most(hidden - row, kLanes);
    const F16 row_bias = bias == nullptr ? zero() : load_partial(bias + row, lanes);
    for (int r = 0; r < kRows; ++r) {
      store_partial(work.out + tile.slots[r] * hidden + row, add(totals[g * kRows + r], row_bias), lanes);
    }
  }
}

template <typename Weights>
void experts_down(const ExpertsWork& work, int64_t begin, int64_t end) {
  const int64_t groups = num_groups(work.down.rows);
  for (int64_t item = begin; item < end; ++item) {
    const auto [active, first, count] = item_of(work, item, groups, kDownGroupsPerItem);
    const Matrix matrix = expert_matrix(work.down, false, active.expert);
    const float* bias = static_cast<const float*>(work.down_bias.data);
    if (bias != nullptr) bias += int64_t{active.expert} * work.down.rows;
    for (int32_t i = 0; i < active.num_tiles; ++i) {
      const ExpertTile& tile = work.tiles[active.first_tile + i];
      with_rows<Weights::kMaxRows>(tile.num_rows, [&](auto rows) {
        project<Weights, decltype(rows)::value>(work, matrix, bias, tile, first, count);
      });
    }
  }
}

}  // namespace
}  // namespace moesaic::cpu::MK_ISA
