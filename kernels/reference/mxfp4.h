// MXFP4: E2M1 codes, 32 of them under one E8M0 scale.
//   Source: OCP Microscaling Formats (MX) v1.0. Scale byte 255, a NaN there, is 2^128 here, as in gpt-oss' own
//   decoders.
#pragma once

#include <bit>
#include <cstdint>

namespace moesaic::reference {

inline constexpr int kBlockCols = 32;   // elements under one scale
inline constexpr int kBlockBytes = 16;  // their codes

inline constexpr float kE2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

// The code of element `col` of a row of blocks: even elements sit in the low nibble.
inline int e2m1_code(const uint8_t* blocks, int32_t col) { return blocks[col / 2] >> (col % 2 * 4) & 15; }

// 2^(scale - 127); a double holds all of them, 2^-127 and 2^128 too.
inline double e8m0_scale(uint8_t scale) { return std::bit_cast<double>(static_cast<uint64_t>(scale + 896) << 52); }

// The exact value as a float: subnormals are kept, too large becomes infinite. Half the scale is applied first because
// 2^128 is no float and 0 * infinity would be NaN.
inline float mxfp4_value(int code, uint8_t scale) {
  const uint32_t half = scale >= 2 ? (scale - 1u) << 23 : 0x00200000u << scale;
  return kE2m1[code] * std::bit_cast<float>(half) * 2.0f;
}

}  // namespace moesaic::reference
