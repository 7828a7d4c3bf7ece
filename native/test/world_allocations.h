// For tests in C++: counts what a process takes from the heap. The test program replaces operator new, for itself and for the
// kernel packages that it opens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../executor.h"

namespace moesaic::test {

struct Allocations {
  int64_t count = 0;
  int64_t bytes = 0;  // in all, whatever was freed meanwhile
};

// Since the process began, by all threads.
Allocations allocations();

// Counts while `engine` runs steps from number `first_step` on; null: nothing any more. What was counted stays.
void watch_steps(const Executor* engine, int64_t first_step);
Allocations allocations_of_steps();

}  // namespace moesaic::test
