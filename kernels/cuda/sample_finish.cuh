// sample, finish: one block per row joins its chunks, cuts the list exactly and writes the outputs, of a row or of a shard.
#pragma once

#include "sample_bins.cuh"

namespace moesaic::cuda::sampling {

constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int32_t kCachedEntries = 4096;

struct FinishShared {
  uint64_t parts[32];
  uint64_t keys[kCachedEntries];
  uint64_t sizes[kDigits];
  uint32_t counts[kDigits];
  uint64_t target;
  uint32_t num_keys;
  uint32_t num_chosen;
  int32_t digit;
};

// The list of a row: all columns in the bins that are cut through. A short one is held as keys in shared memory.
struct List {
  const Job& job;
  const Row& r;
  FinishShared* shared;
  bool is_cached;

  __device__ List(const Job& job, const Row& r, FinishShared* shared) : job(job), r(r), shared(shared), is_cached(false) {
    uint32_t count = 0;
    for (int32_t c = static_cast<int32_t>(threadIdx.x); c < job.num_chunks; c += kFinishThreads) {
      count += job.memory.list_counts[r.chunk(job, c)];
    }
    const uint32_t total = block_reduce(count, 0u, Plus{}, shared->parts);
    if (threadIdx.x == 0) shared->num_keys = 0;
    __syncthreads();
    if (total > kCachedEntries) return;
    for_each([&](uint64_t key) { shared->keys[atomicAdd(&shared->num_keys, 1u)] = key; });
    is_cached = true;
    __syncthreads();
  }

  // Each entry comes to one thread, in no order.
  template <class Use>
  __device__ void for_each(const Use& use) const {
    if (is_cached) {
      for (uint32_t n = threadIdx.x; n < shared->num_keys; n += kFinishThreads) use(shared->keys[n]);
      return;
    }
    const float* adjusted = adjusted_of(job, r);
    const uint32_t lane = threadIdx.x % 32;
    for (int32_t c = static_cast<int32_t>(threadIdx.x) / 32; c < job.num_chunks; c += kFinishThreads / 32) {
      const uint16_t* places = job.memory.list + r.chunk(job, c) * kChunk;
      const uint32_t count = job.memory.list_counts[r.chunk(job, c)];
      for (uint32_t n = lane; n < count; n += 32) {
        const int32_t column = c * kChunk + places[n];
        use(key_of(adjusted[column], column));
      }
    }
  }
};

// The bound of the best entries whose sizes add up to `target`: they are those with keys up to it. `size` is an integer, not
// 0 for all. The list adds up to target at least.
template <class Size>
__device__ uint64_t select(const List& list, uint64_t target, const Size& size) {
  FinishShared* shared = list.shared;
  uint64_t prefix = 0, known = 0;
  for (int shift = 64 - kDigitBits; shift >= 0; shift -= kDigitBits) {
    if (threadIdx.x < kDigits) shared->sizes[threadIdx.x] = shared->counts[threadIdx.x] = 0;
    if (threadIdx.x == 0) shared->digit = -1;
    __syncthreads();
    list.for_each([&](uint64_t key) {
      if ((key & known) != prefix) return;
      const auto digit = static_cast<uint32_t>(key >> shift) % kDigits;
      atomicAdd(&shared->counts[digit], 1u);
      atomicAdd(reinterpret_cast<Atomic64*>(&shared->sizes[digit]), static_cast<Atomic64>(size(key)));
    });
    __syncthreads();
    uint64_t total;
    const uint64_t own = threadIdx.x < kDigits ? shared->sizes[threadIdx.x] : 0;
    const uint64_t before = sum_before(own, &total, shared->parts);
    if (before < target && target <= before + own) {
      shared->digit = static_cast<int32_t>(threadIdx.x);
      shared->target = target - before;
    }
    __syncthreads();
    const int32_t digit = shared->digit;
    const uint32_t count = digit < 0 ? 0 : shared->counts[digit];
    target = shared->target;
    __syncthreads();
    if (digit < 0) return kNoKey;  // Less than the target is there: everything.
    prefix |= static_cast<uint64_t>(digit) << shift;
    known |= static_cast<uint64_t>(kDigits - 1) << shift;
    if (count == 1) break;
  }
  return prefix | ~known;
}

struct Choice {
  double value;
  int32_t column;
};

// The best of one choice per thread: the largest value, ties to the lower column. -1: none has one.
__device__ int32_t best_choice(const Choice& own, FinishShared* shared) {
  const uint64_t value = own.column < 0 ? 0 : ascending_bits(own.value);
  const uint64_t best = block_reduce(value, uint64_t{0}, Greatest{}, shared->parts);
  const int32_t column = own.column >= 0 && value == best ? own.column : INT32_MAX;
  const int32_t lowest = block_reduce(column, INT32_MAX, Least{}, shared->parts);
  return lowest == INT32_MAX ? -1 : lowest;
}

__device__ void improve(Choice* choice, double value, int32_t column) {
  if (choice->column >= 0 && (value < choice->value || (value == choice->value && column > choice->column))) return;
  *choice = {value, column};
}

__device__ double noise_of(const Job& job, const Row& r, int32_t column) {
  const auto id = static_cast<uint32_t>(job.begin + column);
  return gumbel(word_of(noise_words(job.sampling.seed[r.row], r.seq_len, id / 4), id % 4));
}

__device__ int32_t choose_unrestricted(const Job& job, const Row& r, float largest, FinishShared* shared) {
  Choice own{0, -1};
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < job.num_chunks; c += kFinishThreads) {
    const ChunkRecord& record = job.memory.chunks[r.chunk(job, c)];
    if (record.noise_column < 0) continue;
    const double z = below(record.noise_logit, largest) / static_cast<double>(r.temperature);
    improve(&own, z + record.noise, record.noise_column);
  }
  return best_choice(own, shared);
}

__device__ int32_t choose_restricted(const Job& job, const Row& r, float largest, FinishShared* shared) {
  const Border border = job.memory.borders[r.index];
  const auto temperature = static_cast<double>(r.temperature);
  const float top_p = job.sampling.top_p[r.row];
  const auto min_p = static_cast<double>(job.sampling.min_p[r.row]);
  const List list(job, r, shared);
  const auto weight = [&](uint64_t key) { return weight_of(job, logit_of(key), largest, temperature); };

  uint64_t bound = kNoKey;
  if (border.has_top_k != 0) {
    const auto missing = static_cast<uint64_t>(job.sampling.top_k[r.row]) - border.base_count;
    bound = select(list, missing, [](uint64_t) { return uint64_t{1}; });
  }
  if (top_p < 1) {
    uint64_t total = border.total_weight;
    if (border.has_top_k != 0) {
      uint64_t listed = 0;
      list.for_each([&](uint64_t key) { listed += key <= bound ? weight(key) : 0; });
      total = border.base_weight + block_reduce(listed, uint64_t{0}, Plus{}, shared->parts);
    }
    const uint64_t missing = weight_target(top_p, total) - border.base_weight;
    bound = min(bound, select(list, missing, weight));
  }

  Choice own{0, -1};
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < job.num_chunks; c += kFinishThreads) {
    const KeptRecord& record = job.memory.kept[r.chunk(job, c)];
    if (record.column >= 0) improve(&own, record.value, record.column);
  }
  list.for_each([&](uint64_t key) {
    const double z = below(logit_of(key), largest) / temperature;
    if (key > bound || (min_p > 0 && exp(z) < min_p)) return;
    improve(&own, z + noise_of(job, r, column_of(key)), column_of(key));
  });
  return best_choice(own, shared);
}

// The column that is chosen; never -1.
__device__ int32_t choose(const Job& job, const Row& r, uint64_t best, FinishShared* shared) {
  if (best == kNoKey) return 0;
  if (!(r.temperature > 0) || !is_possible(best)) return column_of(best);
  const int32_t column = r.is_restricted ? choose_restricted(job, r, logit_of(best), shared)
                                         : choose_unrestricted(job, r, logit_of(best), shared);
  return column < 0 ? column_of(best) : column;
}

struct RawSum {
  float largest;
  double sum;
};

__device__ RawSum sum_raw(const Job& job, const Row& r, FinishShared* shared) {
  float largest = negative_infinity();
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < job.num_chunks; c += kFinishThreads) {
    largest = fmaxf(largest, job.memory.chunks[r.chunk(job, c)].raw_max);
  }
  largest = block_reduce(largest, negative_infinity(), Greatest{}, shared->parts);
  double sum = 0;
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < job.num_chunks; c += kFinishThreads) {
    const ChunkRecord& record = job.memory.chunks[r.chunk(job, c)];
    sum += record.raw_sum * exp(below(record.raw_max, largest));
  }
  return {largest, block_reduce(sum, 0.0, Plus{}, shared->parts)};
}

__device__ void report_logprobs(const Job& job, const Row& r, int32_t chosen, FinishShared* shared) {
  const int32_t columns = job.args.max_top_logprobs;
  const int32_t wanted = min(job.sampling.num_top_logprobs[r.row], columns), num_top = max(0, min(wanted, job.vocab));
  for (int32_t n = num_top + static_cast<int32_t>(threadIdx.x); n < columns; n += kFinishThreads) {
    job.args.top_ids[r.index * columns + n] = -1;
    job.args.top_logprobs[r.index * columns + n] = not_a_number();
  }
  if (wanted < 0) {
    if (threadIdx.x == 0) job.args.logprobs[r.index] = not_a_number();
    return;
  }
  const RawSum raw = sum_raw(job, r, shared);
  const double log_sum = log(raw.sum);
  if (threadIdx.x == 0) {
    const float logit = logits_of(job, r)[chosen];
    const float rank = logit == logit ? logit : negative_infinity();
    job.args.logprobs[r.index] = static_cast<float>(below(rank, raw.largest) - log_sum);
  }
  uint64_t last = 0;
  for (int32_t rank = 0; rank < num_top; ++rank) {
    uint64_t best = kNoKey;
    for (int32_t n = static_cast<int32_t>(threadIdx.x); n < job.num_chunks * num_top; n += kFinishThreads) {
      const uint64_t key = job.memory.raw_keys[r.chunk(job, n / num_top) * columns + n % num_top];
      if (key > last) best = min(best, key);
    }
    last = block_reduce(best, kNoKey, Least{}, shared->parts);
    if (threadIdx.x != 0) continue;
    job.args.top_ids[r.index * columns + rank] = job.begin + column_of(last);
    job.args.top_logprobs[r.index * columns + rank] = static_cast<float>(below(logit_of(last), raw.largest) - log_sum);
  }
}

__global__ void __launch_bounds__(kFinishThreads) finish_kernel(const __grid_constant__ Job job) {
  __shared__ FinishShared shared;
  if (static_cast<int32_t>(blockIdx.x) >= *job.args.num_sampled) return;
  const Row r(job, static_cast<int32_t>(blockIdx.x));
  const uint64_t best = best_of_row(job, r, shared.parts);
  const int32_t chosen = choose(job, r, best, &shared);
  if (threadIdx.x == 0) {
    job.args.token_ids[r.index] = job.begin + chosen;
    job.args.last_sampled[r.row] = job.begin + chosen;
  }
  report_logprobs(job, r, chosen, &shared);
}

// ---- finish of a shard
// -------------------------------------------------------------------------------------------------

__device__ void report_best(const Job& job, const Row& r, uint64_t best, FinishShared* shared) {
  int32_t column = best == kNoKey ? -1 : column_of(best);
  double score = static_cast<double>(negative_infinity());
  if (is_possible(best)) {
    score = static_cast<double>(logit_of(best));
    if (r.temperature > 0) {
      column = choose_unrestricted(job, r, logit_of(best), shared);
      score = static_cast<double>(adjusted_of(job, r)[column]) / static_cast<double>(r.temperature) + noise_of(job, r, column);
    }
  }
  if (threadIdx.x != 0) return;
  job.best_id[r.index] = column < 0 ? -1 : job.begin + column;
  job.best_score[r.index] = static_cast<float>(score);
}

__device__ void report_processed(const Job& job, const Row& r, uint64_t best, FinishShared* shared) {
  const float largest = is_possible(best) ? logit_of(best) : negative_infinity();
  double sum = 0;
  uint32_t survivors = 0;
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < job.num_chunks && is_possible(best); c += kFinishThreads) {
    const ChunkRecord& record = job.memory.chunks[r.chunk(job, c)];
    survivors += record.survivors;
    if (r.temperature > 0 && is_possible(record.best)) {
      sum += record.processed_sum * exp(below(logit_of(record.best), largest) / static_cast<double>(r.temperature));
    }
  }
  sum = block_reduce(sum, 0.0, Plus{}, shared->parts);
  survivors = block_reduce(survivors, 0u, Plus{}, shared->parts);
  if (threadIdx.x != 0) return;
  job.processed_max[r.index] = largest;
  job.processed_sum[r.index] = r.temperature > 0 ? static_cast<float>(sum) : 1;
  if (job.num_survivors_hint != nullptr) job.num_survivors_hint[r.index] = static_cast<int32_t>(survivors);
}

__device__ void report_candidates(const Job& job, const Row& r, uint64_t best, FinishShared* shared) {
  const int64_t first = r.index * job.max_candidates;
  uint32_t count = 0;
  uint64_t* keys = job.memory.candidates + first;
  if (is_possible(best)) {
    const Border border = job.memory.borders[r.index];
    const List list(job, r, shared);
    uint64_t bound = kNoKey;
    if (border.has_top_k != 0) {
      bound = select(list, static_cast<uint64_t>(job.max_candidates), [](uint64_t) { return uint64_t{1}; });
    }
    if (threadIdx.x == 0) shared->num_chosen = 0;
    __syncthreads();
    list.for_each([&](uint64_t key) {
      if (key <= bound) keys[atomicAdd(&shared->num_chosen, 1u)] = key;
    });
    __syncthreads();
    count = shared->num_chosen;
  }
  for (uint32_t n = threadIdx.x; n < count; n += kFinishThreads) {
    uint32_t rank = 0;
    for (uint32_t other = 0; other < count; ++other) rank += keys[other] < keys[n] ? 1 : 0;
    job.candidate_ids[first + rank] = job.begin + column_of(keys[n]);
    job.candidate_logits[first + rank] = logit_of(keys[n]);
    job.candidate_raw[first + rank] = logits_of(job, r)[column_of(keys[n])];
  }
  for (int64_t n = count + threadIdx.x; n < job.max_candidates; n += kFinishThreads) {
    job.candidate_ids[first + n] = -1;
    job.candidate_logits[first + n] = job.candidate_raw[first + n] = negative_infinity();
  }
}

__global__ void __launch_bounds__(kFinishThreads) finish_shard_kernel(const __grid_constant__ Job job) {
  __shared__ FinishShared shared;
  if (static_cast<int32_t>(blockIdx.x) >= *job.args.num_sampled) return;
  const Row r(job, static_cast<int32_t>(blockIdx.x));
  const uint64_t best = best_of_row(job, r, shared.parts);
  const RawSum raw = sum_raw(job, r, &shared);
  if (threadIdx.x == 0) {
    job.raw_max[r.index] = raw.largest;
    job.raw_sum[r.index] = static_cast<float>(raw.sum);
  }
  report_best(job, r, best, &shared);
  report_processed(job, r, best, &shared);
  report_candidates(job, r, best, &shared);
}

}  // namespace moesaic::cuda::sampling
