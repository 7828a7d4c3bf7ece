// sum_in_order: the one way floats are added, so that every rank and every transport holds the same bits.
#pragma once

#include <cstddef>
#include <span>

namespace moesaic {

// out[i] = ((parts[0][i] + parts[1][i]) + parts[2][i]) + …, i < count. `out` may be one of the parts.
void sum_in_order(std::span<const float* const> parts, size_t count, float* out);

}  // namespace moesaic
