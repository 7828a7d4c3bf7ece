#include "sum.h"

#include <algorithm>
#include <cstring>

namespace moesaic {

void sum_in_order(std::span<const float* const> parts, size_t count, float* out) {
  // The sums of one stretch stay in the first-level cache while the parts pass by.
  constexpr size_t kStretch = 2048;
  float sums[kStretch];
  for (size_t begin = 0; begin < count; begin += kStretch) {
    const size_t length = std::min(kStretch, count - begin);
    std::memcpy(sums, parts[0] + begin, length * sizeof(float));
    for (const float* part : parts.subspan(1))
      for (size_t i = 0; i < length; ++i) sums[i] += part[begin + i];
    std::memcpy(out + begin, sums, length * sizeof(float));
  }
}

}  // namespace moesaic
