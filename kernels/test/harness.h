// What a kernel test is made of: registration, seeded data, arguments of kernel.h with memory behind them, and
// comparison.
//   MOESAIC_TEST("cpu linear: one row and many give the same bits") { ... fail(...) ... }
// A test finds its kernel as the engine does (supports, then packing, then launch):
//   Runner runner("cpu");
//   Matrix matrix = random_bf16_matrix(random, 1, rows, cols);
//   mk_linear_args args{sizeof(args), x.view(), matrix.shape(), no_vector(), out.view(), 0};
//   const mk_kernel& kernel = runner.kernel(args);
//   PackedMatrix packed(kernel, MK_SLOT_WEIGHT, matrix);
//   args.weight = packed.weight();
//   runner.launch(kernel, args);
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "moesaic/kernel.h"

namespace moesaic::test {

// ---- tests ----------------------------------------------------------------------------------------------------------

struct Case {
  const char* name;
  void (*run)();
  bool is_bench;
};

// Registers at start-up; benches only run with --bench, tests only without.
struct Registration {
  Registration(const char* name, void (*run)(), bool is_bench);
};

#define MOESAIC_CASE_JOIN2(a, b) a##b
#define MOESAIC_CASE_JOIN(a, b) MOESAIC_CASE_JOIN2(a, b)
#define MOESAIC_CASE(name, is_bench)                                                   \
  static void MOESAIC_CASE_JOIN(case_, __LINE__)();                                    \
  static const moesaic::test::Registration MOESAIC_CASE_JOIN(registration_, __LINE__)( \
      name, MOESAIC_CASE_JOIN(case_, __LINE__), is_bench);                             \
  static void MOESAIC_CASE_JOIN(case_, __LINE__)()
#define MOESAIC_TEST(name) MOESAIC_CASE(name, false)
#define MOESAIC_BENCH(name) MOESAIC_CASE(name, true)

struct Failure {
  std::string message;
};

__attribute__((format(printf, 1, 2))) std::string text(const char* format, ...);
// Ends the test.
[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* format, ...);
__attribute__((format(printf, 2, 3))) void expect(bool holds, const char* format, ...);

// Runs a test and prints its line, `ok NAME` or `not ok NAME: what was wrong`.
bool passes(const char* name, const std::function<void()>& run);

// ---- machine --------------------------------------------------------------------------------------------------------

// MK_CPU_* bits of this machine.
uint32_t host_features();

// Where packages are: to be called once, before the first test.
void take_packages_from(const char* folder);
// The package libmoesaic_kernels_<name>.so of that folder; fails the test when it is not there.
const mk_package& package(const char* name);

// An mk_cpu_stream with threads of its own. Ranges are at most `longest_range` long, so that a test can try another
// split.
class Stream {
 public:
  explicit Stream(int32_t num_threads, int64_t longest_range = INT64_MAX);
  mk_stream get() const { return &stream_; }
  int32_t num_threads() const { return stream_.num_threads; }

 private:
  static void parallel_for(void* pool, int64_t count, int64_t grain, void (*fn)(void*, int64_t, int64_t, int32_t),
                           void* arg);
  mk_cpu_stream stream_;
  int64_t longest_range_;
};

// ---- memory ---------------------------------------------------------------------------------------------------------

// `bytes` bytes, 64-byte aligned, each 0 or `fill`, with a canary behind them; a kernel that wrote over it ends the
// program.
class Memory {
 public:
  explicit Memory(int64_t bytes, uint8_t fill = 0);
  ~Memory();
  Memory(Memory&& other) noexcept = default;
  Memory& operator=(Memory&&) = delete;
  void* data() const { return data_.get(); }
  int64_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(void* data) const;
  };
  int64_t bytes_;
  std::unique_ptr<void, Free> data_;
};

// A workspace buffer of (rows, cols), zero at first. All rows are in use unless set_num_rows says otherwise.
template <class T>
class Tensor {
 public:
  Tensor(int32_t rows, int32_t cols)
      : rows_(rows), cols_(cols), memory_(int64_t{rows} * cols * int64_t{sizeof(T)}), num_rows_(new int32_t(rows)) {}
  Tensor(int32_t rows, int32_t cols, const std::vector<T>& values) : Tensor(rows, cols) {
    if (values.size() != size()) fail("%zu values for a tensor of %zu", values.size(), size());
    std::memcpy(memory_.data(), values.data(), sizeof(T) * values.size());
  }

  T* data() const { return static_cast<T*>(memory_.data()); }
  T& at(int64_t row, int64_t col) const { return data()[row * cols_ + col]; }
  int32_t rows() const { return rows_; }
  int32_t cols() const { return cols_; }
  size_t size() const { return static_cast<size_t>(rows_) * static_cast<size_t>(cols_); }
  void set_num_rows(int32_t num_rows) { *num_rows_ = num_rows; }
  mk_buffer view() const { return {memory_.data(), num_rows_.get(), rows_, cols_, num_rows_.get()}; }
  // As a vector weight, (experts = rows, features = cols).
  mk_weight vector() const { return {memory_.data(), MK_F32, rows_, cols_, 1}; }

 private:
  int32_t rows_, cols_;
  Memory memory_;
  std::unique_ptr<int32_t> num_rows_;
};

// An absent bias or sink.
inline mk_weight no_vector() { return {nullptr, MK_F32, 0, 0, 0}; }

// ---- seeded data ----------------------------------------------------------------------------------------------------

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits();
  // In [low, high].
  int32_t integer(int32_t low, int32_t high);
  // In [low, high).
  float uniform(float low, float high);
  float normal();

 private:
  uint64_t state_;
};

Tensor<float> random_tensor(Random& random, int32_t rows, int32_t cols, float gain = 1);

// ---- weights --------------------------------------------------------------------------------------------------------

uint16_t to_bf16(float value);  // to the nearest, ties to even
float from_bf16(uint16_t bits);
float decode_mxfp4(int code, uint8_t scale);

// A matrix as it is in a checkpoint.
struct Matrix {
  mk_dtype source_dtype;
  mk_dtype stored_dtype;
  int32_t num_experts, rows, cols;
  std::vector<uint16_t> values;         // bf16
  std::vector<uint8_t> blocks, scales;  // mxfp4

  mk_weight_desc desc(mk_weight_slot slot) const;
  // What supports() sees.
  mk_weight shape() const { return {nullptr, stored_dtype, num_experts, rows, cols}; }
  float at(int32_t expert, int32_t row, int32_t col) const;
};

// Elements of about 1 / sqrt(cols): outputs are of about the size of the inputs.
Matrix random_bf16_matrix(Random& random, int32_t num_experts, int32_t rows, int32_t cols);
// Uniform codes, -0 included; several scales. Stored as MXFP4 or decoded to bf16.
Matrix random_mxfp4_matrix(Random& random, int32_t num_experts, int32_t rows, int32_t cols,
                           mk_dtype stored_dtype = MK_MXFP4);
Matrix bf16_matrix(int32_t rows, int32_t cols, const std::vector<float>& values);

// A matrix in the layout of a kernel. Packed in pieces of a few row granules, last piece first.
class PackedMatrix {
 public:
  PackedMatrix(const mk_kernel& kernel, mk_weight_slot slot, const Matrix& matrix);
  mk_weight weight() const { return weight_; }

 private:
  Memory memory_;
  mk_weight weight_;
};

// ---- steps and KV ---------------------------------------------------------------------------------------------------

struct StepSeq {
  int32_t row;             // persistent row
  int32_t first_position;  // of its first token in this step
  std::vector<int32_t> token_ids;
};

// The arrays behind one mk_step. Keep it where it is: the view points into it.
class StepArrays {
 public:
  StepArrays(const std::vector<StepSeq>& seqs, int32_t max_seq_len);
  StepArrays(const StepArrays&) = delete;
  StepArrays& operator=(const StepArrays&) = delete;
  const mk_step* view() const { return &view_; }
  int32_t num_tokens() const { return num_tokens_; }
  int32_t num_seqs() const { return num_seqs_; }

  std::vector<int32_t> token_ids, positions, token_seqs, seq_rows, query_starts, seq_lens;

 private:
  int32_t num_tokens_, num_seqs_, longest_query_, longest_seq_;
  mk_step view_;
};

// One layer's paged KV for `max_rows` rows of up to `max_seq_len` tokens. Every row owns its blocks, which are
// shuffled.
class KvArrays {
 public:
  KvArrays(Random& random, int32_t max_rows, int32_t max_seq_len, int32_t block_size, int32_t num_kv_heads,
           int32_t head_dim);
  mk_kv view() const;
  // First element of one head of one token.
  int64_t slot(int32_t row, int32_t position, int32_t kv_head) const;
  void fill(Random& random);

  Tensor<float> k, v;          // (num_blocks * num_kv_heads * block_size, head_dim)
  std::vector<int32_t> table;  // (max_rows, max_blocks)

 private:
  int32_t max_blocks_, num_blocks_, block_size_, num_kv_heads_, head_dim_;
};

// ---- experts --------------------------------------------------------------------------------------------------------

// The expert map of a rank with experts [first, first + count) of num_global; -1 for the others.
std::vector<int32_t> local_experts(int32_t num_global, int32_t first, int32_t count);

// ---- running --------------------------------------------------------------------------------------------------------

template <class Args>
mk_op op_of();
#define MOESAIC_OP_OF(Args, op)   \
  template <>                     \
  constexpr mk_op op_of<Args>() { \
    return op;                    \
  }
MOESAIC_OP_OF(mk_rope_table_args, MK_OP_ROPE_TABLE)
MOESAIC_OP_OF(mk_embed_args, MK_OP_EMBED)
MOESAIC_OP_OF(mk_rms_norm_args, MK_OP_RMS_NORM)
MOESAIC_OP_OF(mk_linear_args, MK_OP_LINEAR)
MOESAIC_OP_OF(mk_rope_kv_write_args, MK_OP_ROPE_KV_WRITE)
MOESAIC_OP_OF(mk_attention_args, MK_OP_ATTENTION)
MOESAIC_OP_OF(mk_router_args, MK_OP_ROUTER)
MOESAIC_OP_OF(mk_experts_args, MK_OP_EXPERTS)
MOESAIC_OP_OF(mk_combine_args, MK_OP_COMBINE)
MOESAIC_OP_OF(mk_gather_rows_args, MK_OP_GATHER_ROWS)
MOESAIC_OP_OF(mk_sample_args, MK_OP_SAMPLE)
MOESAIC_OP_OF(mk_mxfp4_decode_args, MK_OP_MXFP4_DECODE)
MOESAIC_OP_OF(mk_mxfp4_encode_args, MK_OP_MXFP4_ENCODE)
MOESAIC_OP_OF(mk_add_args, MK_OP_ADD)
MOESAIC_OP_OF(mk_sample_shard_args, MK_OP_SAMPLE_SHARD)
MOESAIC_OP_OF(mk_begin_step_args, MK_OP_BEGIN_STEP)
#undef MOESAIC_OP_OF

// One package on one device. Workspaces are new for each launch and full of 0xA5; scratch is zero.
class Runner {
 public:
  explicit Runner(const char* package_name, int32_t num_threads = 2, uint32_t cpu_features = host_features(),
                  int64_t longest_range = INT64_MAX);

  const mk_device& device() const { return device_; }
  const Stream& stream() const { return stream_; }

  // The first kernel of this op sequence that supports the arguments; fails the test when there is none.
  template <class... Args>
  const mk_kernel& kernel(const Args&... args) const {
    const mk_kernel* found = find(args...);
    if (found == nullptr) fail("package %s has no kernel for these arguments", package_.name);
    return *found;
  }
  // The same, null when there is none.
  template <class... Args>
  const mk_kernel* find(const Args&... args) const {
    return find_kernel({mk_op_instance{op_of<Args>(), &args}...});
  }

  // Fails the test when the launch fails.
  template <class... Args>
  void launch(const mk_kernel& kernel, const Args&... args) const {
    mk_error error{};
    const mk_status status = launch_kernel(kernel, {mk_op_instance{op_of<Args>(), &args}...}, &error);
    expect(status == MK_OK, "%s failed with status %d: %s", kernel.name, status, error.message);
  }
  // For ops without matrices.
  template <class... Args>
  void run(const Args&... args) const {
    launch(kernel(args...), args...);
  }
  // Expects the launch to fail with this code and a message that contains `words`.
  template <class... Args>
  void expect_refusal(const mk_kernel& kernel, mk_status code, const char* words, const Args&... args) const {
    mk_error error{};
    const mk_status status = launch_kernel(kernel, {mk_op_instance{op_of<Args>(), &args}...}, &error);
    expect(status == code, "%s gave status %d, want %d", kernel.name, status, code);
    expect(std::strstr(error.message, words) != nullptr, "message '%s' does not say '%s'", error.message, words);
  }

  // Launches as is and returns what the launch returned.
  mk_status launch_kernel(const mk_kernel& kernel, const std::vector<mk_op_instance>& parts, mk_error* error) const;

 private:
  const mk_kernel* find_kernel(const std::vector<mk_op_instance>& parts) const;

  const mk_package& package_;
  mk_device device_;
  Stream stream_;
};

// ---- comparison -----------------------------------------------------------------------------------------------------

// |got - want| <= absolute + relative * |want| for every element; NaN only where NaN is wanted.
void expect_close(const char* name, const Tensor<float>& got, const Tensor<float>& want, double absolute,
                  double relative);
// ||got - want|| <= relative * ||want|| for every row.
void expect_rows_close(const char* name, const Tensor<float>& got, const Tensor<float>& want, double relative);

inline std::string shown(float value) { return text("%.9g", static_cast<double>(value)); }
inline std::string shown(int32_t value) { return text("%d", value); }
inline std::string shown(uint8_t value) { return text("0x%02x", value); }

template <class T>
void expect_same_bits(const char* name, const Tensor<T>& got, const Tensor<T>& want) {
  expect(got.rows() == want.rows() && got.cols() == want.cols(), "%s is (%d, %d), want (%d, %d)", name, got.rows(),
         got.cols(), want.rows(), want.cols());
  for (int32_t r = 0; r < want.rows(); ++r) {
    for (int32_t c = 0; c < want.cols(); ++c) {
      if (std::memcmp(&got.at(r, c), &want.at(r, c), sizeof(T)) == 0) continue;
      fail("%s[%d, %d] is %s, want %s", name, r, c, shown(got.at(r, c)).c_str(), shown(want.at(r, c)).c_str());
    }
  }
}

}  // namespace moesaic::test
