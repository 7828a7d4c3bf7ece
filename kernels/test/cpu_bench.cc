// Speed of the cpu package at the shapes of gpt-oss-20b and of the demo model, beside what the machine can do:
//   moesaic_kernel_tests LIBDIR --bench
// Each line: median of several runs (lowest to highest) | what that is of the measured ceiling | shape.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include <sys/mman.h>

#include "cpu_isa.h"

using namespace moesaic::test;

namespace {

constexpr int32_t kThreads = 2;

using RangeFn = void (*)(void* arg, int64_t begin, int64_t end, int32_t thread);

// A stream whose threads spin between loops, as those of a busy engine do: the harness's start anew for every loop.
class SpinningStream {
 public:
  SpinningStream() : stream_{sizeof(mk_cpu_stream), kThreads, this, parallel_for} {
    for (int32_t thread = 1; thread < kThreads; ++thread) threads_.emplace_back([this, thread] { work(thread); });
  }
  ~SpinningStream() {
    loop_ = {nullptr, nullptr, 0, 1};
    begin_loop();
    for (std::thread& thread : threads_) thread.join();
  }
  mk_stream get() const { return &stream_; }

 private:
  struct Loop {
    RangeFn fn;
    void* arg;
    int64_t count, length;
  };

  static void parallel_for(void* pool, int64_t count, int64_t grain, RangeFn fn, void* arg) {
    SpinningStream& self = *static_cast<SpinningStream*>(pool);
    if (count <= grain) return fn(arg, 0, count, 0);
    self.loop_ = {fn, arg, count, std::max(grain, (count + 8 * kThreads - 1) / (8 * kThreads))};
    self.begin_loop();
    self.take_ranges(0);
    while (self.num_working_.load() > 0) {
    }
  }
  void begin_loop() {
    next_ = 0;
    num_working_ = kThreads - 1;
    ++generation_;
  }
  void take_ranges(int32_t thread) {
    for (int64_t begin = next_.fetch_add(loop_.length); begin < loop_.count; begin = next_.fetch_add(loop_.length)) {
      loop_.fn(loop_.arg, begin, std::min(loop_.count, begin + loop_.length), thread);
    }
  }
  void work(int32_t thread) {
    for (int64_t seen = 0;; ++seen) {
      while (generation_.load() == seen) {
      }
      if (loop_.fn == nullptr) return;
      take_ranges(thread);
      --num_working_;
    }
  }

  mk_cpu_stream stream_;
  Loop loop_{};
  std::atomic<int64_t> next_{0}, generation_{0};
  std::atomic<int32_t> num_working_{0};
  std::vector<std::thread> threads_;
};

SpinningStream& stream() {
  static SpinningStream shared;
  return shared;
}

struct Time {
  double median, lowest, highest;  // seconds
};

template <class Fn>
Time time_of(int repeats, const Fn& fn) {
  fn();
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    fn();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), seconds.back()};
}

// Weights as the engine holds them, on huge pages where the system gives them. Kept until the end.
void* weights_memory(int64_t bytes, uint8_t fill) {
  void* memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(memory != MAP_FAILED, "no memory for %lld bytes", static_cast<long long>(bytes));
  madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  std::memset(memory, fill, static_cast<size_t>(bytes));
  return memory;
}

// ---- ceilings ----------------------------------------------------------------------------------------------------------

template <class Body>
void in_parallel(int64_t count, const Body& body) {
  const auto* pool = static_cast<const mk_cpu_stream*>(stream().get());
  const auto range = [](void* arg, int64_t begin, int64_t end, int32_t) {
    (*static_cast<const Body*>(arg))(begin, end);
  };
  pool->parallel_for(pool->pool, count, 1, range, const_cast<Body*>(&body));
}

volatile uint64_t sink;

// Bytes per second of reading 512 MB from memory on all threads.
double read_bandwidth() {
  constexpr int64_t kBytes = int64_t{512} << 20;
  static const void* memory = weights_memory(kBytes, 1);
  const auto* words = static_cast<const uint64_t*>(memory);
  const Time time = time_of(5, [&] {
    in_parallel(64, [&](int64_t begin, int64_t end) {
      uint64_t sums[8] = {};
      for (int64_t i = begin * kBytes / 512; i < end * kBytes / 512; i += 8) {
        for (int64_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
      }
      for (const uint64_t sum : sums) sink = sum;
    });
  });
  return static_cast<double>(kBytes) / time.median;
}

// ---- report ------------------------------------------------------------------------------------------------------------

void report_bytes(const std::string& what, const Time& time, double bytes) {
  const double ceiling = read_bandwidth();  // read beside each figure: it moves on shared machines
  std::printf("%-58s %9.3f ms (%.3f to %.3f) | %6.1f GB/s, %.0f %% of the %.1f GB/s read\n", what.c_str(),
              1e3 * time.median, 1e3 * time.lowest, 1e3 * time.highest, bytes / time.median / 1e9,
              100 * bytes / time.median / ceiling, ceiling / 1e9);
}

void report_flops(const std::string& what, const Time& time, double flops) {
  std::printf("%-58s %9.3f ms (%.3f to %.3f) | %6.1f GFLOP/s\n", what.c_str(), 1e3 * time.median, 1e3 * time.lowest,
              1e3 * time.highest, flops / time.median / 1e9);
}

// A kernel with its workspace, launched on the spinning stream.
template <class Args>
class Launcher {
 public:
  Launcher(const Runner& runner, const Args& args) : kernel_(runner.kernel(args)), workspace_(bytes(runner, args)) {}
  const mk_kernel& kernel() const { return kernel_; }
  void launch(const Args& args) const {
    const void* part = &args;
    mk_error error{};
    const mk_status status = kernel_.launch(&part, 1, workspace_.data(), nullptr, stream().get(), &error);
    expect(status == MK_OK, "%s: %s", kernel_.name, error.message);
  }

 private:
  int64_t bytes(const Runner& runner, const Args& args) const {
    const mk_op_instance part{op_of<Args>(), &args};
    return kernel_.workspace_bytes == nullptr ? 0 : kernel_.workspace_bytes(&runner.device(), &part, 1);
  }
  const mk_kernel& kernel_;
  Memory workspace_;
};

const char* name_of(uint32_t features) { return (features & MK_CPU_AVX512) != 0 ? "AVX-512" : "AVX2"; }

// Packed weights of any value take the same time: no need to make 1 GB of random numbers and pack it.
mk_weight constant_weight(const void* memory, const Matrix& shape) {
  mk_weight weight = shape.shape();
  weight.data = memory;
  return weight;
}
int64_t bytes_of(const mk_kernel& kernel, mk_weight_slot slot, const Matrix& shape) {
  const mk_weight_desc desc = shape.desc(slot);
  return kernel.packing->packed_bytes(&desc);
}

void bench_linear(int32_t rows, int32_t cols, const std::vector<int32_t>& tokens) {
  const Matrix shape{MK_BF16, MK_BF16, 1, rows, cols, {}, {}, {}};
  for (const uint32_t features : instruction_sets()) {
    const Runner runner("cpu", kThreads, features);
    for (const int32_t count : tokens) {
      Random random(1);
      const Tensor<float> x = random_tensor(random, count, cols), out(count, rows);
      mk_linear_args args{sizeof(args), x.view(), shape.shape(), no_vector(), out.view(), 0};
      const Launcher<mk_linear_args> launcher(runner, args);
      const int64_t bytes = bytes_of(launcher.kernel(), MK_SLOT_WEIGHT, shape);
      static const void* weights = weights_memory(int64_t{201088} * 2880 * 2, 0x3C);  // as large as any
      args.weight = constant_weight(weights, shape);
      const Time time = time_of(count <= 16 ? 9 : 3, [&] { launcher.launch(args); });
      const std::string what = text("linear (%d, %d) bf16, %d rows, %s", rows, cols, count, name_of(features));
      if (count <= 8) report_bytes(what, time, static_cast<double>(bytes));
      if (count > 1) report_flops(what, time, 2.0 * rows * cols * count);
    }
  }
}

void bench_experts(int32_t num_experts, int32_t hidden, int32_t intermediate, int32_t per_token,
                   const std::vector<int32_t>& tokens) {
  const Matrix gate_up{MK_MXFP4, MK_MXFP4, num_experts, 2 * intermediate, hidden, {}, {}, {}};
  const Matrix down{MK_MXFP4, MK_MXFP4, num_experts, hidden, intermediate, {}, {}, {}};
  const Tensor<float> gate_up_bias(num_experts, 2 * intermediate), down_bias(num_experts, hidden);
  for (const uint32_t features : instruction_sets()) {
    const Runner runner("cpu", kThreads, features);
    for (const int32_t count : tokens) {
      Random random(1);
      const Tensor<float> x = random_tensor(random, count, hidden), out(count, per_token * hidden);
      const Tensor<int32_t> ids(count, per_token);
      const std::vector<int32_t> local = local_experts(num_experts, 0, num_experts);
      mk_experts_args args{sizeof(args),
                           x.view(),
                           ids.view(),
                           gate_up.shape(),
                           gate_up_bias.vector(),
                           down.shape(),
                           down_bias.vector(),
                           out.view(),
                           local.data(),
                           num_experts,
                           1.702f,
                           7};
      const Launcher<mk_experts_args> launcher(runner, args);
      static const void* weights = weights_memory(int64_t{512} << 20, 0x7B);  // as large as any
      const int64_t gate_up_bytes = bytes_of(launcher.kernel(), MK_SLOT_GATE_UP, gate_up);
      args.gate_up = constant_weight(weights, gate_up);
      args.down = constant_weight(static_cast<const char*>(weights) + gate_up_bytes, down);
      // Other experts every time, so that few tokens find their experts in memory and not in cache.
      int32_t first = 0, num_hit = std::min(num_experts, count * per_token);
      const Time time = time_of(count <= 16 ? 15 : 3, [&] {
        for (size_t i = 0; i < ids.size(); ++i) ids.data()[i] = (first + static_cast<int32_t>(i)) % num_experts;
        first += per_token;
        launcher.launch(args);
      });
      const double weights_per_expert = 3.0 * hidden * intermediate;
      const std::string what = text("experts %d of %d (%d, %d) MXFP4, %d rows, %s", per_token, num_experts, hidden,
                                    intermediate, count, name_of(features));
      if (count <= 8) report_bytes(what, time, num_hit * weights_per_expert * (17.0 / 32));
      if (count > 1) report_flops(what, time, 2 * weights_per_expert * count * per_token);
    }
  }
}

// `count` last tokens of a sequence of `length`.
void bench_attention(int32_t heads, int32_t kv_heads, int32_t length, int32_t count, int32_t window) {
  for (const uint32_t features : instruction_sets()) {
    const Runner runner("cpu", kThreads, features);
    Random random(1);
    const KvArrays kv(random, 1, length, 16, kv_heads, 64);
    const StepArrays step({{0, length - count, std::vector<int32_t>(static_cast<size_t>(count))}}, length);
    const Tensor<float> qkv = random_tensor(random, count, (heads + 2 * kv_heads) * 64), out(count, heads * 64),
                        sinks(1, heads);
    const mk_attention_args args{sizeof(args), step.view(), qkv.view(), sinks.vector(), kv.view(),
                                 out.view(),   heads,       window,     0.125f};
    const Launcher<mk_attention_args> launcher(runner, args);
    const Time time = time_of(5, [&] { launcher.launch(args); });
    double keys = 0;
    for (const int32_t position : step.positions) keys += window == 0 ? position + 1 : std::min(position + 1, window);
    const std::string what = text("attention %d/%d heads of 64, %d of %d, window %d, %s", heads, kv_heads, count,
                                  length, window, name_of(features));
    if (count == 1) report_bytes(what, time, keys * kv_heads * 64 * 8);
    report_flops(what, time, 4 * keys * heads * 64);
  }
}

}  // namespace

MOESAIC_BENCH("cpu linear: the head of gpt-oss-20b") { bench_linear(201088, 2880, {1, 4}); }
MOESAIC_BENCH("cpu linear: qkv of gpt-oss-20b") { bench_linear(5120, 2880, {1, 8, 64, 512}); }
MOESAIC_BENCH("cpu experts: gpt-oss-20b") { bench_experts(32, 2880, 2880, 4, {1, 2, 8, 64, 512}); }
MOESAIC_BENCH("cpu experts: the demo model") { bench_experts(16, 192, 256, 4, {1, 8, 512}); }
MOESAIC_BENCH("cpu attention: decode") {
  bench_attention(64, 8, 8192, 1, 0);
  bench_attention(8, 4, 16384, 1, 0);
}
MOESAIC_BENCH("cpu attention: prefill") {
  bench_attention(64, 8, 2048, 512, 0);
  bench_attention(8, 4, 16384, 2048, 0);
  bench_attention(8, 4, 16384, 2048, 64);
}
