// linear and its fusions over AVX2. See linear.cc.
#include "simd_avx2.h"
// Written over the vectors of the header above, which therefore comes first.
#include "linear_kernel.h"

namespace moesaic::cpu {
const LinearIsa kLinearIsaAvx2 = {avx2::kMaxRowsBf16, avx2::linear_groups, avx2::linear_heads};
}  // namespace moesaic::cpu
