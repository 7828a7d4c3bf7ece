// Sizes that keep what follows on a cache line of its own.
#pragma once

#include <cstdint>

namespace moesaic::reference {

inline int64_t round_up_64(int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace moesaic::reference
