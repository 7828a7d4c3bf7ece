#include "thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "pause.h"

namespace moesaic {
namespace {

using Clock = std::chrono::steady_clock;
using RangeFn = void (*)(void* arg, int64_t begin, int64_t end, int32_t thread);

constexpr size_t kCacheLineBytes = 64;
constexpr int32_t kMaxThreads = 1024;
constexpr auto kSpinTime = std::chrono::microseconds(20);
constexpr int kPausesPerClockRead = 16;
// A few ranges per thread let a thread that the OS took away lose little, and ticks come often.
constexpr int64_t kRangesPerThread = 16;

// One loop over [0, count). Ranges begin at multiples of `grain`, so that rows in tiles of `grain` are never split.
struct Loop {
  RangeFn fn = nullptr;
  void* arg = nullptr;
  int64_t count = 0;
  int64_t grain = 1;
  int64_t num_ranges = 1;

  int64_t range_begin(int64_t range) const {
    if (range == num_ranges) return count;
    const int64_t num_grains = count / grain;
    const int64_t share = num_grains / num_ranges;
    const int64_t rest = num_grains % num_ranges;
    return (range * share + std::min(range, rest)) * grain;
  }
};

// The state of the loop in one word, so that a thread joins exactly the loop it saw: bits 0-15 count the threads inside
// besides the caller, bit 16 is set while threads may join, the bits above number the loops.
class Gate {
 public:
  static bool is_open(uint64_t word) { return (word & kOpen) != 0; }
  static uint64_t loop_of(uint64_t word) { return word >> kLoopShift; }
  static uint64_t num_inside(uint64_t word) { return word & kInsideMask; }

  uint64_t read() const { return word_.load(); }
  void open() { word_.store(((loop_of(word_.load(std::memory_order_relaxed)) + 1) << kLoopShift) | kOpen); }
  uint64_t close() { return word_.fetch_and(~kOpen) & ~kOpen; }
  bool join(uint64_t seen) { return word_.compare_exchange_strong(seen, seen + 1); }
  uint64_t leave() { return word_.fetch_sub(1) - 1; }

 private:
  static constexpr int kLoopShift = 17;
  static constexpr uint64_t kOpen = uint64_t{1} << 16;
  static constexpr uint64_t kInsideMask = kOpen - 1;
  std::atomic<uint64_t> word_{0};
};

// True as soon as `done` is; false when it was not within kSpinTime.
template <typename Done>
bool spin_until(const Done& done) {
  if (done()) return true;
  const auto deadline = Clock::now() + kSpinTime;
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      pause();
      if (done()) return true;
    }
  } while (Clock::now() < deadline);
  return false;
}

}  // namespace

// A loop: the caller fills `loop`, opens the gate, takes ranges like everybody else, closes the gate and waits for those
// inside. Threads that wake too late find the gate closed: a thread that the OS took away before it joined delays nobody.
struct ThreadPool::State {
  State(int32_t num_threads, std::atomic<uint64_t>* ticks);
  ~State();

  static void parallel_for(void* pool, int64_t count, int64_t grain, RangeFn fn, void* arg);
  void run_as_caller();
  void work(int32_t thread);
  bool wait_for_loop(uint64_t last_loop, uint64_t* word);
  void take_ranges(int32_t thread);
  void wake_threads();
  void pass_mutex();
  void wait_until_empty();

  mk_cpu_stream stream;
  std::atomic<uint64_t>* const ticks;
  Loop loop;  // written by the caller while the gate is closed and nobody is inside
  alignas(kCacheLineBytes) Gate gate;
  alignas(kCacheLineBytes) std::atomic<int64_t> next_range{0};
  alignas(kCacheLineBytes) std::atomic<int32_t> num_asleep{0};
  std::atomic<bool> caller_asleep{false};
  std::atomic<bool> stopping{false};
  std::mutex mutex;  // guards nothing but falling asleep: see pass_mutex
  std::condition_variable loop_opened;
  std::condition_variable loop_left;
  std::vector<std::thread> threads;
};

ThreadPool::ThreadPool(int32_t num_threads, std::atomic<uint64_t>* ticks)
    : state_(std::make_unique<State>(std::clamp(num_threads, 1, kMaxThreads), ticks)) {
  for (int32_t thread = 1; thread < state_->stream.num_threads; ++thread) {
    state_->threads.emplace_back([state = state_.get(), thread] { state->work(thread); });
  }
}

ThreadPool::~ThreadPool() = default;

const mk_cpu_stream* ThreadPool::stream() const { return &state_->stream; }

ThreadPool::State::State(int32_t num_threads, std::atomic<uint64_t>* ticks)
    : stream{sizeof(mk_cpu_stream), num_threads, this, &ThreadPool::State::parallel_for}, ticks(ticks) {}

// Also runs when the constructor of the pool could not start all its threads.
ThreadPool::State::~State() {
  stopping = true;
  wake_threads();
  for (std::thread& thread : threads) thread.join();
}

// Not to be called from inside fn: the threads are taken, and the loop's state would be overwritten.
void ThreadPool::State::parallel_for(void* pool, int64_t count, int64_t grain, RangeFn fn, void* arg) {
  State& state = *static_cast<State*>(pool);
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t num_ranges = std::min(count / grain, state.stream.num_threads * kRangesPerThread);
  if (num_ranges <= 1) return fn(arg, 0, count, 0);
  state.loop = Loop{fn, arg, count, grain, num_ranges};
  state.run_as_caller();
}

void ThreadPool::State::run_as_caller() {
  next_range.store(0, std::memory_order_relaxed);
  gate.open();
  if (num_asleep.load() > 0) wake_threads();
  take_ranges(0);
  if (Gate::num_inside(gate.close()) > 0) wait_until_empty();
}

void ThreadPool::State::work(int32_t thread) {
  uint64_t last_loop = 0;
  uint64_t word = 0;
  while (wait_for_loop(last_loop, &word)) {
    if (!gate.join(word)) continue;
    last_loop = Gate::loop_of(word);
    take_ranges(thread);
    const uint64_t left = gate.leave();
    if (Gate::is_open(left) || Gate::num_inside(left) > 0 || !caller_asleep.load()) continue;
    pass_mutex();
    loop_left.notify_one();
  }
}

// Spins, then sleeps, until a loop after `last_loop` can be joined; false when the pool is being destroyed.
bool ThreadPool::State::wait_for_loop(uint64_t last_loop, uint64_t* word) {
  const auto ready = [&] {
    *word = gate.read();
    return (Gate::is_open(*word) && Gate::loop_of(*word) != last_loop) || stopping.load();
  };
  if (!spin_until(ready)) {
    std::unique_lock lock(mutex);
    num_asleep.fetch_add(1);
    loop_opened.wait(lock, ready);
    num_asleep.fetch_sub(1);
  }
  return !stopping.load();
}

void ThreadPool::State::take_ranges(int32_t thread) {
  while (true) {
    const int64_t range = next_range.fetch_add(1, std::memory_order_relaxed);
    if (range >= loop.num_ranges) return;
    loop.fn(loop.arg, loop.range_begin(range), loop.range_begin(range + 1), thread);
    if (ticks != nullptr) ticks->fetch_add(1, std::memory_order_relaxed);
  }
}

void ThreadPool::State::wake_threads() {
  pass_mutex();
  loop_opened.notify_all();
}

// After this, whoever was about to sleep either sleeps, and will hear the notification, or has seen what changed.
void ThreadPool::State::pass_mutex() { const std::lock_guard lock(mutex); }

void ThreadPool::State::wait_until_empty() {
  const auto empty = [&] { return Gate::num_inside(gate.read()) == 0; };
  if (spin_until(empty)) return;
  std::unique_lock lock(mutex);
  caller_asleep = true;
  loop_left.wait(lock, empty);
  caller_asleep = false;
}

}  // namespace moesaic
