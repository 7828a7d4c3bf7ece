// bfloat16: the upper half of a float32.
#pragma once

#include <bit>
#include <cstdint>

namespace moesaic::reference {

inline float bf16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// Only for floats whose lower half is zero, such as every MXFP4 value: nothing is rounded.
inline uint16_t exact_bf16(float value) { return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16); }

}  // namespace moesaic::reference
