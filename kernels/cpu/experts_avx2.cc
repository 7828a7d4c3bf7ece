// experts over AVX2. See experts.cc.
#include "simd_avx2.h"
// Written over the vectors of the header above, which therefore comes first.
#include "experts_kernel.h"

namespace moesaic::cpu {
const ExpertsIsa kExpertsIsaBf16Avx2 = {MK_BF16, avx2::kMaxRowsBf16, avx2::experts_gate_up<avx2::Bf16>,
                                        avx2::experts_down<avx2::Bf16>};
const ExpertsIsa kExpertsIsaMxfp4Avx2 = {MK_MXFP4, avx2::kMaxRowsMxfp4, avx2::experts_gate_up<avx2::Mxfp4>,
                                         avx2::experts_down<avx2::Mxfp4>};
}  // namespace moesaic::cpu
