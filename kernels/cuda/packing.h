// The layouts of this package's matrices; their packings run on the device.
//   rowmajor_bf16     (experts, rows, cols) bf16; MXFP4 sources are decoded, exactly
//   rowmajor_mxfp4    (experts, rows, cols / 32, 16) codes, then (experts, rows, cols / 32) scales
//   cuda_mxfp4_mma16  see e2m1.cuh
#pragma once

#include "moesaic/kernel.h"

namespace moesaic::cuda {

extern const mk_packing rowmajor_bf16;
extern const mk_packing rowmajor_mxfp4;
extern const mk_packing mxfp4_mma16;

}  // namespace moesaic::cuda
