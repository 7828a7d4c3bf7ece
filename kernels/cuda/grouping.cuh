// grouping: which (token, slot) pairs an expert computes, in tiles of a few pairs of one expert each.
// A pair is token * experts_per_token + slot of a pass, a run of at most max_rows rows from row_base on. Pairs of an expert
// keep their order, so that a tile is the same in every run.
//   up to 32 pairs   every warp finds the tiles by itself
//   more             plan_kernel sorts the pairs by expert and lists the tiles
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "cuda_kernel.h"
#include "launch_check.h"
#include "moesaic/kernel.h"

namespace moesaic::cuda {

constexpr int32_t kBallotPairs = 32;
constexpr int32_t kMaxPassPairs = 16384;
constexpr int32_t kMaxExperts = 1024;

struct Tile {
  int32_t expert, begin, count, unused;
};

struct Grouping {
  const int32_t* num_rows;       // of the step
  const int32_t* expert_ids;     // (rows, experts_per_token)
  const int32_t* local_experts;  // (num_global)
  int32_t row_base, max_rows;    // of the pass
  int32_t experts_per_token, num_global, num_experts;
  int32_t* sorted;     // (max_rows * experts_per_token) pairs by expert; NULL: few pairs, every block for itself
  Tile* tiles;         // begin counts in `sorted`
  int32_t* num_tiles;  // one

  __device__ int32_t num_pairs() const { return min(max(*num_rows - row_base, 0), max_rows) * experts_per_token; }

  // The local expert of a pair, -1 where it is not for this rank.
  __device__ int32_t expert_of(int32_t pair) const {
    const int32_t id = expert_ids[static_cast<int64_t>(row_base) * experts_per_token + pair];
    if (id < 0 || id >= num_global) return -1;
    const int32_t expert = local_experts[id];
    return expert >= 0 && expert < num_experts ? expert : -1;
  }
};

// What a block computes; in shared memory.
template <int kTokens>
struct BlockTile {
  int32_t expert, count;
  int32_t pairs[kTokens];
};

// Up to 32 pairs, as a warp sees them: lane p has pair p.
template <int kTokens>
struct LanePairs {
  int32_t expert;   // -1: none
  uint32_t mates;   // the pairs of the same expert
  uint32_t firsts;  // those whose rank among their mates is a multiple of kTokens: each begins a tile

  __device__ explicit LanePairs(const Grouping& groups) {
    const auto lane = static_cast<int32_t>(threadIdx.x % 32);
    expert = lane < groups.num_pairs() ? groups.expert_of(lane) : -1;
    mates = __match_any_sync(~0u, expert);
    firsts = __ballot_sync(~0u, expert >= 0 && rank() % kTokens == 0);
  }
  __device__ int32_t rank() const { return __popc(mates & below()); }
  static __device__ uint32_t below() { return (1u << threadIdx.x % 32) - 1; }
};

// The tiles of a pass as every warp finds them by itself, with no barrier of the block.
template <int kTokens>
class WarpTiles {
 public:
  struct Found {
    int32_t expert, begin, count;
    uint32_t mates;  // up to 32 pairs: those of the expert
  };

  __device__ explicit WarpTiles(const Grouping& groups) : groups_(groups) {
    if (groups.sorted != nullptr) {
      count_ = *groups.num_tiles;
      return;
    }
    const LanePairs<kTokens> mine(groups);
    expert_ = mine.expert, mates_ = mine.mates, firsts_ = mine.firsts;
    count_ = __popc(firsts_);
  }
  __device__ int32_t count() const { return count_; }

  // The index-th, less than count(). All threads of a warp.
  __device__ Found find(int32_t index) const {
    if (groups_.sorted != nullptr) {
      const Tile tile = groups_.tiles[index];
      return {tile.expert, tile.begin, tile.count, 0};
    }
    const uint32_t below = LanePairs<kTokens>::below();
    const bool is_leader = (firsts_ >> threadIdx.x % 32 & 1) != 0 && __popc(firsts_ & below) == index;
    const int32_t leader = __ffs(static_cast<int>(__ballot_sync(~0u, is_leader))) - 1;
    const uint32_t mates = __shfl_sync(~0u, mates_, leader);
    const int32_t begin = __shfl_sync(~0u, __popc(mates_ & below), leader);
    return {__shfl_sync(~0u, expert_, leader), begin, min(kTokens, __popc(mates) - begin), mates};
  }

  // Its pairs, to memory of this warp alone.
  __device__ void put_pairs(const Found& tile, int32_t* pairs) const {
    const auto lane = static_cast<int32_t>(threadIdx.x % 32);
    __syncwarp();  // all have read those before
    if (groups_.sorted != nullptr) {
      if (lane < tile.count) pairs[lane] = groups_.sorted[tile.begin + lane];
    } else {
      const int32_t at = __popc(tile.mates & LanePairs<kTokens>::below()) - tile.begin;
      if ((tile.mates >> lane & 1) != 0 && at >= 0 && at < tile.count) pairs[at] = lane;
    }
    __syncwarp();
  }

 private:
  static_assert(kTokens <= 32);
  const Grouping& groups_;
  int32_t count_, expert_ = -1;
  uint32_t mates_ = 0, firsts_ = 0;
};

// Fills `tile` with the index-th; false, for all threads of the block, when there is none. Ends with a barrier.
template <int kTokens>
__device__ inline bool find_tile(const Grouping& groups, int32_t index, BlockTile<kTokens>& tile) {
  if (groups.sorted != nullptr) {
    if (index >= *groups.num_tiles) return false;
    const Tile found = groups.tiles[index];
    if (threadIdx.x == 0) {
      tile.expert = found.expert;
      tile.count = found.count;
    }
    for (int32_t i = threadIdx.x; i < found.count; i += blockDim.x) tile.pairs[i] = groups.sorted[found.begin + i];
    __syncthreads();
    return true;
  }
  if (threadIdx.x < 32) {
    const auto lane = static_cast<int32_t>(threadIdx.x);
    const LanePairs<kTokens> mine(groups);
    const bool is_wanted = (mine.firsts >> lane & 1) != 0 && __popc(mine.firsts & mine.below()) == index;
    const uint32_t wanted = __ballot_sync(~0u, is_wanted);
    const int32_t leader = wanted == 0 ? 0 : __ffs(static_cast<int>(wanted)) - 1;
    const int32_t rank = mine.rank(), begin = __shfl_sync(~0u, rank, leader);
    const uint32_t mates = __shfl_sync(~0u, mine.mates, leader);
    if (lane == leader) {
      tile.expert = mine.expert;
      tile.count = wanted == 0 ? 0 : min(kTokens, __popc(mates) - begin);
    }
    const bool is_mate = wanted != 0 && (mates >> lane & 1) != 0 && rank >= begin && rank < begin + kTokens;
    if (is_mate) tile.pairs[rank - begin] = lane;
  }
  __syncthreads();
  return tile.count > 0;
}

constexpr int kPlanThreads = 1024;

// Of the values of lanes 0 to this one.
__device__ __forceinline__ int32_t sum_to_lane(int32_t value) {
  const auto lane = static_cast<int32_t>(threadIdx.x % 32);
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const int32_t other = __shfl_sync(~0u, value, (lane - offset) & 31);
    value += lane >= offset ? other : 0;
  }
  return value;
}

// Sorts the pairs of a pass by expert and cuts every expert's into tiles of kTokens. One block; warp w has the experts w,
// w + 32, ...: it counts and places their pairs in order, so that nothing depends on timing.
static __global__ void __launch_bounds__(kPlanThreads, 1) plan_kernel(Grouping groups, int32_t tokens_per_tile) {
  __shared__ int16_t experts[kMaxPassPairs];
  __shared__ int32_t pair_starts[kMaxExperts + 1], tile_starts[kMaxExperts + 1];
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t warp = thread / 32, lane = thread % 32;
  const int32_t num_pairs = groups.num_pairs();
  for (int32_t p = thread; p < num_pairs; p += kPlanThreads) experts[p] = static_cast<int16_t>(groups.expert_of(p));
  __syncthreads();
  for (int32_t e = warp; e < groups.num_experts; e += kPlanThreads / 32) {
    int32_t count = 0;
    for (int32_t first = 0; first < num_pairs; first += 32) {
      const int32_t p = first + lane;
      count += __popc(__ballot_sync(~0u, p < num_pairs && experts[p] == e));
    }
    if (lane == 0) pair_starts[e] = count;
  }
  __syncthreads();
  if (warp == 0) {
    int32_t pairs = 0, tiles = 0;  // of the experts before
    for (int32_t first = 0; first < groups.num_experts; first += 32) {
      const int32_t e = first + lane, count = e < groups.num_experts ? pair_starts[e] : 0;
      const int32_t more_tiles = (count + tokens_per_tile - 1) / tokens_per_tile;
      const int32_t pairs_to = sum_to_lane(count), tiles_to = sum_to_lane(more_tiles);
      if (e < groups.num_experts) {
        pair_starts[e] = pairs + pairs_to - count;
        tile_starts[e] = tiles + tiles_to - more_tiles;
      }
      pairs += __shfl_sync(~0u, pairs_to, 31);
      tiles += __shfl_sync(~0u, tiles_to, 31);
    }
    if (lane == 0) {
      pair_starts[groups.num_experts] = pairs;
      tile_starts[groups.num_experts] = tiles;
      *groups.num_tiles = tiles;
    }
  }
  __syncthreads();
  for (int32_t e = warp; e < groups.num_experts; e += kPlanThreads / 32) {
    const int32_t begin = pair_starts[e], end = pair_starts[e + 1];
    if (begin == end) continue;
    int32_t to = begin;
    for (int32_t first = 0; first < num_pairs; first += 32) {
      const int32_t p = first + lane;
      const bool is_mine = p < num_pairs && experts[p] == e;
      const uint32_t mates = __ballot_sync(~0u, is_mine);
      if (is_mine) groups.sorted[to + __popc(mates & ((1u << lane) - 1))] = p;
      to += __popc(mates);
    }
    for (int32_t i = lane; i < tile_starts[e + 1] - tile_starts[e]; i += 32) {
      const int32_t at = begin + i * tokens_per_tile;
      groups.tiles[tile_starts[e] + i] = {e, at, min(tokens_per_tile, end - at), 0};
    }
  }
}

// Rows of a pass and what it needs of the workspace. All sizes follow from the constants of the op.
struct PassPlan {
  int32_t rows;               // at most
  int64_t max_tiles;          // for tiles of 8 pairs, the smallest there are
  int64_t sorted_bytes, tiles_bytes;

  static PassPlan of(const mk_experts_args& args, int32_t most_rows) {
    const int64_t k = args.expert_ids.cols;
    const int64_t rows = std::min<int64_t>({most_rows, kMaxPassPairs / k, args.x.max_rows});
    PassPlan plan{};
    plan.rows = static_cast<int32_t>(rows);
    plan.max_tiles = bound_tiles(rows * k, args.gate_up.num_experts, 8);
    plan.sorted_bytes = ceil_div(rows * k * 4, 64) * 64;
    plan.tiles_bytes = ceil_div(plan.max_tiles * static_cast<int64_t>(sizeof(Tile)), 64) * 64;
    return plan;
  }
  // Every expert has at most one tile that is not full, and no tile is empty.
  static int64_t bound_tiles(int64_t pairs, int64_t num_experts, int64_t tokens_per_tile) {
    return std::min(pairs, num_experts + pairs / tokens_per_tile);
  }
  int64_t bytes() const { return sorted_bytes + tiles_bytes + 64; }
};

// Part of a workspace after another; starts are 64-byte aligned.
class Carver {
 public:
  explicit Carver(void* workspace) : next_(static_cast<char*>(workspace)) {}
  template <class T>
  T* take(int64_t bytes) {
    char* const start = next_;
    next_ += ceil_div(bytes, 64) * 64;
    return reinterpret_cast<T*>(start);
  }

 private:
  char* next_;
};

// The grouping of the pass from row_base on, and the launch that fills it where blocks do not find their tiles themselves.
inline Grouping group_pairs(const mk_experts_args& args, const PassPlan& plan, Carver& carver, int32_t row_base, int32_t rows,
                            int32_t tokens_per_tile, cudaStream_t stream) {
  Grouping groups{args.x.num_rows,
                  static_cast<const int32_t*>(args.expert_ids.data),
                  args.local_experts,
                  row_base,
                  rows,
                  args.expert_ids.cols,
                  args.num_global_experts,
                  args.gate_up.num_experts,
                  carver.take<int32_t>(plan.sorted_bytes),
                  carver.take<Tile>(plan.tiles_bytes),
                  carver.take<int32_t>(64)};
  if (rows * args.expert_ids.cols <= kBallotPairs) {
    groups.sorted = nullptr;
  } else {
    plan_kernel<<<1, kPlanThreads, 0, stream>>>(groups, tokens_per_tile);
  }
  return groups;
}

// Blocks along y that cover every tile of a pass of `rows` rows.
inline int64_t tile_blocks(const Grouping& groups, int32_t rows, int32_t tokens_per_tile) {
  const int64_t pairs = static_cast<int64_t>(rows) * groups.experts_per_token;
  return groups.sorted == nullptr ? pairs : PassPlan::bound_tiles(pairs, groups.num_experts, tokens_per_tile);
}

// Whether the constants of an experts op fit each other and this package.
inline bool experts_shapes(const mk_experts_args& args, mk_dtype dtype) {
  const mk_weight &gate_up = args.gate_up, &down = args.down;
  const int64_t k = args.expert_ids.cols, hidden = args.x.cols;
  if (gate_up.dtype != dtype || down.dtype != dtype || gate_up.num_experts < 1 || down.num_experts != gate_up.num_experts)
    return false;
  if (hidden < 1 || k < 1 || k > kMaxPassPairs || down.cols < 1 || gate_up.rows != 2 * static_cast<int64_t>(down.cols))
    return false;
  if (gate_up.cols != hidden || down.rows != hidden || args.out.cols != k * hidden) return false;
  if (args.x.max_rows < 1 || args.out.max_rows < 1 || args.expert_ids.max_rows < 1 || args.num_global_experts < 1) return false;
  if (dtype == MK_MXFP4 && (hidden % 32 != 0 || down.cols % 32 != 0)) return false;
  return gate_up.num_experts <= kMaxExperts;
}

// What a launch of an experts op refuses.
inline mk_status check_experts(const mk_experts_args& args, mk_dtype dtype, mk_error* error) {
  if (!experts_shapes(args, dtype)) return refuse(error, MK_INVALID_ARGUMENT, "experts: shapes do not fit each other");
  if (args.gate_up.data == nullptr || args.down.data == nullptr || args.local_experts == nullptr)
    return refuse(error, MK_INVALID_ARGUMENT, "experts: a weight or the map of experts is NULL");
  int32_t rows = 0;
  return take_common_rows("experts", args.x, {&args.expert_ids, &args.out}, &rows, error);
}

}  // namespace moesaic::cuda
