#include "world_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace moesaic::test {
namespace {

std::atomic<int64_t> total_count{0}, total_bytes{0};
std::atomic<int64_t> step_count{0}, step_bytes{0};
std::atomic<const Executor*> watched{nullptr};
std::atomic<int64_t> first_watched_step{0};

void count(size_t bytes) {
  total_count.fetch_add(1, std::memory_order_relaxed);
  total_bytes.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  const Executor* engine = watched.load();
  if (engine == nullptr || engine->progress().step_id < first_watched_step.load()) return;
  step_count.fetch_add(1, std::memory_order_relaxed);
  step_bytes.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
}

// Null when there is none.
void* take(size_t bytes, size_t alignment) {
  count(bytes);
  void* memory = nullptr;
  return ::posix_memalign(&memory, alignment, bytes == 0 ? 1 : bytes) == 0 ? memory : nullptr;
}

void* take_or_throw(size_t bytes, size_t alignment) {
  void* memory = take(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

Allocations allocations() { return {total_count.load(), total_bytes.load()}; }

void watch_steps(const Executor* engine, int64_t first_step) {
  first_watched_step = first_step;
  watched = engine;
}

Allocations allocations_of_steps() { return {step_count.load(), step_bytes.load()}; }

}  // namespace moesaic::test

void* operator new(size_t bytes) { return moesaic::test::take_or_throw(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return moesaic::test::take_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return moesaic::test::take(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return moesaic::test::take(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
