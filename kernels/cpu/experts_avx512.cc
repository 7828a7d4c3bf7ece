// experts over AVX-512. See experts.cc.
#include "simd_avx512.h"
// Written over the vectors of the header above, which therefore comes first.
#include "experts_kernel.h"

namespace moesaic::cpu {
const ExpertsIsa kExpertsIsaBf16Avx512 = {MK_BF16, avx512::kMaxRowsBf16, avx512::experts_gate_up<avx512::Bf16>,
                                          avx512::experts_down<avx512::Bf16>};
const ExpertsIsa kExpertsIsaMxfp4Avx512 = {MK_MXFP4, avx512::kMaxRowsMxfp4, avx512::experts_gate_up<avx512::Mxfp4>,
                                           avx512::experts_down<avx512::Mxfp4>};
}  // namespace moesaic::cpu
