// What a test of the cuda package is made of. A test builds host arguments as the other kernel tests do (harness.h), and
//   Comparison test(mode);
//   args.weight = test.pack(args, MK_SLOT_WEIGHT, matrix);
//   test.run(args, {.exact = 2e-6, .fast = 4e-3});
// runs the reference on them and the cuda kernel on a mirror of them, and compares. The mirror has canaries behind every
// array, garbage in rows past the row count and in outputs, and runs the kernel
//   directly, bounds being the counts               · in a graph that was captured with wider bounds, counts as they are
//   in that graph with fewer rows, down to none      · directly with fewer rows and bounds of those
// Where a row must not depend on its company (exact, or deterministic) the bits of a row have to be the same in all of them.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness.h"

namespace moesaic::test {

// ---- cases ----------------------------------------------------------------------------------------------------------

struct Mode {
  const char* name;
  mk_precision precision;
  int32_t deterministic;
  bool has_fixed_rows() const { return precision == MK_EXACT || deterministic != 0; }
  mk_dtype kv_dtype() const { return precision == MK_EXACT ? MK_F32 : MK_BF16; }
};
inline constexpr Mode kModes[] = {{"exact", MK_EXACT, 0}, {"fast", MK_FAST, 0}, {"fast deterministic", MK_FAST, 1}};

struct CudaCase {
  std::string name;
  bool is_unit;  // small enough for a sanitizer
  std::function<void()> run;
};

// The table of a file; `cuda_main.cc` lists them all.
using CudaCases = std::vector<CudaCase>;
void add_row_cases(CudaCases* cases);
void add_matrix_cases(CudaCases* cases);
void add_attention_cases(CudaCases* cases);
void add_sample_cases(CudaCases* cases);
// In every mode.
void add_case(CudaCases* cases, const std::string& name, bool is_unit, const std::function<void(const Mode&)>& run);

void run_benches(const std::string& filter);

// ---- device ---------------------------------------------------------------------------------------------------------

void expect_cuda(cudaError_t result, const char* what);
// This machine's first GPU as kernels see it. Empty name: there is none.
struct Gpu {
  mk_device device;
  std::string name;
};
Gpu first_gpu(const Mode& mode);
cudaStream_t test_stream();
// Threads for the reference.
int32_t host_threads();

// `bytes` bytes of device memory, with a canary behind them.
class DeviceMemory {
 public:
  explicit DeviceMemory(int64_t bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  void fill(int byte);
  void upload(const void* host);
  void download(void* host) const;
  void expect_canary(const char* name) const;

 private:
  int64_t bytes_;
  char* data_ = nullptr;
};

// A matrix in the layout of a cuda kernel, packed on the device in pieces of `piece_granules` row granules, last piece first.
std::unique_ptr<DeviceMemory> pack_on_device(const mk_kernel& kernel, mk_weight_slot slot, const Matrix& matrix,
                                             int32_t piece_granules);

// ---- mirror ---------------------------------------------------------------------------------------------------------

inline constexpr int32_t kSpareRows = 3;  // room that tests leave behind their rows, so that bounds can be wider than counts

enum class Role { kIn, kInOut, kOut };

// Wider bounds: all there is room for. With long queries, a step does not look like decoding either.
enum class Bounds { kTight, kWide, kWideLongQueries };

struct Array {
  std::string name;
  const void* host;
  mk_dtype device_dtype, host_dtype;
  int64_t rows, cols;
  int64_t parts;           // a row is compared in so many parts
  int64_t compared_cols;   // of each row (parts == 1)
  const int32_t* count;    // host row count; NULL: all rows are in use
  Role role;
  std::vector<uint8_t> image;  // what the device is given before each run
  std::unique_ptr<DeviceMemory> memory;
};

// Device copies of host arguments. The host memory is looked at when an array is first seen.
class Mirror {
 public:
  explicit Mirror(const Mode& mode) : mode_(mode) {}
  const Mode& mode() const { return mode_; }

  template <class T>
  T* array(const char* name, T* host, int64_t count, Role role = Role::kIn, int64_t cols = 1) {
    using Element = std::remove_const_t<T>;
    const mk_dtype dtype = std::is_same_v<Element, float> ? MK_F32 : sizeof(Element) == 1 ? MK_U8 : MK_I32;
    const int64_t words = sizeof(Element) / 4 > 1 ? static_cast<int64_t>(sizeof(Element) / 4) : 1;
    return static_cast<T*>(add(name, host, dtype, dtype, count * words, cols, nullptr, role));
  }
  // `parts`: slots of a row that are compared one by one.
  mk_buffer buffer(const char* name, const mk_buffer& host, mk_dtype dtype, Role role, int64_t parts = 1,
                   int64_t compared_cols = 0);
  mk_weight weight(const char* name, const mk_weight& host);
  mk_kv kv(const mk_kv& host, int32_t max_rows, Role role);
  const mk_step* step(const mk_step* host);
  int32_t* count(const int32_t* host, int32_t room);
  // A [host] bound for that count.
  const int32_t* bound(const int32_t* host);
  const mk_row_sampling* sampling(const mk_row_sampling* host, int32_t max_rows, int32_t global_vocab);
  void set_matrix(const void* host, const void* device) { matrices_[host] = device; }

  // Counts of `all` rows become `used`.
  void set_counts(int32_t all, int32_t used);
  void set_bounds(Bounds bounds);
  void reset();
  void expect_canaries() const;
  std::list<Array>& arrays() { return arrays_; }

 private:
  struct Count {
    int32_t value, room, used, bound;
    std::unique_ptr<DeviceMemory> memory;
  };
  void* add(const char* name, const void* host, mk_dtype device_dtype, mk_dtype host_dtype, int64_t rows, int64_t cols,
            const int32_t* count, Role role, int64_t parts = 1, int64_t compared_cols = 0);
  // An array of the step with room behind it.
  const int32_t* step_array(const char* name, const int32_t* host, int64_t count, int64_t room);

  const Mode mode_;
  std::list<Array> arrays_;
  std::map<const int32_t*, Count> counts_;
  std::map<const void*, const void*> matrices_;
  std::list<std::vector<int32_t>> step_images_;
  std::list<mk_step> steps_;
  std::list<mk_row_sampling> samplings_;
  int32_t query_len_[3] = {1, 1, 1}, seq_len_[2] = {0, 0};  // tight and long; tight and wide
  int32_t launch_query_len_ = 1, launch_seq_len_ = 0;
};

// The mirror of each op's arguments.
mk_begin_step_args mirrored(Mirror* mirror, mk_begin_step_args args);
mk_rope_table_args mirrored(Mirror* mirror, mk_rope_table_args args);
mk_embed_args mirrored(Mirror* mirror, mk_embed_args args);
mk_rms_norm_args mirrored(Mirror* mirror, mk_rms_norm_args args);
mk_linear_args mirrored(Mirror* mirror, mk_linear_args args);
mk_rope_kv_write_args mirrored(Mirror* mirror, mk_rope_kv_write_args args);
mk_attention_args mirrored(Mirror* mirror, mk_attention_args args);
mk_router_args mirrored(Mirror* mirror, mk_router_args args);
mk_experts_args mirrored(Mirror* mirror, mk_experts_args args);
mk_combine_args mirrored(Mirror* mirror, mk_combine_args args);
mk_gather_rows_args mirrored(Mirror* mirror, mk_gather_rows_args args);
mk_sample_args mirrored(Mirror* mirror, mk_sample_args args);
mk_sample_shard_args mirrored(Mirror* mirror, mk_sample_shard_args args);
mk_mxfp4_decode_args mirrored(Mirror* mirror, mk_mxfp4_decode_args args);
mk_mxfp4_encode_args mirrored(Mirror* mirror, mk_mxfp4_encode_args args);
mk_add_args mirrored(Mirror* mirror, mk_add_args args);

// What differs between precisions in the arguments themselves.
template <class Args>
Args in_precision(Args args, const Mode& mode) {
  if constexpr (requires { args.kv; }) args.kv.dtype = mode.kv_dtype();
  return args;
}

// ---- running --------------------------------------------------------------------------------------------------------

// The first cuda kernel that supports this op; fails the test when there is none.
const mk_kernel& cuda_kernel(const mk_device& device, const mk_op_instance& part);

// A kernel with its workspace (full of 0xA5 before each launch) and scratch (zero at first, kept).
class DeviceKernel {
 public:
  DeviceKernel(const mk_device& device, const mk_kernel& kernel, const mk_op_instance& part);
  const mk_kernel& kernel() const { return kernel_; }
  void launch(const void* args);           // queues it
  void run(const void* args);              // and waits
  cudaGraphExec_t capture(const void* args);
  void replay(cudaGraphExec_t graph);
  void prepare();
  void expect_canaries() const;

 private:
  const mk_kernel& kernel_;
  std::unique_ptr<DeviceMemory> workspace_, scratch_;
};

struct Tolerance {
  double exact;          // of ||got - want|| / ||want|| per row (or part of one)
  double fast;
  double absolute = 0;   // added, of each element
  bool has_prefixes = true;  // fewer tokens make sense: rows do not look at their neighbours
  double of(const Mode& mode) const { return mode.precision == MK_EXACT ? exact : fast; }
};

class Comparison {
 public:
  explicit Comparison(const Mode& mode, int32_t piece_granules = 7)
      : mode_(mode),
        gpu_(first_gpu(mode)),
        mirror_(mode),
        reference_("reference", host_threads()),
        piece_granules_(piece_granules) {}

  // The matrix as the reference wants it; the device gets its own.
  template <class Args>
  mk_weight pack(const Args& args, mk_weight_slot slot, const Matrix& matrix) {
    packed_.emplace_back(reference_.kernel(args), slot, matrix);
    const Args changed = in_precision(args, mode_);
    const mk_kernel& kernel = cuda_kernel(gpu_.device, {op_of<Args>(), &changed});
    matrices_.push_back(pack_on_device(kernel, slot, matrix, piece_granules_));
    mirror_.set_matrix(packed_.back().weight().data, matrices_.back()->data());
    return packed_.back().weight();
  }

  // Afterwards the host arguments hold what the reference wrote.
  template <class Args>
  void run(const Args& args, const Tolerance& tolerance) {
    const Args on_device = mirrored(&mirror_, in_precision(args, mode_));
    reference_.run(args);
    run_variants({op_of<Args>(), &on_device}, tolerance);
  }

  // Runs the cuda kernel alone, bounds being the counts, and returns the array with that name.
  template <class Args>
  std::vector<uint8_t> output(const Args& args, const char* name) {
    const Args on_device = mirrored(&mirror_, in_precision(args, mode_));
    return run_once({op_of<Args>(), &on_device}, name);
  }

 private:
  void run_variants(const mk_op_instance& part, const Tolerance& tolerance);
  std::vector<uint8_t> run_once(const mk_op_instance& part, const char* name);
  void expect_outputs(const Tolerance& tolerance, const char* variant, int32_t all, int32_t used, bool keep);

  const Mode mode_;
  const Gpu gpu_;
  Mirror mirror_;
  Runner reference_;
  const int32_t piece_granules_;
  std::list<PackedMatrix> packed_;
  std::list<std::unique_ptr<DeviceMemory>> matrices_;
  std::map<std::string, std::vector<uint8_t>> first_;  // outputs of the first run
};

// ---- data -----------------------------------------------------------------------------------------------------------

// `rows` rows in use and some spare ones.
template <class T>
Tensor<T> roomy(int32_t rows, int32_t cols) {
  Tensor<T> tensor(rows + kSpareRows, cols);
  tensor.set_num_rows(rows);
  return tensor;
}
inline Tensor<float> roomy_random(Random& random, int32_t rows, int32_t cols, float gain = 1) {
  Tensor<float> tensor = roomy<float>(rows, cols);
  for (size_t i = 0; i < tensor.size(); ++i) tensor.data()[i] = gain * random.normal();
  return tensor;
}

}  // namespace moesaic::test
