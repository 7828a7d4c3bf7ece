#include "harness.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

namespace moesaic::test {

namespace {

constexpr size_t kCanaryBytes = 64;
constexpr uint8_t kCanary = 0xC3;

std::string format_text(const char* format, va_list values) {
  char buffer[512];
  std::vsnprintf(buffer, sizeof(buffer), format, values);
  return buffer;
}

size_t padded(int64_t bytes) { return (static_cast<size_t>(bytes) + kCanaryBytes + 63) / 64 * 64; }

}  // namespace

std::string text(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::string result = format_text(format, values);
  va_end(values);
  return result;
}

void fail(const char* format, ...) {
  va_list values;
  va_start(values, format);
  Failure failure{format_text(format, values)};
  va_end(values);
  throw failure;
}

void expect(bool holds, const char* format, ...) {
  if (holds) return;
  va_list values;
  va_start(values, format);
  Failure failure{format_text(format, values)};
  va_end(values);
  throw failure;
}

bool passes(const char* name, const std::function<void()>& run) {
  try {
    run();
    std::printf("ok %s\n", name);
    return true;
  } catch (const Failure& failure) {
    std::printf("not ok %s: %s\n", name, failure.message.c_str());
    return false;
  }
}

// ---- machine --------------------------------------------------------------------------------------------------------

namespace {

std::string library_folder;

const mk_package* open_package(const char* name) {
  const std::string path = library_folder + "/libmoesaic_kernels_" + name + ".so";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail("%s", dlerror());
  const auto get_package = reinterpret_cast<mk_get_package_fn>(dlsym(library, "mk_get_package"));
  if (get_package == nullptr) fail("%s has no mk_get_package", path.c_str());
  const mk_package* package = get_package(MK_ABI_VERSION);
  if (package == nullptr) fail("%s does not serve ABI version %u", path.c_str(), MK_ABI_VERSION);
  return package;
}

}  // namespace

void take_packages_from(const char* folder) { library_folder = folder; }

// Libraries stay open: kernels are used until the program ends.
const mk_package& package(const char* name) {
  static std::map<std::string, const mk_package*> packages;
  const mk_package*& opened = packages[name];
  if (opened == nullptr) opened = open_package(name);
  return *opened;
}

uint32_t host_features() {
  uint32_t features = 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) features |= MK_CPU_AVX2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    features |= MK_CPU_AVX512;
  }
  if (__builtin_cpu_supports("avx512vnni")) features |= MK_CPU_AVX512_VNNI;
  if (__builtin_cpu_supports("avx512bf16")) features |= MK_CPU_AVX512_BF16;
#endif
  return features;
}

Stream::Stream(int32_t num_threads, int64_t longest_range)
    : stream_{sizeof(mk_cpu_stream), num_threads, this, parallel_for}, longest_range_(longest_range) {}

// Threads take the next range when they are done with one, so that the split differs from run to run.
void Stream::parallel_for(void* pool, int64_t count, int64_t grain, void (*fn)(void*, int64_t, int64_t, int32_t),
                          void* arg) {
  const Stream& self = *static_cast<const Stream*>(pool);
  const int32_t num_threads = self.num_threads();
  const int64_t share = std::max(grain, (count + 4 * num_threads - 1) / (4 * num_threads));
  const int64_t length = std::max(grain, std::min(share, self.longest_range_));
  std::atomic<int64_t> next{0};
  const auto work = [&](int32_t thread) {
    for (int64_t begin = next.fetch_add(length); begin < count; begin = next.fetch_add(length)) {
      fn(arg, begin, std::min(count, begin + length), thread);
    }
  };
  std::vector<std::thread> threads;
  for (int32_t thread = 1; thread < num_threads && length < count; ++thread) threads.emplace_back(work, thread);
  work(0);
  for (std::thread& thread : threads) thread.join();
}

// ---- memory ---------------------------------------------------------------------------------------------------------

Memory::Memory(int64_t bytes, uint8_t fill) : bytes_(bytes), data_(std::aligned_alloc(64, padded(bytes))) {
  if (data_ == nullptr) fail("no memory for %lld bytes", static_cast<long long>(bytes));
  std::memset(data_.get(), fill, static_cast<size_t>(bytes));
  std::memset(static_cast<char*>(data_.get()) + bytes, kCanary, padded(bytes) - static_cast<size_t>(bytes));
}

Memory::~Memory() {
  if (data_ == nullptr) return;
  const auto* canary = static_cast<const uint8_t*>(data_.get()) + bytes_;
  for (size_t i = 0; i < kCanaryBytes; ++i) {
    if (canary[i] == kCanary) continue;
    std::fprintf(stderr, "a kernel wrote %zu bytes past a buffer of %lld bytes\n", i + 1,
                 static_cast<long long>(bytes_));
    std::abort();
  }
}

void Memory::Free::operator()(void* data) const { std::free(data); }

// ---- seeded data ----------------------------------------------------------------------------------------------------

// splitmix64
uint64_t Random::bits() {
  uint64_t z = state_ += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

int32_t Random::integer(int32_t low, int32_t high) {
  return low + static_cast<int32_t>(bits() % static_cast<uint64_t>(int64_t{high} - low + 1));
}

float Random::uniform(float low, float high) {
  return low + (high - low) * static_cast<float>(bits() >> 40) / static_cast<float>(1 << 24);
}

float Random::normal() {
  const double u = (static_cast<double>(bits() >> 11) + 0.5) / 9007199254740992.0;
  const double v = static_cast<double>(bits() >> 11) / 9007199254740992.0;
  return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v));
}

Tensor<float> random_tensor(Random& random, int32_t rows, int32_t cols, float gain) {
  Tensor<float> tensor(rows, cols);
  for (size_t i = 0; i < tensor.size(); ++i) tensor.data()[i] = gain * random.normal();
  return tensor;
}

// ---- weights --------------------------------------------------------------------------------------------------------

uint16_t to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

float decode_mxfp4(int code, uint8_t scale) {
  static constexpr float kValues[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  const float magnitude = std::ldexp(kValues[code & 7], scale - 127);
  return (code & 8) == 0 ? magnitude : -magnitude;
}

mk_weight_desc Matrix::desc(mk_weight_slot slot) const {
  return {sizeof(mk_weight_desc), slot, source_dtype, stored_dtype, num_experts, rows, cols};
}

float Matrix::at(int32_t expert, int32_t row, int32_t col) const {
  const size_t index =
      (static_cast<size_t>(expert) * static_cast<size_t>(rows) + static_cast<size_t>(row)) * static_cast<size_t>(cols) +
      static_cast<size_t>(col);
  if (source_dtype == MK_BF16) return from_bf16(values[index]);
  return decode_mxfp4(blocks[index / 2] >> (index % 2 * 4) & 15, scales[index / 32]);
}

Matrix random_bf16_matrix(Random& random, int32_t num_experts, int32_t rows, int32_t cols) {
  Matrix matrix{MK_BF16, MK_BF16, num_experts, rows, cols, {}, {}, {}};
  const float gain = 1 / std::sqrt(static_cast<float>(cols));
  matrix.values.resize(static_cast<size_t>(num_experts) * static_cast<size_t>(rows) * static_cast<size_t>(cols));
  for (uint16_t& value : matrix.values) value = to_bf16(gain * random.uniform(-1.7f, 1.7f));
  return matrix;
}

// Codes have a mean square of 7.6, so that scales around 2^-1.5 / sqrt(cols) give about unit gain.
Matrix random_mxfp4_matrix(Random& random, int32_t num_experts, int32_t rows, int32_t cols, mk_dtype stored_dtype) {
  Matrix matrix{MK_MXFP4, stored_dtype, num_experts, rows, cols, {}, {}, {}};
  const size_t size = static_cast<size_t>(num_experts) * static_cast<size_t>(rows) * static_cast<size_t>(cols);
  const auto middle = static_cast<int32_t>(std::lround(127 - 1.5 - std::log2(cols) / 2));
  matrix.blocks.resize(size / 2);
  matrix.scales.resize(size / 32);
  for (uint8_t& byte : matrix.blocks) byte = static_cast<uint8_t>(random.bits());
  for (uint8_t& scale : matrix.scales) scale = static_cast<uint8_t>(middle + random.integer(-2, 1));
  return matrix;
}

Matrix bf16_matrix(int32_t rows, int32_t cols, const std::vector<float>& values) {
  Matrix matrix{MK_BF16, MK_BF16, 1, rows, cols, {}, {}, {}};
  for (const float value : values) matrix.values.push_back(to_bf16(value));
  return matrix;
}

namespace {

int64_t packed_bytes(const mk_kernel& kernel, mk_weight_slot slot, const Matrix& matrix) {
  if (kernel.packing == nullptr) fail("%s has no packing", kernel.name);
  const mk_weight_desc desc = matrix.desc(slot);
  const int64_t bytes = kernel.packing->packed_bytes(&desc);
  expect(bytes > 0 && bytes % 64 == 0, "%s packs (%d, %d, %d) into %lld bytes", kernel.name, matrix.num_experts,
         matrix.rows, matrix.cols, static_cast<long long>(bytes));
  return bytes;
}

void pack_piece(const mk_packing& packing, const Matrix& matrix, mk_weight_slot slot, int32_t expert, int32_t begin,
                int32_t end, void* dst) {
  const mk_weight_desc desc = matrix.desc(slot);
  const size_t first = (static_cast<size_t>(expert) * static_cast<size_t>(matrix.rows) + static_cast<size_t>(begin)) *
                       static_cast<size_t>(matrix.cols);
  const bool is_bf16 = matrix.source_dtype == MK_BF16;
  mk_pack_args args{sizeof(mk_pack_args), &desc, expert, begin, end, nullptr, nullptr, dst};
  args.src = is_bf16 ? static_cast<const void*>(matrix.values.data() + first) : matrix.blocks.data() + first / 2;
  args.src_scales = is_bf16 ? nullptr : matrix.scales.data() + first / 32;
  const Stream stream(1);
  mk_error error{};
  const mk_status status = packing.pack(&args, stream.get(), &error);
  expect(status == MK_OK, "pack failed with status %d: %s", status, error.message);
}

}  // namespace

PackedMatrix::PackedMatrix(const mk_kernel& kernel, mk_weight_slot slot, const Matrix& matrix)
    : memory_(packed_bytes(kernel, slot, matrix)), weight_(matrix.shape()) {
  weight_.data = memory_.data();
  const int64_t piece = int64_t{7} * kernel.packing->row_granule;
  for (int32_t expert = matrix.num_experts - 1; expert >= 0; --expert) {
    for (int64_t begin = (matrix.rows - 1) / piece * piece; begin >= 0; begin -= piece) {
      const int64_t end = std::min<int64_t>(matrix.rows, begin + piece);
      pack_piece(*kernel.packing, matrix, slot, expert, static_cast<int32_t>(begin), static_cast<int32_t>(end),
                 memory_.data());
    }
  }
}

// ---- steps and KV ---------------------------------------------------------------------------------------------------

StepArrays::StepArrays(const std::vector<StepSeq>& seqs, int32_t max_seq_len)
    : num_tokens_(0), num_seqs_(static_cast<int32_t>(seqs.size())), longest_query_(0), longest_seq_(0) {
  for (const StepSeq& seq : seqs) {
    query_starts.push_back(num_tokens_);
    seq_rows.push_back(seq.row);
    seq_lens.push_back(seq.first_position + static_cast<int32_t>(seq.token_ids.size()));
    longest_query_ = std::max(longest_query_, static_cast<int32_t>(seq.token_ids.size()));
    longest_seq_ = std::max(longest_seq_, seq_lens.back());
    for (const int32_t id : seq.token_ids) {
      positions.push_back(seq.first_position + num_tokens_ - query_starts.back());
      token_seqs.push_back(static_cast<int32_t>(seq_rows.size()) - 1);
      token_ids.push_back(id);
      ++num_tokens_;
    }
  }
  query_starts.push_back(num_tokens_);
  view_ = {sizeof(mk_step),   &num_tokens_,    &num_seqs_,          token_ids.data(), positions.data(),
           token_seqs.data(), seq_rows.data(), query_starts.data(), seq_lens.data(),  num_tokens_,
           num_seqs_,         max_seq_len,     &num_tokens_,        &num_seqs_,       &longest_query_,
           &longest_seq_};
}

KvArrays::KvArrays(Random& random, int32_t max_rows, int32_t max_seq_len, int32_t block_size, int32_t num_kv_heads,
                   int32_t head_dim)
    : k((1 + max_rows * ((max_seq_len + block_size - 1) / block_size)) * num_kv_heads * block_size, head_dim),
      v(k.rows(), head_dim),
      max_blocks_((max_seq_len + block_size - 1) / block_size),
      num_blocks_(1 + max_rows * max_blocks_),
      block_size_(block_size),
      num_kv_heads_(num_kv_heads),
      head_dim_(head_dim) {
  for (int32_t block = 1; block < num_blocks_; ++block) table.push_back(block);
  for (size_t i = table.size(); i > 1; --i) std::swap(table[i - 1], table[random.bits() % i]);
}

mk_kv KvArrays::view() const {
  return {k.data(), v.data(), MK_F32, table.data(), max_blocks_, num_blocks_, block_size_, num_kv_heads_, head_dim_};
}

int64_t KvArrays::slot(int32_t row, int32_t position, int32_t kv_head) const {
  const int64_t block = table[static_cast<size_t>(row * max_blocks_ + position / block_size_)];
  return ((block * num_kv_heads_ + kv_head) * block_size_ + position % block_size_) * head_dim_;
}

void KvArrays::fill(Random& random) {
  for (size_t i = 0; i < k.size(); ++i) {
    k.data()[i] = random.normal();
    v.data()[i] = random.normal();
  }
}

// ---- experts --------------------------------------------------------------------------------------------------------

std::vector<int32_t> local_experts(int32_t num_global, int32_t first, int32_t count) {
  std::vector<int32_t> map(static_cast<size_t>(num_global), -1);
  for (int32_t local = 0; local < count; ++local) map[static_cast<size_t>(first + local)] = local;
  return map;
}

// ---- running --------------------------------------------------------------------------------------------------------

Runner::Runner(const char* package_name, int32_t num_threads, uint32_t cpu_features, int64_t longest_range)
    : package_(package(package_name)),
      device_{sizeof(mk_device), MK_DEVICE_CPU, cpu_features, 0, num_threads, 0, MK_EXACT, 0},
      stream_(num_threads, longest_range) {}

const mk_kernel* Runner::find_kernel(const std::vector<mk_op_instance>& parts) const {
  for (int32_t i = 0; i < package_.num_kernels; ++i) {
    const mk_kernel& kernel = *package_.kernels[i];
    const auto num_parts = static_cast<int32_t>(parts.size());
    const auto same_op = [](mk_op op, const mk_op_instance& part) { return op == part.op; };
    const bool same =
        kernel.num_ops == num_parts && std::equal(kernel.ops, kernel.ops + num_parts, parts.begin(), same_op);
    if (same && kernel.supports(&device_, parts.data(), num_parts) == 1) return &kernel;
  }
  return nullptr;
}

mk_status Runner::launch_kernel(const mk_kernel& kernel, const std::vector<mk_op_instance>& parts,
                                mk_error* error) const {
  const auto num_parts = static_cast<int32_t>(parts.size());
  const auto bytes = [&](int64_t (*count)(const mk_device*, const mk_op_instance*, int32_t)) {
    return count == nullptr ? 0 : count(&device_, parts.data(), num_parts);
  };
  const Memory workspace(bytes(kernel.workspace_bytes), 0xA5), scratch(bytes(kernel.scratch_bytes));
  std::vector<const void*> args;
  for (const mk_op_instance& part : parts) args.push_back(part.args);
  return kernel.launch(args.data(), num_parts, workspace.data(), scratch.data(), stream_.get(), error);
}

// ---- comparison -----------------------------------------------------------------------------------------------------

void expect_close(const char* name, const Tensor<float>& got, const Tensor<float>& want, double absolute,
                  double relative) {
  expect(got.rows() == want.rows() && got.cols() == want.cols(), "%s is (%d, %d), want (%d, %d)", name, got.rows(),
         got.cols(), want.rows(), want.cols());
  for (int32_t r = 0; r < want.rows(); ++r) {
    for (int32_t c = 0; c < want.cols(); ++c) {
      const double g = got.at(r, c), w = want.at(r, c);
      const bool close =
          std::isnan(w) ? std::isnan(g) : g == w || std::fabs(g - w) <= absolute + relative * std::fabs(w);
      expect(close, "%s[%d, %d] is %.9g, want %.9g (off by %.3g)", name, r, c, g, w, g - w);
    }
  }
}

void expect_rows_close(const char* name, const Tensor<float>& got, const Tensor<float>& want, double relative) {
  expect(got.rows() == want.rows() && got.cols() == want.cols(), "%s is (%d, %d), want (%d, %d)", name, got.rows(),
         got.cols(), want.rows(), want.cols());
  for (int32_t r = 0; r < want.rows(); ++r) {
    double error = 0, norm = 0;
    for (int32_t c = 0; c < want.cols(); ++c) {
      const double difference = static_cast<double>(got.at(r, c)) - static_cast<double>(want.at(r, c));
      error += difference * difference;
      norm += static_cast<double>(want.at(r, c)) * static_cast<double>(want.at(r, c));
    }
    expect(std::sqrt(error) <= relative * std::sqrt(norm), "%s row %d is off by %.3g of its length, want %.3g", name, r,
           std::sqrt(error / norm), relative);
  }
}

}  // namespace moesaic::test
