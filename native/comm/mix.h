// mix: folds a word into a 64-bit digest, for names and group keys. Spreads bits well; it is no cryptography.
#pragma once

#include <cstdint>

namespace moesaic {

constexpr uint64_t mix(uint64_t digest, uint64_t word) {
  uint64_t bits = (digest ^ word) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ (bits >> 31)) * 0x94d049bb133111ebu;
  return bits ^ (bits >> 29);
}

}  // namespace moesaic
