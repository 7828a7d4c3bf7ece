// sample and sample_shard: the next token of each sampling sequence; kernel.h says the steps
//   logits (rows, vocab) f32, only read · outputs as in mk_sample_args and mk_sample_shard_args
//   Four launches, whatever the rows ask for; a block whose row does not need a step returns at once:
//     chunk    4096 columns of a row: adjust, the best, the best with noise, sums and best few of the raw logits
//     bins     rows with top_k, top_p or min_p (and shards): columns and weights by distance to the row's largest logit
//     collect  where top_k and top_p cut, by the bins: noise for columns on the kept side, a list of those in the bins cut
//              through
//     finish   joins the chunks of a row, cuts the list exactly by radix selection, writes the outputs
//   Columns of history, biases and stop ids are found by their owners: each block walks the row's history and counts what
//   falls into its chunk, in shared memory. Counts and weights are integers (fixed point), so that atomics keep their
//   sums exact.
//   bound: memory; greedy rows and rows with a temperature alone are read once, 804 KB a row of 201,088 columns: 64 rows 51 MB
//   oracle: kernels/reference/sample.cc, sample_shard.cc
//   Sources: Philox, Salmon et al. 2011; the order of steps is vLLM's.
#include <algorithm>

#include "cuda_kernel.h"
#include "kernels.h"
#include "sample_finish.cuh"

namespace moesaic::cuda {

namespace sampling {

// ---- host
// --------------------------------------------------------------------------------------------------------------

int32_t num_chunks(const mk_sample_args& args) { return static_cast<int32_t>(ceil_div(args.logits.cols, kChunk)); }

// Parts of the workspace one after the other; with no memory it only counts.
class Carver {
 public:
  explicit Carver(void* memory) : memory_(static_cast<char*>(memory)) {}
  template <class T>
  T* take(int64_t count) {
    T* part = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + bytes_);
    bytes_ += ceil_div(count * static_cast<int64_t>(sizeof(T)), 64) * 64;
    return part;
  }
  int64_t bytes() const { return bytes_; }

 private:
  char* const memory_;
  int64_t bytes_ = 0;
};

Memory carve(Carver* carver, const mk_sample_args& args, int32_t max_candidates) {
  const int64_t rows = args.logits.max_rows, chunks = rows * num_chunks(args);
  Memory memory{};
  memory.adjusted = carver->take<float>(chunks * kChunk);
  memory.list = carver->take<uint16_t>(chunks * kChunk);
  memory.list_counts = carver->take<uint32_t>(chunks);
  memory.bin_weights = carver->take<uint64_t>(rows * kBins);
  memory.bin_counts = carver->take<uint32_t>(rows * kBins);
  memory.chunks = carver->take<ChunkRecord>(chunks);
  memory.kept = carver->take<KeptRecord>(chunks);
  memory.borders = carver->take<Border>(rows);
  memory.raw_keys = carver->take<uint64_t>(chunks * args.max_top_logprobs);
  memory.candidates = carver->take<uint64_t>(rows * max_candidates);
  return memory;
}

int64_t workspace_bytes(const mk_sample_args& args, int32_t max_candidates) {
  Carver carver(nullptr);
  carve(&carver, args, max_candidates);
  return carver.bytes();
}

// The largest of 2^44 (what three limbs hold) and what lets a whole row of ones fit into 62 bits.
int32_t weight_shift(int32_t vocab) {
  int32_t bits = 0;
  while (bits < 31 && (int64_t{1} << bits) < vocab) ++bits;
  return std::min(44, 62 - bits);
}

bool constants_fit(const mk_sample_args& args) {
  return args.logits.max_rows > 0 && args.logits.max_rows <= 65535 && args.logits.cols > 0 && args.max_blocks > 0 &&
         args.block_size > 0 && args.max_top_logprobs >= 0;
}

// What both ops ask of their arguments; pointers to the device are only looked at for being there.
mk_status check(const mk_sample_args& args, mk_error* error) {
  const mk_row_sampling* s = args.sampling;
  if (!constants_fit(args)) return refuse(error, MK_INVALID_ARGUMENT, "sample: sizes out of range");
  if (s == nullptr || s->struct_size < sizeof(mk_row_sampling))
    return refuse(error, MK_INVALID_ARGUMENT, "sample: sampling is NULL or too small");
  const void* const pointers[] = {args.logits.data,     args.logits.launch_rows, args.num_sampled,
                                  args.rows,            args.seq_lens,           args.history_tokens,
                                  args.history_table,   s->temperature,          s->top_k,
                                  s->top_p,             s->min_p,                s->presence_penalty,
                                  s->frequency_penalty, s->repetition_penalty,   s->seed,
                                  s->num_prompt_tokens, s->min_seq_len,          s->num_top_logprobs,
                                  s->stop_counts,       s->stop_ids,             s->bias_counts,
                                  s->bias_ids,          s->bias_values,          s->has_mask,
                                  s->allowed_masks};
  for (const void* pointer : pointers) {
    if (pointer == nullptr) return refuse(error, MK_INVALID_ARGUMENT, "sample: a pointer is NULL");
  }
  const int32_t rows = *args.logits.launch_rows;
  if (rows < 0 || rows > args.logits.max_rows)
    return refuse(error, MK_INVALID_ARGUMENT, "sample: logits.launch_rows is %d, want 0 to %d", rows, args.logits.max_rows);
  return MK_OK;
}

Job job_of(const mk_sample_args& args, void* workspace, int32_t max_candidates) {
  Job job{};
  Carver carver(workspace);
  job.args = args;
  job.sampling = *args.sampling;
  job.memory = carve(&carver, args, max_candidates);
  job.vocab = job.global_vocab = args.logits.cols;
  job.num_chunks = num_chunks(args);
  job.weight_shift = weight_shift(args.logits.cols);
  job.max_candidates = max_candidates;
  return job;
}

template <bool kShard>
void queue_chunks(const Job& job, uint32_t rows, cudaStream_t stream) {
  const dim3 grid(static_cast<uint32_t>(job.num_chunks), rows);
  chunk_kernel<kShard><<<grid, kThreads, 0, stream>>>(job);
  bins_kernel<kShard><<<grid, kThreads, 0, stream>>>(job);
  collect_kernel<kShard><<<grid, kThreads, 0, stream>>>(job);
}

}  // namespace sampling

namespace {

bool sample_shapes(const mk_sample_args& args, const mk_device&) { return sampling::constants_fit(args); }

int64_t sample_workspace(const mk_sample_args& args, const mk_device&) { return sampling::workspace_bytes(args, 0); }

mk_status sample_run(const mk_sample_args& args, void* workspace, void*, cudaStream_t stream, mk_error* error) {
  const mk_status status = sampling::check(args, error);
  if (status != MK_OK) return status;
  if (args.token_ids == nullptr || args.last_sampled == nullptr || args.logprobs == nullptr ||
      (args.max_top_logprobs > 0 && (args.top_ids == nullptr || args.top_logprobs == nullptr)))
    return refuse(error, MK_INVALID_ARGUMENT, "sample: an output is NULL");
  const auto rows = static_cast<uint32_t>(*args.logits.launch_rows);
  if (rows == 0) return MK_OK;
  const sampling::Job job = sampling::job_of(args, workspace, 0);
  sampling::queue_chunks<false>(job, rows, stream);
  sampling::finish_kernel<<<rows, sampling::kFinishThreads, 0, stream>>>(job);
  return MK_OK;
}

bool shard_shapes(const mk_sample_shard_args& args, const mk_device&) {
  const int64_t end = static_cast<int64_t>(args.vocab_begin) + args.sample.logits.cols;
  return sampling::constants_fit(args.sample) && args.vocab_begin >= 0 && end <= args.global_vocab && args.max_candidates >= 1;
}

int64_t shard_workspace(const mk_sample_shard_args& args, const mk_device&) {
  return sampling::workspace_bytes(args.sample, args.max_candidates);
}

mk_status shard_run(const mk_sample_shard_args& args, void* workspace, void*, cudaStream_t stream, mk_error* error) {
  const mk_status status = sampling::check(args.sample, error);
  if (status != MK_OK) return status;
  if (!shard_shapes(args, mk_device{}))
    return refuse(error, MK_INVALID_ARGUMENT,
                  "sample_shard: the shard is not within the vocabulary, or max_candidates below 1");
  const void* const outputs[] = {args.candidate_ids, args.candidate_logits, args.candidate_raw, args.raw_max, args.raw_sum,
                                 args.processed_max, args.processed_sum,    args.best_id,       args.best_score};
  for (const void* output : outputs) {
    if (output == nullptr) return refuse(error, MK_INVALID_ARGUMENT, "sample_shard: an output is NULL");
  }
  const auto rows = static_cast<uint32_t>(*args.sample.logits.launch_rows);
  if (rows == 0) return MK_OK;
  sampling::Job job = sampling::job_of(args.sample, workspace, args.max_candidates);
  job.begin = args.vocab_begin;
  job.global_vocab = args.global_vocab;
  job.candidate_ids = args.candidate_ids;
  job.candidate_logits = args.candidate_logits;
  job.candidate_raw = args.candidate_raw;
  job.raw_max = args.raw_max;
  job.raw_sum = args.raw_sum;
  job.processed_max = args.processed_max;
  job.processed_sum = args.processed_sum;
  job.best_id = args.best_id;
  job.best_score = args.best_score;
  job.num_survivors_hint = args.num_survivors_hint;
  sampling::queue_chunks<true>(job, rows, stream);
  sampling::finish_shard_kernel<<<rows, sampling::kFinishThreads, 0, stream>>>(job);
  return MK_OK;
}

}  // namespace

const mk_kernel sample_kernel =
    CudaKernel<MK_OP_SAMPLE, mk_sample_args, sample_shapes, sample_run, sample_workspace>::offer("sample_f32");
const mk_kernel sample_shard_kernel =
    CudaKernel<MK_OP_SAMPLE_SHARD, mk_sample_shard_args, shard_shapes, shard_run, shard_workspace>::offer("sample_shard_f32");

}  // namespace moesaic::cuda
