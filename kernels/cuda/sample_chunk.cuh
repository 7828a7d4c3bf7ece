// sample, chunk: step 2 of kernel.h and one look at every column.
#pragma once

#include "sample_row.cuh"

namespace moesaic::cuda::sampling {

using Atomic64 = unsigned long long;


__device__ void load(const Job& job, const Row& r, float (&values)[kPerThread], uint32_t* in_range) {
  const float* logits = logits_of(job, r);
  *in_range = 0;
  if (job.vocab % 4 == 0) {
#pragma unroll
    for (int group = 0; group < kGroups; ++group) {
      const int32_t column = column_at(4 * group);
      float4 four = make_float4(0, 0, 0, 0);
      if (column < job.vocab) {
        four = *reinterpret_cast<const float4*>(logits + column);
        *in_range |= 15u << (4 * group);
      }
      values[4 * group] = four.x;
      values[4 * group + 1] = four.y;
      values[4 * group + 2] = four.z;
      values[4 * group + 3] = four.w;
    }
  } else {
#pragma unroll
    for (int n = 0; n < kPerThread; ++n) {
      values[n] = 0;
      if (column_at(n) < job.vocab) {
        values[n] = logits[column_at(n)];
        *in_range |= 1u << n;
      }
    }
  }
#pragma unroll
  for (int n = 0; n < kPerThread; ++n) {
    if ((*in_range >> n & 1) == 0 || values[n] != values[n]) values[n] = negative_infinity();
  }
}

// sum exp(x - largest) over the values of the whole block that `mask` names, in one order.
// The loop is not unrolled, an exp being long; values are picked by comparing, since an array with a changing index would leave
// the registers.
__device__ __forceinline__ double block_sum_exp(const float (&values)[kPerThread], uint32_t mask, float largest,
                                                double temperature, void* shared) {
  double sum = 0;
#pragma unroll 1
  for (int n = 0; n < kPerThread; ++n) {
    float value = 0;
#pragma unroll
    for (int m = 0; m < kPerThread; ++m) value = m == n ? values[m] : value;
    if ((mask >> n & 1) != 0) sum += exp(below(value, largest) / temperature);
  }
  return block_reduce(sum, 0.0, Plus{}, shared);
}

// The block's best `count` keys above -1, ascending; kNoKey where there are no more.
__device__ void report_best_raw(const float (&values)[kPerThread], uint32_t in_range, int32_t count, uint64_t* out,
                                void* shared) {
  uint64_t last = 0;
  for (int32_t rank = 0; rank < count; ++rank) {
    uint64_t best = kNoKey;
#pragma unroll
    for (int n = 0; n < kPerThread; ++n) {
      const uint64_t key = key_of(values[n], column_at(n));
      if ((in_range >> n & 1) != 0 && key > last && key < best) best = key;
    }
    best = block_reduce(best, kNoKey, Least{}, shared);
    if (threadIdx.x == 0) out[rank] = best;
    last = best;
  }
}

constexpr uint32_t kInPrompt = 1u << 31;

// How often each column of this chunk occurs in the output, and whether in the prompt.
__device__ void count_history(const Job& job, const Row& r, uint32_t* counts) {
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < kChunk; c += kThreads) counts[c] = 0;
  __syncthreads();
  const int32_t* table = job.args.history_table + static_cast<int64_t>(r.row) * job.args.max_blocks;
  const int32_t num_prompt = job.sampling.num_prompt_tokens[r.row];
  const int64_t first_id = static_cast<int64_t>(job.begin) + static_cast<int64_t>(blockIdx.x) * kChunk;
#pragma unroll 4
  for (int32_t p = static_cast<int32_t>(threadIdx.x); p < r.seq_len; p += kThreads) {
    const int32_t block = table[p / job.args.block_size];
    if (block < 0) continue;
    const int32_t id = job.args.history_tokens[static_cast<int64_t>(block) * job.args.block_size + p % job.args.block_size];
    const int64_t place = id - first_id;
    if (place < 0 || place >= kChunk) continue;
    if (p < num_prompt) {
      atomicOr(&counts[place], kInPrompt);
    } else {
      atomicAdd(&counts[place], 1u);
    }
  }
  __syncthreads();
}

// Rounded after every operation, as the reference is compiled: no fused multiply-add.
__device__ void apply_penalties(const Job& job, const Row& r, float (&values)[kPerThread], uint32_t* counts) {
  const float repetition = job.sampling.repetition_penalty[r.row];
  const float frequency = job.sampling.frequency_penalty[r.row], presence = job.sampling.presence_penalty[r.row];
  if (repetition == 1 && frequency == 0 && presence == 0) return;
  count_history(job, r, counts);
#pragma unroll
  for (int n = 0; n < kPerThread; ++n) {
    const uint32_t seen = counts[column_at(n) - static_cast<int32_t>(blockIdx.x) * kChunk], count = seen & ~kInPrompt;
    float& value = values[n];
    if (seen != 0) value = value > 0 ? __fdiv_rn(value, repetition) : __fmul_rn(value, repetition);
    if (count != 0) value = __fsub_rn(__fsub_rn(value, __fmul_rn(frequency, static_cast<float>(count))), presence);
  }
}

// Which of this thread's values token id `id` is; -1: none.
__device__ int owned_value(const Job& job, int32_t id) {
  const int64_t place = static_cast<int64_t>(id) - job.begin - static_cast<int64_t>(blockIdx.x) * kChunk;
  if (place < 0 || place >= kChunk || place / 4 % kThreads != static_cast<int64_t>(threadIdx.x)) return -1;
  return static_cast<int>(place / (4 * kThreads) * 4 + place % 4);
}

__device__ void apply_biases(const Job& job, const Row& r, float (&values)[kPerThread]) {
  const int64_t first = static_cast<int64_t>(r.row) * job.sampling.max_biases;
  const int32_t count = min(job.sampling.bias_counts[r.row], job.sampling.max_biases);
  for (int64_t at = first; at < first + count; ++at) {
    const int owned = owned_value(job, job.sampling.bias_ids[at]);
    if (owned < 0) continue;
    const float bias = job.sampling.bias_values[at];
#pragma unroll
    for (int n = 0; n < kPerThread; ++n) {
      if (n == owned) values[n] = __fadd_rn(values[n], bias);
    }
  }
}

__device__ uint32_t allowed_values(const Job& job, const Row& r, uint32_t in_range) {
  uint32_t allowed = in_range;
  if (job.sampling.has_mask[r.row] != 0) {
    const uint32_t* mask = job.sampling.allowed_masks + r.row * ((static_cast<int64_t>(job.global_vocab) + 31) / 32);
#pragma unroll
    for (int n = 0; n < kPerThread; ++n) {
      const int32_t id = job.begin + column_at(n);
      if ((allowed >> n & 1) != 0 && (mask[id / 32] >> (id % 32) & 1) == 0) allowed &= ~(1u << n);
    }
  }
  if (r.seq_len >= job.sampling.min_seq_len[r.row]) return allowed;
  const int64_t first = static_cast<int64_t>(r.row) * job.sampling.max_stop_ids;
  const int32_t count = min(job.sampling.stop_counts[r.row], job.sampling.max_stop_ids);
  for (int64_t at = first; at < first + count; ++at) {
    const int owned = owned_value(job, job.sampling.stop_ids[at]);
    if (owned >= 0) allowed &= ~(1u << owned);
  }
  return allowed;
}

// Values that have a say: allowed and above -infinity.
__device__ uint32_t possible_values(const float (&values)[kPerThread], uint32_t allowed) {
  uint32_t possible = 0;
#pragma unroll
  for (int n = 0; n < kPerThread; ++n) {
    if ((allowed >> n & 1) != 0 && values[n] != negative_infinity()) possible |= 1u << n;
  }
  return possible;
}

struct ChunkShared {
  uint64_t parts[32];
  uint64_t noisy_value;
  Noisy noisy;
  int32_t noisy_column;
};

template <bool kShard>
__global__ void __launch_bounds__(kThreads, kChunksPerUnit) chunk_kernel(const __grid_constant__ Job job) {
  __shared__ ChunkShared shared;
  __shared__ uint32_t counts[kChunk];
  if (static_cast<int32_t>(blockIdx.y) >= *job.args.num_sampled) return;
  const Row r(job, static_cast<int32_t>(blockIdx.y));
  const auto chunk = static_cast<int32_t>(blockIdx.x);
  const bool is_first = threadIdx.x == 0;
  ChunkRecord& record = job.memory.chunks[r.chunk(job, chunk)];

  float values[kPerThread];
  uint32_t in_range;
  load(job, r, values, &in_range);
  const int32_t num_top = kShard ? 0 : min(job.sampling.num_top_logprobs[r.row], job.args.max_top_logprobs);
  if (kShard || num_top >= 0) {
    float largest = values[0];
#pragma unroll
    for (int n = 1; n < kPerThread; ++n) largest = fmaxf(largest, values[n]);
    largest = block_reduce(largest, negative_infinity(), Greatest{}, shared.parts);
    const double sum = block_sum_exp(values, in_range, largest, 1, shared.parts);
    if (is_first) {
      record.raw_max = largest;
      record.raw_sum = sum;
    }
    report_best_raw(values, in_range, num_top, job.memory.raw_keys + r.chunk(job, chunk) * job.args.max_top_logprobs,
                    shared.parts);
  }

  apply_penalties(job, r, values, counts);
  apply_biases(job, r, values);
  const uint32_t allowed = allowed_values(job, r, in_range);
  uint64_t best = kNoKey;
#pragma unroll
  for (int n = 0; n < kPerThread; ++n) {
    if ((allowed >> n & 1) == 0 || values[n] != values[n]) values[n] = negative_infinity();
    if ((allowed >> n & 1) != 0) best = min(best, key_of(values[n], column_at(n)));
  }
  best = block_reduce(best, kNoKey, Least{}, shared.parts);
  if (is_first) {
    record.best = best;
    record.processed_sum = 0;
    record.noise_column = -1;
    record.survivors = 0;
  }

  const uint32_t possible = possible_values(values, allowed);
  const float largest = best == kNoKey ? negative_infinity() : logit_of(best);
  if (r.temperature > 0 && largest != negative_infinity() && (kShard || !r.is_restricted)) {
    const Noisy noisy = best_with_noise(job, r, values, possible, largest, shared.parts, &shared.noisy_value,
                                        &shared.noisy_column, &shared.noisy);
    if (is_first) {
      record.noise = noisy.noise;
      record.noise_logit = noisy.logit;
      record.noise_column = noisy.column;
    }
    if (kShard) {
      const double sum = block_sum_exp(values, possible, largest, static_cast<double>(r.temperature), shared.parts);
      if (is_first) record.processed_sum = sum;
    }
  }
  if (!kShard && !r.is_restricted) return;

  // For the steps to come: p, and empty bins.
  float* adjusted = adjusted_of(job, r);
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    *reinterpret_cast<float4*>(adjusted + column_at(4 * group)) =
        make_float4(values[4 * group], values[4 * group + 1], values[4 * group + 2], values[4 * group + 3]);
  }
  const int32_t share = (kBins + job.num_chunks - 1) / job.num_chunks;
  const int32_t first = chunk * share + static_cast<int32_t>(threadIdx.x), end = min(kBins, (chunk + 1) * share);
  for (int32_t bin = first; bin < end; bin += kThreads) {
    job.memory.bin_counts[r.index * kBins + bin] = 0;
    job.memory.bin_weights[r.index * kBins + bin] = 0;
  }
}

}  // namespace moesaic::cuda::sampling
