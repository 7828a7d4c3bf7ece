// linear and its fusions over AVX-512. See linear.cc.
#include "simd_avx512.h"
// Written over the vectors of the header above, which therefore comes first.
#include "linear_kernel.h"

namespace moesaic::cpu {
const LinearIsa kLinearIsaAvx512 = {avx512::kMaxRowsBf16, avx512::linear_groups, avx512::linear_heads};
}  // namespace moesaic::cpu
