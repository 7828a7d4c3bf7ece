#include "cuda_harness.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

namespace moesaic::test {

namespace {

constexpr int64_t kCanaryBytes = 256;
constexpr uint8_t kCanary = 0xC3;

int64_t size_of(mk_dtype dtype) { return dtype == MK_U8 ? 1 : dtype == MK_BF16 ? 2 : 4; }

// NaN to floats, far out of any range to ids.
void poison(uint8_t* bytes, int64_t count, mk_dtype dtype) {
  std::memset(bytes, dtype == MK_I32 ? 0x7B : 0xFF, static_cast<size_t>(count));
}

}  // namespace

void add_case(CudaCases* cases, const std::string& name, bool is_unit, const std::function<void(const Mode&)>& run) {
  for (const Mode& mode : kModes) {
    cases->push_back({name + ", " + mode.name, is_unit, [run, &mode] { run(mode); }});
  }
}

// ---- device ---------------------------------------------------------------------------------------------------------

void expect_cuda(cudaError_t result, const char* what) {
  expect(result == cudaSuccess, "%s: %s", what, cudaGetErrorString(result));
}

Gpu first_gpu(const Mode& mode) {
  int count = 0;
  cudaDeviceProp properties{};
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) return {};
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) return {};
  return {{sizeof(mk_device), MK_DEVICE_CUDA, 0, 10 * properties.major + properties.minor, properties.multiProcessorCount,
           static_cast<int64_t>(properties.sharedMemPerBlockOptin), mode.precision, mode.deterministic},
          properties.name};
}

cudaStream_t test_stream() {
  static cudaStream_t stream = [] {
    cudaStream_t made = nullptr;
    expect_cuda(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "stream");
    return made;
  }();
  return stream;
}

int32_t host_threads() { return std::clamp(static_cast<int32_t>(std::thread::hardware_concurrency()), 1, 32); }

DeviceMemory::DeviceMemory(int64_t bytes) : bytes_(bytes) {
  void* data = nullptr;
  expect_cuda(cudaMalloc(&data, static_cast<size_t>(bytes + kCanaryBytes)), "cudaMalloc");
  data_ = static_cast<char*>(data);
  expect_cuda(cudaMemset(data_ + bytes, kCanary, kCanaryBytes), "canary");
}

DeviceMemory::~DeviceMemory() { cudaFree(data_); }

void DeviceMemory::fill(int byte) {
  if (bytes_ > 0) expect_cuda(cudaMemset(data_, byte, static_cast<size_t>(bytes_)), "fill");
  expect_cuda(cudaDeviceSynchronize(), "fill");
}

void DeviceMemory::upload(const void* host) {
  if (bytes_ > 0) expect_cuda(cudaMemcpy(data_, host, static_cast<size_t>(bytes_), cudaMemcpyHostToDevice), "upload");
  expect_cuda(cudaDeviceSynchronize(), "upload");
}

void DeviceMemory::download(void* host) const {
  if (bytes_ > 0) expect_cuda(cudaMemcpy(host, data_, static_cast<size_t>(bytes_), cudaMemcpyDeviceToHost), "download");
}

void DeviceMemory::expect_canary(const char* name) const {
  uint8_t canary[kCanaryBytes];
  expect_cuda(cudaMemcpy(canary, data_ + bytes_, kCanaryBytes, cudaMemcpyDeviceToHost), "canary");
  for (int64_t i = 0; i < kCanaryBytes; ++i) {
    expect(canary[i] == kCanary, "%s: byte %lld past its %lld was written", name, static_cast<long long>(i),
           static_cast<long long>(bytes_));
  }
}

std::unique_ptr<DeviceMemory> pack_on_device(const mk_kernel& kernel, mk_weight_slot slot, const Matrix& matrix,
                                             int32_t piece_granules) {
  if (kernel.packing == nullptr) fail("%s has no packing", kernel.name);
  const mk_packing& packing = *kernel.packing;
  const mk_weight_desc desc = matrix.desc(slot);
  const int64_t bytes = packing.packed_bytes(&desc);
  expect(bytes > 0 && bytes % 64 == 0, "%s packs into %lld bytes", kernel.name, static_cast<long long>(bytes));
  auto packed = std::make_unique<DeviceMemory>(bytes);
  packed->fill(0);
  const bool is_bf16 = matrix.source_dtype == MK_BF16;
  const int64_t piece = std::min<int64_t>(int64_t{piece_granules} * packing.row_granule, (matrix.rows + 63) / 64 * 64);
  for (int32_t expert = matrix.num_experts - 1; expert >= 0; --expert) {
    for (int64_t begin = (matrix.rows - 1) / piece * piece; begin >= 0; begin -= piece) {
      const int64_t end = std::min<int64_t>(matrix.rows, begin + piece);
      const int64_t first = (int64_t{expert} * matrix.rows + begin) * matrix.cols, size = (end - begin) * matrix.cols;
      DeviceMemory src(is_bf16 ? 2 * size : size / 2), scales(is_bf16 ? 1 : size / 32);
      src.upload(is_bf16 ? static_cast<const void*>(matrix.values.data() + first) : matrix.blocks.data() + first / 2);
      if (!is_bf16) scales.upload(matrix.scales.data() + first / 32);
      const mk_pack_args args{sizeof(args), &desc,      expert,
                              static_cast<int32_t>(begin), static_cast<int32_t>(end), src.data(),
                              is_bf16 ? nullptr : scales.data(), packed->data()};
      mk_error error{};
      const mk_status status = packing.pack(&args, test_stream(), &error);
      expect(status == MK_OK, "pack failed with status %d: %s", status, error.message);
      expect_cuda(cudaStreamSynchronize(test_stream()), "pack");
    }
  }
  packed->expect_canary("packed matrix");
  return packed;
}

// ---- mirror ---------------------------------------------------------------------------------------------------------

namespace {

// The host's bytes as the device is given them: rows past the count and outputs are garbage.
std::vector<uint8_t> image_of(const Array& array) {
  const int64_t size = size_of(array.device_dtype), row_bytes = array.cols * size;
  const int64_t used = array.count == nullptr ? array.rows : *array.count;
  std::vector<uint8_t> image(static_cast<size_t>(array.rows * row_bytes));
  poison(image.data(), array.rows * row_bytes, array.device_dtype);
  if (array.role == Role::kOut) return image;
  if (array.device_dtype == array.host_dtype) {
    if (used > 0) std::memcpy(image.data(), array.host, static_cast<size_t>(used * row_bytes));
    return image;
  }
  const auto* floats = static_cast<const float*>(array.host);
  for (int64_t i = 0; i < used * array.cols; ++i) {
    const uint16_t bits = std::isnan(floats[i]) ? uint16_t{0xFFFF} : to_bf16(floats[i]);
    std::memcpy(image.data() + 2 * i, &bits, 2);
  }
  return image;
}

}  // namespace

void* Mirror::add(const char* name, const void* host, mk_dtype device_dtype, mk_dtype host_dtype, int64_t rows, int64_t cols,
                  const int32_t* count, Role role, int64_t parts, int64_t compared_cols) {
  if (host == nullptr) return nullptr;
  for (Array& array : arrays_) {
    if (array.host == host) return array.memory->data();
  }
  const int64_t compared = compared_cols == 0 ? cols : compared_cols;
  Array array{name, host, device_dtype, host_dtype, rows, cols, parts, compared, count, role, {}, nullptr};
  array.image = image_of(array);
  array.memory = std::make_unique<DeviceMemory>(static_cast<int64_t>(array.image.size()));
  arrays_.push_back(std::move(array));
  return arrays_.back().memory->data();
}

int32_t* Mirror::count(const int32_t* host, int32_t room) {
  auto [at, is_new] = counts_.try_emplace(host);
  Count& count = at->second;
  if (is_new) {
    count.value = count.used = count.bound = *host;
    count.room = room;
    count.memory = std::make_unique<DeviceMemory>(sizeof(int32_t));
  }
  count.room = std::min(count.room, room);
  return static_cast<int32_t*>(count.memory->data());
}

const int32_t* Mirror::bound(const int32_t* host) { return &counts_.at(host).bound; }

mk_buffer Mirror::buffer(const char* name, const mk_buffer& host, mk_dtype dtype, Role role, int64_t parts,
                         int64_t compared_cols) {
  mk_buffer device = host;
  device.num_rows = count(host.num_rows, host.max_rows);
  device.launch_rows = bound(host.num_rows);
  device.data = add(name, host.data, dtype, dtype, host.max_rows, host.cols, host.num_rows, role, parts, compared_cols);
  return device;
}

mk_weight Mirror::weight(const char* name, const mk_weight& host) {
  mk_weight device = host;
  if (host.data == nullptr) return device;
  if (host.dtype == MK_F32) {
    device.data = add(name, host.data, MK_F32, MK_F32, host.num_experts, host.rows, nullptr, Role::kIn);
  } else {
    const auto at = matrices_.find(host.data);
    expect(at != matrices_.end(), "%s was not packed", name);
    device.data = at->second;
  }
  return device;
}

mk_kv Mirror::kv(const mk_kv& host, int32_t max_rows, Role role) {
  mk_kv device = host;
  const int64_t rows = int64_t{host.num_blocks} * host.num_kv_heads * host.block_size;
  device.k = add("kv.k", host.k, host.dtype, MK_F32, rows, host.head_dim, nullptr, role);
  device.v = add("kv.v", host.v, host.dtype, MK_F32, rows, host.head_dim, nullptr, role);
  device.table = array("kv.table", host.table, int64_t{max_rows} * host.max_blocks);
  return device;
}

const int32_t* Mirror::step_array(const char* name, const int32_t* host, int64_t count, int64_t room) {
  if (host == nullptr) return nullptr;
  std::vector<int32_t>& image = step_images_.emplace_back(static_cast<size_t>(room), 0x7B7B7B7B);
  std::copy_n(host, count, image.begin());
  return array(name, static_cast<const int32_t*>(image.data()), room);
}

const mk_step* Mirror::step(const mk_step* host) {
  mk_step& device = steps_.emplace_back(*host);
  const int32_t tokens = *host->num_tokens, seqs = *host->num_seqs;
  device.max_tokens = tokens + kSpareRows;
  device.max_seqs = seqs + kSpareRows;
  device.num_tokens = count(host->num_tokens, device.max_tokens);
  device.num_seqs = count(host->num_seqs, device.max_seqs);
  device.launch_tokens = bound(host->num_tokens);
  device.launch_seqs = bound(host->num_seqs);
  device.token_ids = step_array("step.token_ids", host->token_ids, tokens, device.max_tokens);
  device.positions = step_array("step.positions", host->positions, tokens, device.max_tokens);
  device.token_seqs = step_array("step.token_seqs", host->token_seqs, tokens, device.max_tokens);
  device.seq_rows = step_array("step.seq_rows", host->seq_rows, seqs, device.max_seqs);
  device.query_starts = step_array("step.query_starts", host->query_starts, seqs + 1, device.max_seqs + 1);
  device.seq_lens = step_array("step.seq_lens", host->seq_lens, seqs, device.max_seqs);
  query_len_[0] = query_len_[1] = *host->launch_query_len;
  query_len_[2] = device.max_tokens;
  seq_len_[0] = *host->launch_seq_len;
  seq_len_[1] = host->max_seq_len;
  launch_query_len_ = query_len_[0];  // bounds are tight at first, as those of counts are
  launch_seq_len_ = seq_len_[0];
  device.launch_query_len = &launch_query_len_;
  device.launch_seq_len = &launch_seq_len_;
  return &device;
}

const mk_row_sampling* Mirror::sampling(const mk_row_sampling* host, int32_t max_rows, int32_t global_vocab) {
  mk_row_sampling& device = samplings_.emplace_back(*host);
  const auto each = [&](const char* name, auto*& pointer, int64_t count) { pointer = array(name, pointer, count); };
  each("temperature", device.temperature, max_rows);
  each("top_k", device.top_k, max_rows);
  each("top_p", device.top_p, max_rows);
  each("min_p", device.min_p, max_rows);
  each("presence_penalty", device.presence_penalty, max_rows);
  each("frequency_penalty", device.frequency_penalty, max_rows);
  each("repetition_penalty", device.repetition_penalty, max_rows);
  each("seed", device.seed, max_rows);
  each("num_prompt_tokens", device.num_prompt_tokens, max_rows);
  each("min_seq_len", device.min_seq_len, max_rows);
  each("num_top_logprobs", device.num_top_logprobs, max_rows);
  each("stop_counts", device.stop_counts, max_rows);
  each("stop_ids", device.stop_ids, int64_t{max_rows} * host->max_stop_ids);
  each("bias_counts", device.bias_counts, max_rows);
  each("bias_ids", device.bias_ids, int64_t{max_rows} * host->max_biases);
  each("bias_values", device.bias_values, int64_t{max_rows} * host->max_biases);
  // Without a masked row there is one word, which nobody reads.
  const bool has_masks = std::any_of(host->has_mask, host->has_mask + max_rows, [](int32_t has) { return has != 0; });
  each("has_mask", device.has_mask, max_rows);
  each("allowed_masks", device.allowed_masks, has_masks ? max_rows * ((int64_t{global_vocab} + 31) / 32) : 1);
  return &device;
}

void Mirror::set_counts(int32_t all, int32_t used) {
  for (auto& [host, count] : counts_) count.used = used == 0 ? 0 : count.value == all ? used : count.value;
}

void Mirror::set_bounds(Bounds bounds) {
  for (auto& [host, count] : counts_) count.bound = bounds == Bounds::kTight ? count.used : count.room;
  launch_query_len_ = query_len_[static_cast<int>(bounds)];
  launch_seq_len_ = seq_len_[bounds == Bounds::kTight ? 0 : 1];
}

void Mirror::reset() {
  for (Array& array : arrays_) array.memory->upload(array.image.data());
  for (auto& [host, count] : counts_) count.memory->upload(&count.used);
}

void Mirror::expect_canaries() const {
  for (const Array& array : arrays_) array.memory->expect_canary(array.name.c_str());
  for (const auto& [host, count] : counts_) count.memory->expect_canary("a count");
}

// ---- the arguments of each op ---------------------------------------------------------------------------------------

namespace {

// Persistent rows up to the last that is named; one where none is.
int32_t num_rows_of(const int32_t* rows, int32_t count) {
  return count == 0 ? 1 : 1 + *std::max_element(rows, rows + count);
}

int32_t num_rows_of(const mk_step& step) { return num_rows_of(step.seq_rows, *step.num_seqs); }

int32_t num_blocks_of(const int32_t* table, int32_t count) {
  return count == 0 ? 0 : 1 + *std::max_element(table, table + count);
}

}  // namespace

mk_begin_step_args mirrored(Mirror* mirror, mk_begin_step_args args) {
  const int32_t tokens = *args.step->num_tokens, rows = num_rows_of(*args.step);
  const int32_t num_blocks = num_blocks_of(args.table, rows * args.max_blocks);
  args.step = mirror->step(args.step);
  args.planned_ids = mirror->array("planned_ids", args.planned_ids, tokens);
  args.last_sampled = mirror->array("last_sampled", args.last_sampled, rows);
  args.token_ids = mirror->array("token_ids", args.token_ids, tokens, Role::kOut);
  args.history = mirror->array("history", args.history, int64_t{num_blocks} * args.block_size, Role::kInOut);
  args.table = mirror->array("table", args.table, int64_t{rows} * args.max_blocks);
  return args;
}

mk_rope_table_args mirrored(Mirror* mirror, mk_rope_table_args args) {
  args.step = mirror->step(args.step);
  args.inv_freq = mirror->array("inv_freq", args.inv_freq, args.out.cols / 2);
  args.out = mirror->buffer("out", args.out, MK_F32, Role::kOut);
  return args;
}

mk_embed_args mirrored(Mirror* mirror, mk_embed_args args) {
  args.step = mirror->step(args.step);
  args.weight = mirror->weight("weight", args.weight);
  args.out = mirror->buffer("out", args.out, MK_F32, Role::kOut);
  return args;
}

mk_rms_norm_args mirrored(Mirror* mirror, mk_rms_norm_args args) {
  const bool in_place = args.x.data == args.out.data;
  args.x = mirror->buffer("x", args.x, MK_F32, in_place ? Role::kInOut : Role::kIn);
  args.weight = mirror->weight("weight", args.weight);
  args.out = mirror->buffer("out", args.out, MK_F32, Role::kOut);
  return args;
}

mk_linear_args mirrored(Mirror* mirror, mk_linear_args args) {
  args.x = mirror->buffer("x", args.x, MK_F32, Role::kIn);
  args.weight = mirror->weight("weight", args.weight);
  args.bias = mirror->weight("bias", args.bias);
  args.out = mirror->buffer("out", args.out, MK_F32, args.accumulate != 0 ? Role::kInOut : Role::kOut);
  return args;
}

mk_rope_kv_write_args mirrored(Mirror* mirror, mk_rope_kv_write_args args) {
  const int32_t rows = num_rows_of(*args.step);
  args.step = mirror->step(args.step);
  args.qkv = mirror->buffer("qkv", args.qkv, MK_F32, Role::kInOut, 1, int64_t{args.num_heads} * args.kv.head_dim);
  args.rope = mirror->buffer("rope", args.rope, MK_F32, Role::kIn);
  args.kv = mirror->kv(args.kv, rows, Role::kInOut);
  return args;
}

mk_attention_args mirrored(Mirror* mirror, mk_attention_args args) {
  const int32_t rows = num_rows_of(*args.step);
  args.step = mirror->step(args.step);
  args.qkv = mirror->buffer("qkv", args.qkv, MK_F32, Role::kIn);
  args.sinks = mirror->weight("sinks", args.sinks);
  args.kv = mirror->kv(args.kv, rows, Role::kIn);
  args.out = mirror->buffer("out", args.out, MK_F32, Role::kOut, args.num_heads);
  return args;
}

mk_router_args mirrored(Mirror* mirror, mk_router_args args) {
  args.x = mirror->buffer("x", args.x, MK_F32, Role::kIn);
  args.weight = mirror->weight("weight", args.weight);
  args.bias = mirror->weight("bias", args.bias);
  args.expert_ids = mirror->buffer("expert_ids", args.expert_ids, MK_I32, Role::kOut);
  args.expert_weights = mirror->buffer("expert_weights", args.expert_weights, MK_F32, Role::kOut);
  return args;
}

mk_experts_args mirrored(Mirror* mirror, mk_experts_args args) {
  args.x = mirror->buffer("x", args.x, MK_F32, Role::kIn);
  args.expert_ids = mirror->buffer("expert_ids", args.expert_ids, MK_I32, Role::kIn);
  args.gate_up = mirror->weight("gate_up", args.gate_up);
  args.gate_up_bias = mirror->weight("gate_up_bias", args.gate_up_bias);
  args.down = mirror->weight("down", args.down);
  args.down_bias = mirror->weight("down_bias", args.down_bias);
  args.local_experts = mirror->array("local_experts", args.local_experts, args.num_global_experts);
  args.out = mirror->buffer("out", args.out, MK_F32, Role::kInOut, args.expert_ids.cols);
  return args;
}

mk_combine_args mirrored(Mirror* mirror, mk_combine_args args) {
  args.y = mirror->buffer("y", args.y, MK_F32, Role::kIn);
  args.expert_weights = mirror->buffer("expert_weights", args.expert_weights, MK_F32, Role::kIn);
  args.out = mirror->buffer("out", args.out, MK_F32, Role::kInOut);
  return args;
}

mk_gather_rows_args mirrored(Mirror* mirror, mk_gather_rows_args args) {
  args.row_indices = mirror->array("row_indices", args.row_indices, *args.out.num_rows);
  args.x = mirror->buffer("x", args.x, MK_F32, Role::kIn);
  args.out = mirror->buffer("out", args.out, MK_F32, Role::kOut);
  return args;
}

namespace {

mk_sample_args with_inputs(Mirror* mirror, mk_sample_args args, int32_t global_vocab) {
  const int32_t sampled = *args.num_sampled, rows = num_rows_of(args.rows, sampled);
  const int32_t num_blocks = num_blocks_of(args.history_table, rows * args.max_blocks);
  args.num_sampled = mirror->count(args.num_sampled, args.logits.max_rows);
  args.logits = mirror->buffer("logits", args.logits, MK_F32, Role::kIn);
  args.rows = mirror->array("rows", args.rows, sampled);
  args.seq_lens = mirror->array("seq_lens", args.seq_lens, sampled);
  args.sampling = mirror->sampling(args.sampling, rows, global_vocab);
  args.history_tokens = mirror->array("history_tokens", args.history_tokens, int64_t{num_blocks} * args.block_size);
  args.history_table = mirror->array("history_table", args.history_table, int64_t{rows} * args.max_blocks);
  return args;
}

// (num_sampled, cols), rows past num_sampled not being there.
template <class T>
T* output_of(Mirror* mirror, const char* name, T* host, int32_t rows, int32_t cols) {
  return mirror->array(name, host, rows, Role::kOut, cols);
}

}  // namespace

mk_sample_args mirrored(Mirror* mirror, mk_sample_args args) {
  const int32_t sampled = *args.num_sampled, rows = num_rows_of(args.rows, sampled);
  args = with_inputs(mirror, args, args.logits.cols);
  args.token_ids = output_of(mirror, "token_ids", args.token_ids, sampled, 1);
  args.last_sampled = mirror->array("last_sampled", args.last_sampled, rows, Role::kInOut);
  args.logprobs = output_of(mirror, "logprobs", args.logprobs, sampled, 1);
  args.top_ids = output_of(mirror, "top_ids", args.top_ids, sampled, args.max_top_logprobs);
  args.top_logprobs = output_of(mirror, "top_logprobs", args.top_logprobs, sampled, args.max_top_logprobs);
  return args;
}

mk_sample_shard_args mirrored(Mirror* mirror, mk_sample_shard_args args) {
  const int32_t sampled = *args.sample.num_sampled, candidates = args.max_candidates;
  args.sample = with_inputs(mirror, args.sample, args.global_vocab);
  args.sample.token_ids = args.sample.last_sampled = args.sample.top_ids = nullptr;
  args.sample.logprobs = args.sample.top_logprobs = nullptr;
  args.candidate_ids = output_of(mirror, "candidate_ids", args.candidate_ids, sampled, candidates);
  args.candidate_logits = output_of(mirror, "candidate_logits", args.candidate_logits, sampled, candidates);
  args.candidate_raw = output_of(mirror, "candidate_raw", args.candidate_raw, sampled, candidates);
  args.raw_max = output_of(mirror, "raw_max", args.raw_max, sampled, 1);
  args.raw_sum = output_of(mirror, "raw_sum", args.raw_sum, sampled, 1);
  args.processed_max = output_of(mirror, "processed_max", args.processed_max, sampled, 1);
  args.processed_sum = output_of(mirror, "processed_sum", args.processed_sum, sampled, 1);
  args.best_id = output_of(mirror, "best_id", args.best_id, sampled, 1);
  args.best_score = output_of(mirror, "best_score", args.best_score, sampled, 1);
  args.num_survivors_hint = output_of(mirror, "num_survivors_hint", args.num_survivors_hint, sampled, 1);
  return args;
}

mk_mxfp4_decode_args mirrored(Mirror* mirror, mk_mxfp4_decode_args args) {
  args.blocks = mirror->buffer("blocks", args.blocks, MK_U8, Role::kIn);
  args.scales = mirror->buffer("scales", args.scales, MK_U8, Role::kIn);
  args.out = mirror->buffer("out", args.out, MK_F32, Role::kOut);
  return args;
}

mk_mxfp4_encode_args mirrored(Mirror* mirror, mk_mxfp4_encode_args args) {
  args.x = mirror->buffer("x", args.x, MK_F32, Role::kIn);
  args.blocks = mirror->buffer("blocks", args.blocks, MK_U8, Role::kOut);
  args.scales = mirror->buffer("scales", args.scales, MK_U8, Role::kOut);
  return args;
}

mk_add_args mirrored(Mirror* mirror, mk_add_args args) {
  args.x = mirror->buffer("x", args.x, MK_F32, Role::kIn);
  args.out = mirror->buffer("out", args.out, MK_F32, Role::kInOut);
  return args;
}

// ---- running --------------------------------------------------------------------------------------------------------

const mk_kernel& cuda_kernel(const mk_device& device, const mk_op_instance& part) {
  const mk_package& cuda = package("cuda");
  for (int32_t i = 0; i < cuda.num_kernels; ++i) {
    const mk_kernel& kernel = *cuda.kernels[i];
    if (kernel.num_ops == 1 && kernel.ops[0] == part.op && kernel.supports(&device, &part, 1) == 1) return kernel;
  }
  fail("the cuda package has no kernel for these arguments of op %d", part.op);
}

DeviceKernel::DeviceKernel(const mk_device& device, const mk_kernel& kernel, const mk_op_instance& part) : kernel_(kernel) {
  const auto bytes = [&](int64_t (*count)(const mk_device*, const mk_op_instance*, int32_t)) {
    return count == nullptr ? 0 : count(&device, &part, 1);
  };
  workspace_ = std::make_unique<DeviceMemory>(bytes(kernel.workspace_bytes));
  scratch_ = std::make_unique<DeviceMemory>(bytes(kernel.scratch_bytes));
  scratch_->fill(0);
}

void DeviceKernel::prepare() { workspace_->fill(0xA5); }

void DeviceKernel::launch(const void* args) {
  mk_error error{};
  const mk_status status = kernel_.launch(&args, 1, workspace_->data(), scratch_->data(), test_stream(), &error);
  expect(status == MK_OK, "%s failed with status %d: %s", kernel_.name, status, error.message);
}

void DeviceKernel::run(const void* args) {
  prepare();
  launch(args);
  expect_cuda(cudaStreamSynchronize(test_stream()), kernel_.name);
}

cudaGraphExec_t DeviceKernel::capture(const void* args) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  expect_cuda(cudaStreamBeginCapture(test_stream(), cudaStreamCaptureModeThreadLocal), "capture");
  launch(args);
  expect_cuda(cudaStreamEndCapture(test_stream(), &graph), kernel_.name);
  expect_cuda(cudaGraphInstantiate(&exec, graph, 0), kernel_.name);
  expect_cuda(cudaGraphDestroy(graph), "graph");
  return exec;
}

void DeviceKernel::replay(cudaGraphExec_t graph) {
  prepare();
  expect_cuda(cudaGraphLaunch(graph, test_stream()), kernel_.name);
  expect_cuda(cudaStreamSynchronize(test_stream()), kernel_.name);
}

void DeviceKernel::expect_canaries() const {
  workspace_->expect_canary("workspace");
  scratch_->expect_canary("scratch");
}

// ---- comparison -----------------------------------------------------------------------------------------------------

namespace {

double float_at(const uint8_t* bytes, int64_t index, mk_dtype dtype) {
  if (dtype == MK_BF16) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * index, 2);
    return static_cast<double>(from_bf16(bits));
  }
  float value;
  std::memcpy(&value, bytes + 4 * index, 4);
  return static_cast<double>(value);
}

// One part of one row. NaN and infinities have to be where they are wanted.
void expect_floats(const Array& array, const uint8_t* got, int64_t row, int64_t first, int64_t count, double relative,
                   double absolute, const char* variant) {
  double error = 0, norm = 0;
  const int64_t start = row * array.cols + first;
  for (int64_t c = 0; c < count; ++c) {
    const double g = float_at(got, start + c, array.device_dtype);
    const double w = float_at(static_cast<const uint8_t*>(array.host), start + c, array.host_dtype);
    if (g == w || (std::isnan(g) && std::isnan(w))) {
      norm += std::isfinite(w) ? w * w : 0;
      continue;
    }
    expect(std::isfinite(g) && std::isfinite(w), "%s: %s[%lld, %lld] is %.9g, want %.9g", variant, array.name.c_str(),
           static_cast<long long>(row), static_cast<long long>(first + c), g, w);
    error += (g - w) * (g - w);
    norm += w * w;
  }
  const double allowed = relative * std::sqrt(norm) + absolute * std::sqrt(static_cast<double>(count));
  expect(std::sqrt(error) <= allowed, "%s: %s row %lld from column %lld is off by %.3g of its length %.3g, want %.3g", variant,
         array.name.c_str(), static_cast<long long>(row), static_cast<long long>(first),
         std::sqrt(error) / std::sqrt(norm), std::sqrt(norm), relative);
}

void expect_bytes(const Array& array, const uint8_t* got, const uint8_t* want, int64_t row, int64_t count, const char* variant,
                  const char* why) {
  const int64_t size = size_of(array.device_dtype), start = row * array.cols * size;
  for (int64_t c = 0; c < count; ++c) {
    if (std::memcmp(got + start + c * size, want + start + c * size, static_cast<size_t>(size)) == 0) continue;
    if (array.device_dtype == MK_I32) {
      int32_t g, w;
      std::memcpy(&g, got + start + c * size, 4);
      std::memcpy(&w, want + start + c * size, 4);
      fail("%s: %s[%lld, %lld] is %d, want %d (%s)", variant, array.name.c_str(), static_cast<long long>(row),
           static_cast<long long>(c), g, w, why);
    }
    const bool is_float = array.device_dtype != MK_U8;
    fail("%s: %s[%lld, %lld] is %.9g, want %.9g (%s)", variant, array.name.c_str(), static_cast<long long>(row),
         static_cast<long long>(c), is_float ? float_at(got + start, c, array.device_dtype) : got[start + c],
         is_float ? float_at(want + start, c, array.device_dtype) : want[start + c], why);
  }
}

// bf16 keeps 8 significant bits: rounding moves each element by half a unit of its last place at most, 2^-8 of its power of two
// and so of itself. What holds for each element holds for the length of a row.
constexpr double kBf16Rounding = 1.0 / 256;

bool is_id(mk_dtype dtype) { return dtype == MK_I32 || dtype == MK_U8; }

}  // namespace

// Rows under `used` as the reference has them, and as the first run had them; rows behind as they were. With `all` rows in use
// the arrays without a count are compared whole; with none they must be untouched.
void Comparison::expect_outputs(const Tolerance& tolerance, const char* variant, int32_t all, int32_t used, bool keep) {
  mirror_.expect_canaries();
  for (const Array& array : mirror_.arrays()) {
    std::vector<uint8_t> got(array.image.size());
    array.memory->download(got.data());
    if (array.role == Role::kIn) {
      expect(got == array.image, "%s: %s is an input and was written", variant, array.name.c_str());
      continue;
    }
    const bool has_count = array.count != nullptr || array.rows == all;
    if (!has_count && used != all && used != 0) continue;
    const int64_t live = has_count ? used : used == 0 ? 0 : array.rows;
    for (int64_t row = 0; row < array.rows; ++row) {
      if (row >= live) {
        expect_bytes(array, got.data(), array.image.data(), row, array.cols, variant, "not to be written");
        continue;
      }
      const bool has_first = first_.contains(array.name) && mode_.has_fixed_rows();
      if (has_first) {
        expect_bytes(array, got.data(), first_[array.name].data(), row, array.compared_cols, variant, "bits of the first run");
      }
      if (is_id(array.device_dtype)) {
        expect_bytes(array, got.data(), static_cast<const uint8_t*>(array.host), row, array.compared_cols, variant,
                     "reference");
        continue;
      }
      const int64_t part = array.compared_cols / array.parts;
      const bool is_kv = array.device_dtype != array.host_dtype;
      for (int64_t first = 0; first < array.compared_cols; first += part) {
        const double relative = is_kv ? kBf16Rounding : tolerance.of(mode_);
        expect_floats(array, got.data(), row, first, part, relative, tolerance.absolute, variant);
      }
    }
    if (keep) first_[array.name] = std::move(got);
  }
}

void Comparison::run_variants(const mk_op_instance& part, const Tolerance& tolerance) {
  int32_t all = -1;
  for (const Array& array : mirror_.arrays()) {
    if (array.role != Role::kIn && array.count != nullptr) all = *array.count;
  }
  if (part.op == MK_OP_SAMPLE || part.op == MK_OP_SAMPLE_SHARD || part.op == MK_OP_BEGIN_STEP) {
    for (const Array& array : mirror_.arrays()) {
      if (array.role == Role::kOut) all = static_cast<int32_t>(array.rows);
    }
  }
  const mk_kernel& kernel = cuda_kernel(gpu_.device, part);
  mirror_.set_bounds(Bounds::kWide);
  DeviceKernel device(gpu_.device, kernel, part);

  const auto once = [&](const char* variant, int32_t used, Bounds bounds, bool in_graph, bool keep) {
    mirror_.set_counts(all, used);
    mirror_.set_bounds(bounds);
    mirror_.reset();
    if (in_graph) {
      const cudaGraphExec_t graph = device.capture(part.args);
      device.replay(graph);
      expect_cuda(cudaGraphExecDestroy(graph), "graph");
    } else {
      device.run(part.args);
    }
    device.expect_canaries();
    expect_outputs(tolerance, text("%s, %s", kernel.name, variant).c_str(), all, used, keep);
  };
  once("direct", all, Bounds::kTight, false, true);
  once("direct again", all, Bounds::kTight, false, false);
  once("in a wide graph", all, Bounds::kWide, true, false);
  once("in a wide graph for long queries", all, Bounds::kWideLongQueries, true, false);
  once("in a wide graph without rows", 0, Bounds::kWide, true, false);
  once("without rows", 0, Bounds::kTight, false, false);
  if (!tolerance.has_prefixes || all < 2) return;
  once("half the rows in a wide graph", all / 2, Bounds::kWide, true, false);
  once("half the rows", all / 2, Bounds::kTight, false, false);
  once("one row", 1, Bounds::kTight, false, false);
}

std::vector<uint8_t> Comparison::run_once(const mk_op_instance& part, const char* name) {
  mirror_.set_bounds(Bounds::kTight);
  DeviceKernel device(gpu_.device, cuda_kernel(gpu_.device, part), part);
  mirror_.reset();
  device.run(part.args);
  device.expect_canaries();
  mirror_.expect_canaries();
  for (const Array& array : mirror_.arrays()) {
    if (array.name != name) continue;
    std::vector<uint8_t> got(array.image.size());
    array.memory->download(got.data());
    return got;
  }
  fail("there is no array %s", name);
}

}  // namespace moesaic::test
