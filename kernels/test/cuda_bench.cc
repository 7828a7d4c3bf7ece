// --bench: the real shapes of gpt-oss-20b at 1, 8 and 64 rows and in a prefill of 2,048. Times are medians of graph replays by
// events. Weights are rotated over copies that together do not fit into the L2 cache. The first row of each run is
// compared with the reference, in the same run (of a prompt, the last). A wrong line does not keep the rest from being timed.
// Per line:
//   NAME: us | GB/s, % of copy bandwidth (bytes: weights and cache that take part, activations once) | off the reference by
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "cuda_harness.h"

namespace moesaic::test {

namespace {

constexpr int64_t kL2Bytes = int64_t{128} << 20;  // more than any L2 of today
constexpr int kReplays = 15;
constexpr int kLaunchesPerGraph = 20;
constexpr double kWorst = 2e-2;  // of row 0 against the reference, in either precision

double copy_bandwidth = 0;
int num_wrong = 0;

class Events {
 public:
  Events() {
    expect_cuda(cudaEventCreate(&begin_), "event");
    expect_cuda(cudaEventCreate(&end_), "event");
  }
  ~Events() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  // Median seconds of what `queue` queues.
  template <class Queue>
  double median(const Queue& queue) {
    std::vector<float> times;
    for (int i = 0; i < kReplays + 2; ++i) {
      float ms = 0;
      expect_cuda(cudaEventRecord(begin_, test_stream()), "event");
      queue();
      expect_cuda(cudaEventRecord(end_, test_stream()), "event");
      expect_cuda(cudaEventSynchronize(end_), "bench");
      expect_cuda(cudaEventElapsedTime(&ms, begin_, end_), "event");
      if (i >= 2) times.push_back(ms);
    }
    std::nth_element(times.begin(), times.begin() + kReplays / 2, times.end());
    return static_cast<double>(times[kReplays / 2]) * 1e-3;
  }

 private:
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

// Bytes read and written a second by a copy on the device.
double measure_copy() {
  constexpr int64_t kBytes = int64_t{512} << 20;
  DeviceMemory from(kBytes), to(kBytes);
  from.fill(1);
  Events events;
  const double seconds = events.median([&] {
    expect_cuda(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, test_stream()), "copy");
  });
  return 2 * kBytes / seconds;
}

// Median seconds of one launch; `variants` are launched in turn, in one graph.
template <class Args>
double time_of(const mk_device& device, const std::vector<Args>& variants) {
  const mk_op_instance part{op_of<Args>(), &variants[0]};
  DeviceKernel kernel(device, cuda_kernel(device, part), part);
  const int launches = std::max<int>(kLaunchesPerGraph, static_cast<int>(variants.size()));
  kernel.prepare();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  expect_cuda(cudaStreamBeginCapture(test_stream(), cudaStreamCaptureModeThreadLocal), "capture");
  for (int i = 0; i < launches; ++i) kernel.launch(&variants[static_cast<size_t>(i) % variants.size()]);
  expect_cuda(cudaStreamEndCapture(test_stream(), &graph), "capture");
  expect_cuda(cudaGraphInstantiate(&exec, graph, 0), "graph");
  Events events;
  const double seconds = events.median([&] { expect_cuda(cudaGraphLaunch(exec, test_stream()), "graph"); });
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  return seconds / launches;
}

void print(const std::string& name, double seconds, double bytes, double off) {
  std::printf("%-64s %9.1f us | %6.0f GB/s, %3.0f %% of copy | off by %.1e%s\n", name.c_str(), seconds * 1e6,
              bytes / seconds * 1e-9, bytes / seconds / copy_bandwidth * 100, off, off <= kWorst ? "" : "  WRONG");
  std::fflush(stdout);
  num_wrong += off <= kWorst ? 0 : 1;
}

// Relative distance of `count` floats of a device array, from the one at `first` on, from those of the reference.
double off_by(Mirror& mirror, const char* name, const float* want, int64_t count, int64_t first = 0) {
  for (const Array& array : mirror.arrays()) {
    if (array.name != name) continue;
    std::vector<uint8_t> bytes(array.image.size());
    array.memory->download(bytes.data());
    const auto* got = reinterpret_cast<const float*>(bytes.data()) + first;
    double error = 0, norm = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double difference = static_cast<double>(got[i]) - static_cast<double>(want[i]);
      error += difference * difference;
      norm += static_cast<double>(want[i]) * static_cast<double>(want[i]);
    }
    const double off = std::sqrt(error / norm);
    return std::isfinite(off) ? off : INFINITY;
  }
  fail("there is no array %s", name);
}

std::unique_ptr<DeviceMemory> copy_of(const DeviceMemory& original) {
  auto copy = std::make_unique<DeviceMemory>(original.bytes());
  const auto bytes = static_cast<size_t>(original.bytes());
  expect_cuda(cudaMemcpy(copy->data(), original.data(), bytes, cudaMemcpyDeviceToDevice), "copy");
  return copy;
}

// A copy of a packed matrix for each turn, the original being the first.
std::vector<const void*> rotated(const DeviceMemory& original, std::list<std::unique_ptr<DeviceMemory>>* copies) {
  std::vector<const void*> turns{original.data()};
  for (int64_t bytes = original.bytes(); bytes < 2 * kL2Bytes && turns.size() < 32; bytes += original.bytes()) {
    copies->push_back(copy_of(original));
    turns.push_back(copies->back()->data());
  }
  return turns;
}

template <class Args>
void run_once(const mk_device& device, Mirror& mirror, const Args& args) {
  const mk_op_instance part{op_of<Args>(), &args};
  DeviceKernel kernel(device, cuda_kernel(device, part), part);
  mirror.reset();
  kernel.run(&args);
}

struct Bench {
  std::string filter;
  bool wants(const std::string& name) const { return name.find(filter) != std::string::npos; }
};

// Random but for its period: a vocabulary takes seconds otherwise.
Matrix quick_bf16_matrix(Random& random, int32_t rows, int32_t cols) {
  const int32_t period = std::min(rows, 509);
  Matrix matrix = random_bf16_matrix(random, 1, period, cols);
  matrix.rows = rows;
  matrix.values.resize(static_cast<size_t>(rows) * static_cast<size_t>(cols));
  const size_t block = static_cast<size_t>(period) * static_cast<size_t>(cols);
  for (size_t at = block; at < matrix.values.size(); at += block) {
    const size_t count = std::min(block, matrix.values.size() - at);
    std::copy_n(matrix.values.begin(), count, matrix.values.begin() + static_cast<ptrdiff_t>(at));
  }
  return matrix;
}

// ---- matrices -------------------------------------------------------------------------------------------------------

void bench_linear(const Bench& bench, const Mode& mode, const char* what, int32_t out_features, int32_t in_features,
                  const std::vector<int32_t>& row_counts) {
  const std::string name = text("linear %s (%d, %d), %s", what, out_features, in_features, mode.name);
  if (!bench.wants(name)) return;
  Random random(41);
  const mk_device device = first_gpu(mode).device;
  const Runner reference("reference", host_threads());
  const Matrix matrix = quick_bf16_matrix(random, out_features, in_features);
  std::unique_ptr<DeviceMemory> packed;
  std::list<std::unique_ptr<DeviceMemory>> copies;
  for (const int32_t rows : row_counts) {
    const Tensor<float> x = random_tensor(random, rows, in_features), out(rows, out_features);
    Tensor<float> first_x(1, in_features), first_out(1, out_features);
    std::copy_n(x.data(), in_features, first_x.data());
    mk_linear_args args{sizeof(args), x.view(), matrix.shape(), no_vector(), out.view(), 0};
    mk_linear_args first = args;
    first.x = first_x.view();
    first.out = first_out.view();
    const PackedMatrix host(reference.kernel(first), MK_SLOT_WEIGHT, matrix);
    first.weight = args.weight = host.weight();
    reference.run(first);
    if (packed == nullptr) packed = pack_on_device(cuda_kernel(device, {MK_OP_LINEAR, &args}), MK_SLOT_WEIGHT, matrix, 1 << 20);
    Mirror mirror(mode);
    mirror.set_matrix(host.weight().data, packed->data());
    const mk_linear_args on_device = mirrored(&mirror, args);
    run_once(device, mirror, on_device);
    const double off = off_by(mirror, "out", first_out.data(), out_features);
    if (copies.empty()) rotated(*packed, &copies);
    std::vector<mk_linear_args> variants{on_device};
    for (const auto& copy : copies) {
      variants.push_back(on_device);
      variants.back().weight.data = copy->data();
    }
    const double bytes = 2.0 * out_features * in_features + 4.0 * rows * (in_features + out_features);
    print(text("%s, %d rows", name.c_str(), rows), time_of(device, variants), bytes, off);
  }
}

void bench_router(const Bench& bench, const Mode& mode) {
  if (!bench.wants("router")) return;
  Random random(42);
  const mk_device device = first_gpu(mode).device;
  const Runner reference("reference", host_threads());
  const Matrix matrix = random_bf16_matrix(random, 1, 32, 2880);
  for (const int32_t rows : {1, 8, 64, 2048}) {
    const Tensor<float> x = random_tensor(random, rows, 2880), weights(rows, 4), bias = random_tensor(random, 1, 32);
    const Tensor<int32_t> ids(rows, 4);
    mk_router_args args{sizeof(args), x.view(), matrix.shape(), bias.vector(), ids.view(), weights.view()};
    const PackedMatrix host(reference.kernel(args), MK_SLOT_WEIGHT, matrix);
    args.weight = host.weight();
    reference.run(args);
    const auto packed = pack_on_device(cuda_kernel(device, {MK_OP_ROUTER, &args}), MK_SLOT_WEIGHT, matrix, 1 << 20);
    Mirror mirror(mode);
    mirror.set_matrix(host.weight().data, packed->data());
    const mk_router_args on_device = mirrored(&mirror, args);
    run_once(device, mirror, on_device);
    const double off = off_by(mirror, "expert_weights", weights.data(), int64_t{rows} * 4);
    print(text("router (32, 2880), %s, %d rows", mode.name, rows), time_of(device, std::vector<mk_router_args>{on_device}),
          2.0 * 32 * 2880 + 4.0 * rows * 2880, off);
  }
}

// Evenly spread routing. Two copies of a layer's experts are 800 MB: enough to keep the L2 cache out of it.
void bench_experts(const Bench& bench, const Mode& mode, int32_t num_experts, const std::vector<int32_t>& row_counts) {
  const std::string name = text("experts mxfp4, %d, %s", num_experts, mode.name);
  if (!bench.wants(name)) return;
  constexpr int32_t kHidden = 2880, kIntermediate = 2880, kSlots = 4;
  Random random(43);
  const mk_device device = first_gpu(mode).device;
  const Runner reference("reference", host_threads());
  const Matrix gate_up = random_mxfp4_matrix(random, num_experts, 2 * kIntermediate, kHidden),
               down = random_mxfp4_matrix(random, num_experts, kHidden, kIntermediate);
  const Tensor<float> gate_up_bias = random_tensor(random, num_experts, 2 * kIntermediate),
                      down_bias = random_tensor(random, num_experts, kHidden);
  const std::vector<int32_t> map = local_experts(num_experts, 0, num_experts);
  std::unique_ptr<DeviceMemory> packed_gate_up, packed_down;
  std::list<std::unique_ptr<DeviceMemory>> copies;
  for (const int32_t rows : row_counts) {
    const Tensor<float> x = random_tensor(random, rows, kHidden), out(rows, kSlots * kHidden), first_out(1, kSlots * kHidden);
    const Tensor<int32_t> ids(rows, kSlots);
    std::set<int32_t> hit;
    for (int32_t t = 0; t < rows; ++t) {
      std::set<int32_t> chosen;
      for (int32_t s = 0; s < kSlots; ++s) {
        int32_t id = random.integer(0, num_experts - 1);
        while (!chosen.insert(id).second) id = random.integer(0, num_experts - 1);
        ids.at(t, s) = id;
        hit.insert(id);
      }
    }
    mk_experts_args args{sizeof(args),  x.view(),         ids.view(), gate_up.shape(), gate_up_bias.vector(), down.shape(),
                         down_bias.vector(), out.view(), map.data(), num_experts,     1.702f,                7};
    const mk_experts_args shapes = args;
    if (packed_gate_up == nullptr) {
      const mk_kernel& kernel = cuda_kernel(device, {MK_OP_EXPERTS, &shapes});
      packed_gate_up = pack_on_device(kernel, MK_SLOT_GATE_UP, gate_up, 1 << 20);
      packed_down = pack_on_device(kernel, MK_SLOT_DOWN, down, 1 << 20);
    }
    const PackedMatrix host_gate_up(reference.kernel(shapes), MK_SLOT_GATE_UP, gate_up),
        host_down(reference.kernel(shapes), MK_SLOT_DOWN, down);
    args.gate_up = host_gate_up.weight();
    args.down = host_down.weight();
    mk_experts_args first = args;
    const Tensor<float> first_x(1, kHidden, std::vector<float>(x.data(), x.data() + kHidden));
    const Tensor<int32_t> first_ids(1, kSlots, std::vector<int32_t>(ids.data(), ids.data() + kSlots));
    first.x = first_x.view();
    first.expert_ids = first_ids.view();
    first.out = first_out.view();
    reference.run(first);
    Mirror mirror(mode);
    mirror.set_matrix(args.gate_up.data, packed_gate_up->data());
    mirror.set_matrix(args.down.data, packed_down->data());
    const mk_experts_args on_device = mirrored(&mirror, args);
    run_once(device, mirror, on_device);
    const double off = off_by(mirror, "out", first_out.data(), first_out.cols());
    std::vector<mk_experts_args> variants{on_device};
    if (copies.empty()) {
      for (const DeviceMemory* original : {packed_gate_up.get(), packed_down.get()}) copies.push_back(copy_of(*original));
    }
    variants.push_back(on_device);
    variants.back().gate_up.data = copies.front()->data();
    variants.back().down.data = copies.back()->data();
    const double bytes = static_cast<double>(hit.size()) * 3 * kHidden * kIntermediate * 17 / 32 +
                         4.0 * rows * kHidden * (1 + kSlots);
    print(text("%s, %d rows, %zu hit", name.c_str(), rows, hit.size()), time_of(device, variants), bytes, off);
  }
}

// ---- attention ------------------------------------------------------------------------------------------------------

// `seqs` sequences with `tokens` tokens each, the last of which is at `last`.
void bench_attention(const Bench& bench, const Mode& mode, int32_t seqs, int32_t tokens, int32_t last, int32_t window) {
  const std::string name = text("attention, window %d, %s, %d x %d tokens at %d", window, mode.name, seqs, tokens, last);
  if (!bench.wants(name)) return;
  constexpr int32_t kHeads = 64, kKvHeads = 8, kHeadDim = 64;
  Random random(44);
  const mk_device device = first_gpu(mode).device;
  const Runner reference("reference", host_threads());
  std::vector<StepSeq> all;
  for (int32_t s = 0; s < seqs; ++s) all.push_back({s, last + 1 - tokens, std::vector<int32_t>(static_cast<size_t>(tokens))});
  // What is compared is the last token of the first sequence, which sees most.
  const StepArrays step(all, last + 1), one_step({{0, last, {0}}}, last + 1);
  KvArrays kv(random, seqs, last + 1, 16, kKvHeads, kHeadDim);
  for (size_t i = 0; i < kv.k.size(); ++i) {
    kv.k.data()[i] = from_bf16(to_bf16(random.uniform(-1.7f, 1.7f)));
    kv.v.data()[i] = from_bf16(to_bf16(random.uniform(-1.7f, 1.7f)));
  }
  const int32_t cols = (kHeads + 2 * kKvHeads) * kHeadDim;
  const Tensor<float> qkv = roomy_random(random, seqs * tokens, cols), out = roomy<float>(seqs * tokens, kHeads * kHeadDim),
                      sinks = random_tensor(random, 1, kHeads), one_out(1, kHeads * kHeadDim);
  const float* const one = qkv.data() + int64_t{tokens - 1} * cols;
  const Tensor<float> one_qkv(1, cols, std::vector<float>(one, one + cols));
  mk_attention_args args{sizeof(args), step.view(), qkv.view(), sinks.vector(), kv.view(), out.view(), kHeads, window, 0.125f};
  mk_attention_args alone = args;
  alone.step = one_step.view();
  alone.qkv = one_qkv.view();
  alone.out = one_out.view();
  reference.run(alone);
  Mirror mirror(mode);
  const mk_attention_args on_device = mirrored(&mirror, in_precision(args, mode));
  run_once(device, mirror, on_device);
  const double off = off_by(mirror, "out", one_out.data(), one_out.cols(), int64_t{tokens - 1} * one_out.cols());
  const double seen = window == 0 ? last + 1 : std::min(window + tokens - 1, last + 1);
  const double bytes = seqs * seen * 2 * kKvHeads * kHeadDim * (mode.precision == MK_EXACT ? 4 : 2) +
                       4.0 * seqs * tokens * 2 * kHeads * kHeadDim;
  print(name, time_of(device, std::vector<mk_attention_args>{on_device}), bytes, off);
}

// ---- rows -----------------------------------------------------------------------------------------------------------

template <class Args>
void bench_rows(const Mode& mode, const std::string& name, const Args& args, const char* out_name, const Tensor<float>& out,
                double bytes) {
  const mk_device device = first_gpu(mode).device;
  Mirror mirror(mode);
  const Args on_device = mirrored(&mirror, args);
  Runner("reference", host_threads()).run(args);
  run_once(device, mirror, on_device);
  const double off = off_by(mirror, out_name, out.data(), out.cols());
  print(name, time_of(device, std::vector<Args>{on_device}), bytes, off);
}

void bench_small_ops(const Bench& bench, const Mode& mode, int32_t rows) {
  Random random(45);
  constexpr int32_t kHidden = 2880;
  const std::string end = text(" (%d rows, 2880)", rows);
  const Tensor<float> x = random_tensor(random, rows, kHidden), out = random_tensor(random, rows, kHidden),
                      y = random_tensor(random, rows, 4 * kHidden), weights = random_tensor(random, rows, 4),
                      gain = random_tensor(random, 1, kHidden);
  const double row_bytes = 4.0 * rows * kHidden;
  if (bench.wants("rms_norm" + end)) {
    const mk_rms_norm_args args{sizeof(args), x.view(), gain.vector(), out.view(), 1e-5f};
    bench_rows(mode, "rms_norm" + end, args, "out", out, 2 * row_bytes);
  }
  if (bench.wants("combine" + end)) {
    const mk_combine_args args{sizeof(args), y.view(), weights.view(), out.view()};
    bench_rows(mode, "combine" + end, args, "out", out, 6 * row_bytes);
  }
  if (bench.wants("add" + end)) {
    const mk_add_args args{sizeof(args), x.view(), out.view()};
    bench_rows(mode, "add" + end, args, "out", out, 3 * row_bytes);
  }
}

void bench_sample(const Bench& bench, const Mode& mode, const char* what, int32_t rows, float temperature, int32_t top_k,
                  float top_p, int32_t num_top) {
  const std::string name = text("sample %s, %d rows of 201088", what, rows);
  if (!bench.wants(name)) return;
  constexpr int32_t kVocab = 201088, kMaxTop = 20;
  Random random(46);
  const auto n = static_cast<size_t>(rows);
  const Tensor<float> logits = random_tensor(random, rows, kVocab, 3), logprobs(rows, 1), top_logprobs(rows, kMaxTop);
  const Tensor<int32_t> token_ids(rows, 1), last(rows, 1), top_ids(rows, kMaxTop);
  const std::vector<float> temperatures(n, temperature), top_ps(n, top_p), zeros(n), ones(n, 1);
  const std::vector<int32_t> top_ks(n, top_k), none(n), tops(n, num_top), lens(n, 16);
  const std::vector<uint32_t> no_mask(1);
  std::vector<int32_t> row_of, table, history((n + 1) * 16);
  std::vector<uint64_t> seeds;
  for (int32_t i = 0; i < rows; ++i) {
    row_of.push_back(i);
    table.push_back(i + 1);
    seeds.push_back(random.bits());
  }
  const mk_row_sampling sampling{sizeof(sampling), temperatures.data(), top_ks.data(), top_ps.data(), zeros.data(),
                                 zeros.data(),     zeros.data(),        ones.data(),   seeds.data(),  none.data(),
                                 none.data(),      tops.data(),         none.data(),   none.data(),   none.data(),
                                 none.data(),      zeros.data(),        none.data(),   no_mask.data(), 1,
                                 1};
  mk_sample_args args{};
  args.struct_size = sizeof(args);
  args.logits = logits.view();
  args.num_sampled = args.logits.num_rows;
  args.rows = row_of.data();
  args.seq_lens = lens.data();
  args.sampling = &sampling;
  args.history_tokens = history.data();
  args.history_table = table.data();
  args.max_blocks = 1;
  args.block_size = 16;
  args.token_ids = token_ids.data();
  args.last_sampled = last.data();
  args.logprobs = logprobs.data();
  args.max_top_logprobs = kMaxTop;
  args.top_ids = top_ids.data();
  args.top_logprobs = top_logprobs.data();
  const mk_device device = first_gpu(mode).device;
  Mirror mirror(mode);
  const mk_sample_args on_device = mirrored(&mirror, args);
  Runner("reference", host_threads()).run(args);
  run_once(device, mirror, on_device);
  int32_t wrong = 0;
  for (const Array& array : mirror.arrays()) {
    if (array.name != "token_ids") continue;
    std::vector<int32_t> got(n);
    array.memory->download(got.data());
    for (size_t i = 0; i < n; ++i) wrong += got[i] == token_ids.data()[i] ? 0 : 1;
  }
  std::list<std::unique_ptr<DeviceMemory>> copies;
  std::vector<mk_sample_args> variants;
  const int32_t turns = rows >= 64 ? 4 : 8;
  for (int32_t i = 0; i < turns; ++i) {
    copies.push_back(std::make_unique<DeviceMemory>(int64_t{rows} * kVocab * 4));
    copies.back()->upload(logits.data());
    variants.push_back(on_device);
    variants.back().logits.data = copies.back()->data();
  }
  print(name, time_of(device, variants), 4.0 * rows * kVocab, wrong);
}

}  // namespace

void run_benches(const std::string& filter) {
  const Bench bench{filter};
  copy_bandwidth = measure_copy();
  std::printf("%s: a copy moves %.0f GB/s\n", first_gpu(kModes[0]).name.c_str(), copy_bandwidth * 1e-9);
  for (const Mode& mode : kModes) {
    const bool is_exact = mode.precision == MK_EXACT;
    const std::vector<int32_t> many = is_exact ? std::vector<int32_t>{1, 8, 64} : std::vector<int32_t>{1, 8, 64, 2048};
    bench_linear(bench, mode, "qkv", 5120, 2880, many);
    bench_linear(bench, mode, "o", 2880, 4096, many);
    bench_linear(bench, mode, "head", 201088, 2880, {1, 8, 64});
    bench_router(bench, mode);
    bench_experts(bench, mode, 32, many);
    for (const int32_t window : {0, 128}) {
      for (const int32_t seqs : {1, 8, 64}) {
        for (const int32_t last : {1023, 8191}) {
          if (seqs * last <= 64 * 1024) bench_attention(bench, mode, seqs, 1, last, window);
        }
      }
      if (!is_exact) bench_attention(bench, mode, 1, 2048, 2047, window);
    }
  }
  for (const int32_t rows : {1, 8, 64, 2048}) bench_small_ops(bench, kModes[1], rows);
  for (const int32_t rows : {1, 8, 64}) {
    bench_sample(bench, kModes[1], "greedy", rows, 0, 0, 1, -1);
    bench_sample(bench, kModes[1], "greedy, 5 logprobs", rows, 0, 0, 1, 5);
    bench_sample(bench, kModes[1], "temperature", rows, 1, 0, 1, -1);
    bench_sample(bench, kModes[1], "top_p 0.95", rows, 1, 0, 0.95f, -1);
    bench_sample(bench, kModes[1], "top_k 50", rows, 1, 50, 1, -1);
  }
  if (num_wrong > 0) fail("%d lines are wrong", num_wrong);
}

}  // namespace moesaic::test
