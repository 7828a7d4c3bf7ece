// attention over AVX-512. See attention.cc.
#include "simd_avx512.h"
// Written over the vectors of the header above, which therefore comes first.
#include "attention_kernel.h"

namespace moesaic::cpu {
void attend_avx512(const AttentionWork& work, int64_t begin, int64_t end, int32_t thread) {
  avx512::attend(work, begin, end, thread);
}
}  // namespace moesaic::cpu
