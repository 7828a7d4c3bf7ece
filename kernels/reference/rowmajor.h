// The layouts "rowmajor_bf16" and "rowmajor_mxfp4": matrices as they are in the checkpoint, experts one after the
// other.
//   rowmajor_bf16    (experts, rows, cols) bf16
//   rowmajor_mxfp4   (experts, rows, cols / 32, 16) codes, then (experts, rows, cols / 32) scales
#pragma once

#include <cstdint>

#include "moesaic/kernel.h"

namespace moesaic::reference {

// From bf16 sources, and from MXFP4 sources by exact decoding.
extern const mk_packing rowmajor_bf16;
extern const mk_packing rowmajor_mxfp4;

// Where row `row` of expert `expert` begins. The weight has the layout that the name says.
const uint16_t* bf16_row(const mk_weight& weight, int64_t expert, int64_t row);
const uint8_t* mxfp4_blocks_row(const mk_weight& weight, int64_t expert, int64_t row);
const uint8_t* mxfp4_scales_row(const mk_weight& weight, int64_t expert, int64_t row);

// sum_c weight[expert, row, c] * x[c], columns in ascending order. Products of these types are exact in double and the
// sum loses next to nothing: what another kernel differs from this one is that kernel's own error.
double dot(const mk_weight& weight, int64_t expert, int64_t row, const float* x);

}  // namespace moesaic::reference
