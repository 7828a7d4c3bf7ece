// sample_row: what the kernels of sample.cu share: the arguments, the memory between them, and one chunk of one row.
//   Everything after the adjusted float32 logits is double (or 64-bit fixed point) and relative to the largest, as in
//   kernels/reference/sample_row.h; no sum depends on the order in which threads come by.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "moesaic/kernel.h"
#include "philox.cuh"

namespace moesaic::cuda::sampling {

constexpr int kThreads = 512;      // of the kernels that read chunks
constexpr int kChunksPerUnit = 2;  // blocks an SM holds at least: enough loads in flight
constexpr int kFinishThreads = 1024;
constexpr int kPerThread = 8;      // columns: two groups of four neighbours
constexpr int kGroups = kPerThread / 4;
constexpr int kChunk = kThreads * kPerThread;
constexpr int kBins = 2048;        // of the distance to the largest logit, bin_of()
constexpr uint64_t kNoKey = ~uint64_t{0};

// ---- memory
// ------------------------------------------------------------------------------------------------------------

// What chunk_kernel says of one chunk. Columns count from the start of the row.
struct ChunkRecord {
  uint64_t best;         // the lowest key of the allowed columns, kNoKey: none is allowed
  double raw_sum;        // sum exp(l - raw_max) over the columns as they are
  double processed_sum;  // sum exp((p - p of best) / T) over p > -infinity
  double noise;          // of noise_column
  float raw_max;
  float noise_logit;     // p of noise_column
  int32_t noise_column;  // of the largest p / T + noise; -1: no finite p, or not asked for
  uint32_t survivors;    // bins_kernel: of min_p
};

// What collect_kernel says of the columns of one chunk that are sure to be kept.
struct KeptRecord {
  double value;    // the largest (p - largest) / T + noise
  int32_t column;  // -1: none
};

// Where top_k and top_p cut: bins below `low` are kept, those in [low, high] are listed and looked at one by one.
struct Border {
  int32_t low, high;
  uint32_t base_count;    // in bins below low
  uint32_t total_count;
  uint64_t base_weight;   // of bins below low
  uint64_t total_weight;
  int32_t has_top_k;      // top_k is less than there is
};

struct Memory {
  float* adjusted;         // (rows, padded columns) p of rows that are looked at again
  uint16_t* list;          // (rows, padded columns) columns within their chunk, a list per chunk
  uint32_t* list_counts;   // (rows, chunks)
  uint64_t* bin_weights;   // (rows, kBins) fixed point
  uint32_t* bin_counts;    // (rows, kBins)
  ChunkRecord* chunks;     // (rows, chunks)
  KeptRecord* kept;        // (rows, chunks)
  Border* borders;         // (rows)
  uint64_t* raw_keys;      // (rows, chunks, max_top_logprobs) the best keys of the columns as they are
  uint64_t* candidates;    // (rows, max_candidates)
};

// All that the kernels are told, by value. `args.sampling` is the host's; the copy beside it is used.
struct Job {
  mk_sample_args args;
  mk_row_sampling sampling;
  Memory memory;
  int32_t vocab;         // columns
  int32_t begin;         // token id of column 0
  int32_t global_vocab;
  int32_t num_chunks;
  int32_t weight_shift;  // a weight of 1 is 2^weight_shift
  // sample_shard only
  int32_t max_candidates;
  int32_t* candidate_ids;
  float* candidate_logits;
  float* candidate_raw;
  float* raw_max;
  float* raw_sum;
  float* processed_max;
  float* processed_sum;
  int32_t* best_id;
  float* best_score;
  int32_t* num_survivors_hint;
};

// ---- order
// -------------------------------------------------------------------------------------------------------------

__device__ inline float negative_infinity() { return __int_as_float(static_cast<int>(0xFF800000u)); }
__device__ inline float not_a_number() { return __int_as_float(0x7FC00000); }

// Keys in ascending order are columns best first: by logit, both zeros being equal, ties by the lower column.
__device__ inline uint64_t key_of(float logit, int32_t column) {
  const uint32_t bits = logit == 0 ? 0u : __float_as_uint(logit);
  const uint32_t descending = (bits >> 31) != 0 ? bits : ~bits ^ 0x80000000u;
  return static_cast<uint64_t>(descending) << 32 | static_cast<uint32_t>(column);
}
__device__ inline int32_t column_of(uint64_t key) { return static_cast<int32_t>(key & 0x7FFFFFFFu); }
__device__ inline float logit_of(uint64_t key) {
  const uint32_t descending = static_cast<uint32_t>(key >> 32);
  return __uint_as_float((descending >> 31) != 0 ? descending : ~descending ^ 0x80000000u);
}
// A double as an unsigned integer of the same order. Not for NaN.
__device__ inline uint64_t ascending_bits(double value) {
  const auto bits = static_cast<uint64_t>(__double_as_longlong(value));
  return (bits >> 63) != 0 ? ~bits : bits | uint64_t{1} << 63;
}

// l - largest; 0 for equals, infinite ones too.
__device__ inline double below(float logit, float largest) {
  return logit == largest ? 0 : static_cast<double>(logit) - static_cast<double>(largest);
}

// 128 bins an octave from 2^-6 to 2^10, in ascending order of the distance; what is nearer or farther is in the outer bins.
__device__ inline int32_t bin_of(float logit, float largest) {
  const float distance = logit == largest ? 0 : largest - logit;
  const int32_t bin = static_cast<int32_t>(__float_as_uint(distance) >> 16) - ((127 - 6) << 7);
  return min(max(bin, 0), kBins - 1);
}

// ---- reductions: every thread gets the result; operands are joined in one order
// ----------------------------------------

struct Least {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};
struct Greatest {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};
struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

// `shared` has room for 32 values. All threads of a block of whole warps must come.
template <class T, class Op>
__device__ T block_reduce(T value, T neutral, Op op, void* shared) {
  T* parts = static_cast<T*>(shared);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int distance = 16; distance > 0; distance /= 2) value = op(value, __shfl_xor_sync(~0u, value, distance));
  __syncthreads();
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  value = lane < static_cast<int>(blockDim.x) / 32 ? parts[lane] : neutral;
  for (int distance = 16; distance > 0; distance /= 2) value = op(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

// ---- one row
// -----------------------------------------------------------------------------------------------------------

struct Row {
  int64_t index;
  int32_t row;
  int32_t seq_len;
  float temperature;
  bool is_restricted;  // top_k, top_p or min_p cut something away

  __device__ Row(const Job& job, int32_t i) : index(i), row(job.args.rows[i]), seq_len(job.args.seq_lens[i]) {
    const mk_row_sampling& s = job.sampling;
    temperature = s.temperature[row];
    is_restricted = temperature > 0 && (s.top_k[row] > 0 || s.top_p[row] < 1 || s.min_p[row] > 0);
    const int64_t room = static_cast<int64_t>(job.args.max_blocks) * job.args.block_size;
    if (seq_len > room) seq_len = static_cast<int32_t>(room);
  }
  __device__ int64_t chunk(const Job& job, int32_t c) const { return index * job.num_chunks + c; }
};

__device__ inline const float* logits_of(const Job& job, const Row& r) {
  return static_cast<const float*>(job.args.logits.data) + r.index * job.vocab;
}
__device__ inline float* adjusted_of(const Job& job, const Row& r) {
  return job.memory.adjusted + r.index * job.num_chunks * kChunk;
}

// A weight as an integer: sums of any order are equal.
__device__ inline uint64_t weight_of(const Job& job, float logit, float largest, double temperature) {
  return __double2ull_rn(exp(below(logit, largest) / temperature) * static_cast<double>(uint64_t{1} << job.weight_shift));
}

// The column of this thread's n-th value.
__device__ inline int32_t column_at(int n) {
  return static_cast<int32_t>(blockIdx.x) * kChunk + (n / 4 * kThreads + static_cast<int32_t>(threadIdx.x)) * 4 + n % 4;
}

// ---- the noise of one chunk
// --------------------------------------------------------------------------------------------

struct Noisy {
  int32_t column;  // -1: none
  float logit;
  double noise;
};

// The column with the largest (p - shift) / T + noise among this block's columns in `candidates` (bit n: value n), ties to the
// lower column. Float32 finds those that are within 1e-4 of the best, about one a block; only they are computed in double. A
// candidate with a chance has |z| < 30, so that float32 is right to 1e-5 where it matters. Valid in every thread.
__device__ __forceinline__ Noisy best_with_noise(const Job& job, const Row& r, const float (&p)[kPerThread],
                                                 uint32_t candidates, float shift, void* shared, uint64_t* shared_best,
                                                 int32_t* shared_column, Noisy* shared_result) {
  constexpr float kMargin = 1e-4f;
  const uint64_t seed = job.sampling.seed[r.row];
  float rough[kPerThread];
  float rough_best = negative_infinity();
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    uint32_t known = ~0u;
    uint4 words = make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int n = 4 * group + e;
      const auto id = static_cast<uint32_t>(job.begin + column_at(n));
      rough[n] = negative_infinity();
      if ((candidates >> n & 1) == 0) continue;
      if (id / 4 != known) words = noise_words(seed, r.seq_len, known = id / 4);
      const float z = p[n] == shift ? 0 : (p[n] - shift) / r.temperature;
      rough[n] = z + rough_gumbel(word_of(words, id % 4));
      rough_best = fmaxf(rough_best, rough[n]);
    }
  }
  rough_best = block_reduce(rough_best, negative_infinity(), Greatest{}, shared);
  if (threadIdx.x == 0) {
    *shared_best = 0;
    *shared_column = INT32_MAX;
    *shared_result = {-1, negative_infinity(), 0};
  }
  __syncthreads();
  Noisy own{-1, negative_infinity(), 0};
  uint64_t own_value = 0;
#pragma unroll
  for (int n = 0; n < kPerThread; ++n) {
    if ((candidates >> n & 1) == 0 || !(rough[n] >= rough_best - kMargin)) continue;
    const auto id = static_cast<uint32_t>(job.begin + column_at(n));
    const double noise = gumbel(word_of(noise_words(seed, r.seq_len, id / 4), id % 4));
    const uint64_t value = ascending_bits(below(p[n], shift) / static_cast<double>(r.temperature) + noise);
    if (own.column >= 0 && value <= own_value) continue;
    own = {column_at(n), p[n], noise};
    own_value = value;
  }
  if (own.column >= 0) atomicMax(reinterpret_cast<unsigned long long*>(shared_best), own_value);
  __syncthreads();
  const bool is_best = own.column >= 0 && own_value == *shared_best;
  if (is_best) atomicMin(shared_column, own.column);
  __syncthreads();
  if (is_best && own.column == *shared_column) *shared_result = own;
  __syncthreads();
  return *shared_result;
}

}  // namespace moesaic::cuda::sampling
