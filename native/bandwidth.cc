// The ceiling of memory-bound kernels, measured the way they run: the pool's threads, each walking several rows.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "device.h"
#include "thread_pool.h"

namespace moesaic {
namespace {

// Memory-bound kernels walk several rows at once; one walk alone does not keep enough cache lines in flight.
constexpr int64_t kStreams = 4;
constexpr int64_t kLineBytes = 64;
constexpr int64_t kStripeBytes = 256 << 10;  // what a thread takes at once: kStreams walks of 64 KiB

// Reads one stripe and returns a value that depends on every byte of it, so that no load can be left out.
using ReadStripe = uint64_t (*)(const std::byte* stripe);

constexpr int64_t kWalkBytes = kStripeBytes / kStreams;

uint64_t read_stripe_scalar(const std::byte* stripe) {
  constexpr int64_t kWordsPerLine = kLineBytes / sizeof(uint64_t);
  std::array<uint64_t, kWordsPerLine> sums{};
  for (int64_t offset = 0; offset < kWalkBytes; offset += kLineBytes) {
    for (int64_t walk = 0; walk < kStreams; ++walk) {
      std::array<uint64_t, kWordsPerLine> line;
      std::memcpy(line.data(), stripe + walk * kWalkBytes + offset, sizeof(line));
      for (int64_t i = 0; i < kWordsPerLine; ++i) sums[i] ^= line[i];
    }
  }
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum ^= part;
  return sum;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) uint64_t read_stripe_avx2(const std::byte* stripe) {
  __m256i sums[kStreams] = {};
  for (int64_t offset = 0; offset < kWalkBytes; offset += kLineBytes) {
    for (int64_t walk = 0; walk < kStreams; ++walk) {
      const auto* line = reinterpret_cast<const __m256i*>(stripe + walk * kWalkBytes + offset);
      sums[walk] = _mm256_xor_si256(sums[walk], _mm256_xor_si256(_mm256_load_si256(line), _mm256_load_si256(line + 1)));
    }
  }
  alignas(32) std::array<uint64_t, 4> words{};
  for (const __m256i& sum : sums) {
    auto* out = reinterpret_cast<__m256i*>(words.data());
    _mm256_store_si256(out, _mm256_xor_si256(_mm256_load_si256(out), sum));
  }
  return words[0] ^ words[1] ^ words[2] ^ words[3];
}

__attribute__((target("avx512f"))) uint64_t read_stripe_avx512(const std::byte* stripe) {
  __m512i sums[kStreams] = {};
  for (int64_t offset = 0; offset < kWalkBytes; offset += kLineBytes) {
    for (int64_t walk = 0; walk < kStreams; ++walk) {
      sums[walk] = _mm512_xor_si512(sums[walk], _mm512_load_si512(stripe + walk * kWalkBytes + offset));
    }
  }
  alignas(64) std::array<uint64_t, 8> words{};
  for (const __m512i& sum : sums) {
    _mm512_store_si512(words.data(), _mm512_xor_si512(_mm512_load_si512(words.data()), sum));
  }
  uint64_t result = 0;
  for (const uint64_t word : words) result ^= word;
  return result;
}

#endif

ReadStripe choose_read_stripe([[maybe_unused]] uint32_t features) {
#if defined(__x86_64__)
  if (features & MK_CPU_AVX512) return read_stripe_avx512;
  if (features & MK_CPU_AVX2) return read_stripe_avx2;
#endif
  return read_stripe_scalar;
}

// Anonymous memory, in huge pages where the machine gives them: page walks are not what is measured.
class Mapping {
 public:
  explicit Mapping(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
    data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ != MAP_FAILED) madvise(data_, bytes_, MADV_HUGEPAGE);
  }
  ~Mapping() {
    if (data_ != MAP_FAILED) munmap(data_, bytes_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::byte* data() const { return data_ == MAP_FAILED ? nullptr : static_cast<std::byte*>(data_); }

 private:
  size_t bytes_;
  void* data_;
};

struct ReadPass {
  std::byte* data;
  ReadStripe read;
  std::atomic<uint64_t> sink{0};
};

void touch_stripes(void* arg, int64_t begin, int64_t end, int32_t) {
  const auto& pass = *static_cast<ReadPass*>(arg);
  std::memset(pass.data + begin * kStripeBytes, 1, (end - begin) * kStripeBytes);
}

void read_stripes(void* arg, int64_t begin, int64_t end, int32_t) {
  auto& pass = *static_cast<ReadPass*>(arg);
  uint64_t sum = 0;
  for (int64_t stripe = begin; stripe < end; ++stripe) sum ^= pass.read(pass.data + stripe * kStripeBytes);
  pass.sink.fetch_xor(sum, std::memory_order_relaxed);
}

}  // namespace

double measure_read_bandwidth(int32_t num_threads, int64_t bytes, int32_t repeats) {
  // More than the limit could be mapped, but touching it would end the process.
  const int64_t num_stripes = std::max<int64_t>(bytes / kStripeBytes, 1);
  const DeviceInfo device = probe_device();
  if (num_stripes > device.memory_bytes / kStripeBytes) return 0;
  const Mapping mapping(num_stripes * kStripeBytes);
  if (mapping.data() == nullptr) return 0;

  const ThreadPool pool(num_threads);
  const mk_cpu_stream& stream = *pool.stream();
  ReadPass pass{mapping.data(), choose_read_stripe(device.cpu_features)};
  stream.parallel_for(stream.pool, num_stripes, 1, touch_stripes, &pass);

  double best_seconds = std::numeric_limits<double>::infinity();
  for (int32_t repeat = 0; repeat < std::max(repeats, 1); ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    stream.parallel_for(stream.pool, num_stripes, 1, read_stripes, &pass);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    best_seconds = std::min(best_seconds, elapsed.count());
  }
  return static_cast<double>(num_stripes * kStripeBytes) / best_seconds;
}

}  // namespace moesaic
