// sample, bins and collect: columns and weights by distance to the row's largest logit, and where top_k and top_p cut.
#pragma once

#include "sample_chunk.cuh"

namespace moesaic::cuda::sampling {

__device__ void load_adjusted(const Job& job, const Row& r, float (&values)[kPerThread]) {
  const float* adjusted = adjusted_of(job, r);
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    const float4 four = *reinterpret_cast<const float4*>(adjusted + column_at(4 * group));
    values[4 * group] = four.x;
    values[4 * group + 1] = four.y;
    values[4 * group + 2] = four.z;
    values[4 * group + 3] = four.w;
  }
}

// The best key of the whole row.
__device__ uint64_t best_of_row(const Job& job, const Row& r, void* shared) {
  uint64_t best = kNoKey;
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < job.num_chunks; c += static_cast<int32_t>(blockDim.x)) {
    best = min(best, job.memory.chunks[r.chunk(job, c)].best);
  }
  return block_reduce(best, kNoKey, Least{}, shared);
}

__device__ bool is_possible(uint64_t best) { return best != kNoKey && logit_of(best) != negative_infinity(); }

constexpr int kLimbBits = 15;  // 4096 of them fit into 32 bits, and three hold a weight
constexpr int kLimbs = 3;

template <bool kShard>
__global__ void __launch_bounds__(kThreads) bins_kernel(const __grid_constant__ Job job) {
  __shared__ uint64_t parts[32];
  __shared__ uint32_t counts[kBins];
  __shared__ uint32_t limbs[kShard ? 1 : kLimbs][kShard ? 1 : kBins];
  if (static_cast<int32_t>(blockIdx.y) >= *job.args.num_sampled) return;
  const Row r(job, static_cast<int32_t>(blockIdx.y));
  if (!kShard && (!r.is_restricted || (job.sampling.top_k[r.row] <= 0 && job.sampling.top_p[r.row] >= 1))) return;
  const uint64_t best = best_of_row(job, r, parts);
  if (!is_possible(best)) return;

  const float largest = logit_of(best);
  const auto temperature = static_cast<double>(r.temperature);
  const bool has_weights = !kShard && job.sampling.top_p[r.row] < 1;
  const auto min_p = static_cast<double>(job.sampling.min_p[r.row]);
  for (int32_t bin = static_cast<int32_t>(threadIdx.x); bin < kBins; bin += kThreads) {
    counts[bin] = 0;
    if (!kShard) limbs[0][bin] = limbs[1][bin] = limbs[2][bin] = 0;
  }
  __syncthreads();
  float values[kPerThread];
  load_adjusted(job, r, values);
  uint32_t survivors = 0;
#pragma unroll
  for (int n = 0; n < kPerThread; ++n) {
    if (values[n] == negative_infinity()) continue;
    const int32_t bin = bin_of(values[n], largest);
    atomicAdd(&counts[bin], 1u);
    if (kShard) {
      const bool survives = temperature == 0 ? values[n] == largest
                                             : min_p <= 0 || exp(below(values[n], largest) / temperature) >= min_p;
      survivors += survives ? 1 : 0;
    } else if (has_weights) {
      const uint64_t weight = weight_of(job, values[n], largest, temperature);
      if (weight == 0) continue;
#pragma unroll
      for (int limb = 0; limb < kLimbs; ++limb) {
        atomicAdd(&limbs[limb][bin], static_cast<uint32_t>(weight >> (kLimbBits * limb)) & ((1u << kLimbBits) - 1));
      }
    }
  }
  __syncthreads();
  for (int32_t bin = static_cast<int32_t>(threadIdx.x); bin < kBins; bin += kThreads) {
    if (counts[bin] == 0) continue;
    atomicAdd(job.memory.bin_counts + r.index * kBins + bin, counts[bin]);
    if (!has_weights) continue;
    Atomic64 weight = 0;
    for (int limb = 0; limb < (kShard ? 0 : kLimbs); ++limb)
      weight += static_cast<Atomic64>(limbs[limb][bin]) << (kLimbBits * limb);
    atomicAdd(reinterpret_cast<Atomic64*>(job.memory.bin_weights) + r.index * kBins + bin, weight);
  }
  if (kShard) {
    survivors = block_reduce(survivors, 0u, Plus{}, parts);
    if (threadIdx.x == 0) job.memory.chunks[r.chunk(job, static_cast<int32_t>(blockIdx.x))].survivors = survivors;
  }
}

// ---- collect
// -----------------------------------------------------------------------------------------------------------

struct Reached {
  int32_t bin;
  uint32_t count_before;
  uint64_t weight_before;
};

struct BinShared {
  uint64_t parts[32];
  Reached reached;
};

constexpr int kBinsPerThread = kBins / kThreads;

// The bins of one thread: neighbours, threads in ascending order.
struct OwnBins {
  uint32_t counts[kBinsPerThread];
  uint64_t weights[kBinsPerThread];
  uint32_t count_before;
  uint64_t weight_before;
};

// The first bin up to which the counts or weights add up to `target`, with what the bins before it hold. One does.
__device__ Reached reach(const OwnBins& own, bool by_weight, uint64_t target, BinShared* shared) {
  __syncthreads();
  uint32_t count = own.count_before;
  uint64_t weight = own.weight_before;
#pragma unroll
  for (int n = 0; n < kBinsPerThread; ++n) {
    const uint64_t before = by_weight ? weight : count, size = by_weight ? own.weights[n] : own.counts[n];
    if (before < target && target <= before + size) {
      shared->reached = {static_cast<int32_t>(threadIdx.x) * kBinsPerThread + n, count, weight};
    }
    count += own.counts[n];
    weight += own.weights[n];
  }
  __syncthreads();
  return shared->reached;
}

// The sum of the values of the threads before this one, and of all.
template <class T>
__device__ T sum_before(T value, T* total, void* shared) {
  T* parts = static_cast<T*>(shared);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  T sum = value;
  for (int distance = 1; distance < 32; distance *= 2) {
    const T other = __shfl_up_sync(~0u, sum, distance);
    if (lane >= distance) sum += other;
  }
  __syncthreads();
  if (lane == 31) parts[warp] = sum;
  __syncthreads();
  T before = sum - value;
  *total = 0;
  for (int w = 0; w < static_cast<int>(blockDim.x) / 32; ++w) {
    if (w < warp) before += parts[w];
    *total += parts[w];
  }
  return before;
}

__device__ uint64_t weight_target(float top_p, uint64_t total) {
  const double target = ceil(static_cast<double>(top_p) * static_cast<double>(total));
  const uint64_t whole = target < 1 ? 1 : __double2ull_rz(target);
  return whole < total || total == 0 ? whole : total;
}

// Where the row is cut, as far as the bins tell. With top_k and top_p both, the weight that top_p is a share of is only known
// to lie between that of the bins before and up to top_k's bin: the first bin that top_p may cut is that of the lower end.
template <bool kShard>
__device__ Border find_border(const Job& job, const Row& r, BinShared* shared) {
  OwnBins own;
  const int64_t first = r.index * kBins + static_cast<int64_t>(threadIdx.x) * kBinsPerThread;
  const bool has_weights = !kShard && job.sampling.top_p[r.row] < 1;
  uint32_t count = 0;
  uint64_t weight = 0;
#pragma unroll
  for (int n = 0; n < kBinsPerThread; ++n) {
    count += own.counts[n] = job.memory.bin_counts[first + n];
    weight += own.weights[n] = has_weights ? job.memory.bin_weights[first + n] : 0;
  }
  Border border{kBins, kBins - 1, 0, 0, 0, 0, 0};
  own.count_before = sum_before(count, &border.total_count, shared->parts);
  own.weight_before = sum_before(weight, &border.total_weight, shared->parts);
  border.base_count = border.total_count;
  border.base_weight = border.total_weight;

  const int32_t top_k = kShard ? job.max_candidates : job.sampling.top_k[r.row];
  border.has_top_k = top_k > 0 && static_cast<uint32_t>(top_k) < border.total_count ? 1 : 0;
  uint64_t least_weight = border.total_weight;
  if (border.has_top_k != 0) {
    const Reached cut = reach(own, false, static_cast<uint64_t>(top_k), shared);
    border.low = border.high = cut.bin;
    border.base_count = cut.count_before;
    border.base_weight = least_weight = cut.weight_before;
  }
  if (kShard) {
    border.low = 0;
    border.base_count = 0;
  } else if (has_weights) {
    const Reached cut = reach(own, true, weight_target(job.sampling.top_p[r.row], least_weight), shared);
    border.low = cut.bin;
    if (border.has_top_k == 0) border.high = cut.bin;
    border.base_count = cut.count_before;
    border.base_weight = cut.weight_before;
  }
  return border;
}

struct CollectShared {
  BinShared bins;
  ChunkShared chunk;
  uint32_t list_count;
};

template <bool kShard>
__global__ void __launch_bounds__(kThreads) collect_kernel(const __grid_constant__ Job job) {
  __shared__ CollectShared shared;
  if (static_cast<int32_t>(blockIdx.y) >= *job.args.num_sampled) return;
  const Row r(job, static_cast<int32_t>(blockIdx.y));
  if (!kShard && !r.is_restricted) return;
  const int64_t chunk = r.chunk(job, static_cast<int32_t>(blockIdx.x));
  const uint64_t best = best_of_row(job, r, shared.chunk.parts);
  if (threadIdx.x == 0) {
    shared.list_count = 0;
    job.memory.list_counts[chunk] = 0;
    job.memory.kept[chunk] = {0, -1};
  }
  if (!is_possible(best)) return;

  const float largest = logit_of(best);
  Border border{kBins, kBins - 1, 0, 0, 0, 0, 0};
  if (kShard || job.sampling.top_k[r.row] > 0 || job.sampling.top_p[r.row] < 1) {
    border = find_border<kShard>(job, r, &shared.bins);
  }
  if (threadIdx.x == 0 && blockIdx.x == 0) job.memory.borders[r.index] = border;

  __syncthreads();
  const auto temperature = static_cast<double>(r.temperature);
  const auto min_p = static_cast<double>(job.sampling.min_p[r.row]);
  float values[kPerThread];
  load_adjusted(job, r, values);
  uint32_t kept = 0;
#pragma unroll
  for (int n = 0; n < kPerThread; ++n) {
    if (values[n] == negative_infinity()) continue;
    const int32_t bin = bin_of(values[n], largest);
    if (bin < border.low) {
      if (min_p <= 0 || exp(below(values[n], largest) / temperature) >= min_p) kept |= 1u << n;
    } else if (bin <= border.high) {
      const int32_t place = column_at(n) - static_cast<int32_t>(blockIdx.x) * kChunk;
      job.memory.list[chunk * kChunk + atomicAdd(&shared.list_count, 1u)] = static_cast<uint16_t>(place);
    }
  }
  const bool any_kept = __syncthreads_or(kept != 0 ? 1 : 0) != 0;
  if (threadIdx.x == 0) job.memory.list_counts[chunk] = shared.list_count;
  if (kShard || !any_kept) return;
  const Noisy noisy = best_with_noise(job, r, values, kept, largest, shared.chunk.parts, &shared.chunk.noisy_value,
                                      &shared.chunk.noisy_column, &shared.chunk.noisy);
  if (threadIdx.x == 0) job.memory.kept[chunk] = {below(noisy.logit, largest) / temperature + noisy.noise, noisy.column};
}

}  // namespace moesaic::cuda::sampling
