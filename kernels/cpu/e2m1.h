// e2m1: the numbers of MXFP4, one at a time. For files without an instruction set in their name.
//   Source: OCP Microscaling Formats (MX) v1.0; scale byte 255, NaN there, counts as 2^128, as gpt-oss' own decoders do.
#pragma once

#include <stdint.h>
#include <string.h>

namespace moesaic::cpu {

static inline float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

static inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// Twice the value of each code, and half the scale: 2^(byte - 128) is a finite float for every byte.
static inline float doubled_e2m1(int code) {
  static const float values[16] = {0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12};
  return values[code];
}
static inline float halved_scale(uint8_t byte) {
  return float_of_bits(byte < 2 ? 0x00200000u << byte : (byte - 1u) << 23);
}

// All sixteen values under one scale; exact, or infinite where float32 ends.
struct E2m1Values {
  float values[16];
};
static inline E2m1Values e2m1_values(uint8_t scale) {
  E2m1Values table;
  for (int code = 0; code < 16; ++code) table.values[code] = doubled_e2m1(code) * halved_scale(scale);
  return table;
}

}  // namespace moesaic::cpu
