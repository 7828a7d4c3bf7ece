// parallel: a loop over the stream's threads with a lambda for a body. For files without an instruction set in their name.
#pragma once

#include <stdint.h>

#include "moesaic/kernel.h"

namespace moesaic::cpu {

// Multiply-adds below which waking another thread costs more than it saves.
constexpr int64_t kMinThreadWork = 1 << 17;

// body(begin, end, thread) over [0, count). work_per_item: about how many multiply-adds an item is.
template <typename Body>
static void parallel(const mk_cpu_stream& stream, int64_t count, int64_t work_per_item, Body body) {
  if (count <= 0) return;
  const int64_t grain = work_per_item >= kMinThreadWork ? 1 : kMinThreadWork / (work_per_item < 1 ? 1 : work_per_item);
  stream.parallel_for(
      stream.pool, count, grain,
      [](void* arg, int64_t begin, int64_t end, int32_t thread) { (*static_cast<Body*>(arg))(begin, end, thread); },
      &body);
}

}  // namespace moesaic::cpu
