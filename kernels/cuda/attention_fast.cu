// attention, fast: the same over a bf16 cache with bf16 matrix products and float32 sums; kernel.h has the formula
//   qkv (tokens, >= num_heads * head_dim) f32, q rounded to bf16 · kv paged bf16 · head_dim 32, 64 or 128
//   attention.cuh has the order of sums. A warp multiplies 16 rows of queries with a chunk of 64 keys by mma.m16n8k16; weights
//   are rounded to bf16 before they are summed, so that an output is a mean of values by the very weights it was made with.
//   decode   one token: rows are the query heads of a kv head, so that its keys are read once · each of 4 warps loads a chunk
//            of its own · bound: memory, 4 * head_dim B per key and kv head
//   prefill  tiles of 64 rows (token, query head of a kv head) of one sequence: 4 warps of 16 rows share chunks, the next of
//            which is on its way · bound: mma at long prompts
//   Both do the same to a row, bit for bit, in precision fast with and without `deterministic`.
//   oracle: kernels/reference/attention.cc on rounded keys and values · upstream: none; tiles as in FlashAttention-2 (Dao 2023)
#include <cuda_bf16.h>

#include "attention.cuh"
#include "mma.cuh"

namespace moesaic::cuda {
namespace {

using Exp = FastExp;
using bf16 = __nv_bfloat16;

constexpr int kMmaRows = 16;
constexpr int kTileRows = kWarps * kMmaRows;
constexpr uint32_t kNoSlot = 0xFFFFFFFF;

// ---- chunks in shared memory: (64 keys, kDim) bf16, pieces of 16 bytes permuted in each row so that columns of pieces spread
// ---- over the banks

template <int kDim>
__device__ __forceinline__ int32_t piece_at(int32_t key, int32_t piece) {
  const int32_t turn = kDim == 32 ? key >> 1 & 3 : key & 7;
  return key * kDim + (piece ^ turn) * 8;
}

// One warp: kKeys keys from first_key on. Slot of key i: lane i % 32 has it in slots[i / 32]; keys without one become zeros.
template <int kDim, int kKeys>
__device__ __forceinline__ void copy_rows(bf16* chunk, const void* cache, int32_t first_key,
                                          const uint32_t (&slots)[(kKeys + 31) / 32]) {
  constexpr int kPieces = kDim / 8, kAtOnce = 32 / kPieces;
  const auto lane = static_cast<int32_t>(threadIdx.x % 32);
  const int32_t piece = lane % kPieces;
#pragma unroll
  for (int i = 0; i < kKeys / kAtOnce; ++i) {
    const int32_t key = i * kAtOnce + lane / kPieces;
    const uint32_t slot = __shfl_sync(0xFFFFFFFF, slots[i * kAtOnce / 32], key % 32);
    const bool exists = slot != kNoSlot;
    const bf16* from = static_cast<const bf16*>(cache) + static_cast<int64_t>(exists ? slot : 0) * kDim + piece * 8;
    copy_async_16(chunk + piece_at<kDim>(first_key + key, piece), from, exists);
  }
}

__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

__device__ __forceinline__ void load_matrices_transposed(uint32_t (&to)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

// ---- 16 rows of one warp; a lane has rows lane / 4 and lane / 4 + 8 --------------------------------------------------

// Queries as A: q[k] holds dimensions 16 k + 2 (lane % 4) + {0, 1, 8, 9} of both rows. NULL rows are zeros.
template <int kDim>
__device__ __forceinline__ void load_queries(uint32_t (&q)[kDim / 16][4], const float* low, const float* high) {
  const int32_t column = static_cast<int32_t>(threadIdx.x % 4) * 2;
  const auto pair = [&](const float* row, int32_t d) {
    if (row == nullptr) return 0u;
    const float2 two = *reinterpret_cast<const float2*>(row + d + column);
    return bf16_pair(two.x, two.y);
  };
#pragma unroll
  for (int k = 0; k < kDim / 16; ++k) {
    q[k][0] = pair(low, 16 * k);
    q[k][1] = pair(high, 16 * k);
    q[k][2] = pair(low, 16 * k + 8);
    q[k][3] = pair(high, 16 * k + 8);
  }
}

// scores[n]: keys 8 n + 2 (lane % 4) + {0, 1} of the lane's rows, not scaled.
template <int kDim>
__device__ __forceinline__ void score_chunk(float (&scores)[8][4], const uint32_t (&q)[kDim / 16][4], const bf16* keys) {
  const auto lane = static_cast<int32_t>(threadIdx.x % 32);
#pragma unroll
  for (int n = 0; n < 8; ++n) {
#pragma unroll
    for (int c = 0; c < 4; ++c) scores[n][c] = 0;
#pragma unroll
    for (int k = 0; k < kDim / 16; k += 2) {
      uint32_t b[4];
      load_matrices(b, keys + piece_at<kDim>(8 * n + lane % 8, 2 * k + lane / 8));
      mma_bf16(scores[n], q[k], b[0], b[1]);
      mma_bf16(scores[n], q[k + 1], b[2], b[3]);
    }
  }
}

// Keys [first, last] that a row sees.
struct Sight {
  int32_t first, last;
};

// Softmax of the chunk that begins at `begin` on its own: scores become weights p, as A of the product with the values. Rows
// that see nothing of it have the maximum -infinity and weights 0.
__device__ __forceinline__ void weigh_chunk(float (&scores)[8][4], uint32_t (&p)[4][4], float scale, int32_t begin,
                                            const Sight (&sights)[2], bool masks, float (&maxima)[2], float (&weights)[2]) {
  const int32_t column = begin + static_cast<int32_t>(threadIdx.x % 4) * 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float maximum = minus_infinity();
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        float& score = scores[n][2 * r + c];
        const int32_t key = column + 8 * n + c;
        score = __fmul_rn(score, scale);
        if (masks && (key < sights[r].first || key > sights[r].last)) score = minus_infinity();
        maximum = fmaxf(maximum, score);
      }
    }
    maximum = fmaxf(maximum, __shfl_xor_sync(0xFFFFFFFF, maximum, 1));
    maximum = fmaxf(maximum, __shfl_xor_sync(0xFFFFFFFF, maximum, 2));
    const float base = maximum == minus_infinity() ? 0 : maximum;
    float weight = 0;
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      const uint32_t pair =
          bf16_pair(Exp::of(__fsub_rn(scores[n][2 * r], base)), Exp::of(__fsub_rn(scores[n][2 * r + 1], base)));
      weight = __fadd_rn(weight, __fadd_rn(__uint_as_float(pair << 16), __uint_as_float(pair & 0xFFFF0000)));
      p[n / 2][n % 2 * 2 + r] = pair;
    }
    weight = __fadd_rn(weight, __shfl_xor_sync(0xFFFFFFFF, weight, 1));
    weight = __fadd_rn(weight, __shfl_xor_sync(0xFFFFFFFF, weight, 2));
    maxima[r] = maximum;
    weights[r] = weight;
  }
}

// Weighted values of dimensions 16 pair .. + 15: sums[h] has 16 pair + 8 h + 2 (lane % 4) + {0, 1} of the lane's rows.
template <int kDim>
__device__ __forceinline__ void add_values(float (&sums)[2][4], const uint32_t (&p)[4][4], const bf16* values, int pair) {
  const auto lane = static_cast<int32_t>(threadIdx.x % 32);
#pragma unroll
  for (int c = 0; c < 4; ++c) sums[0][c] = sums[1][c] = 0;
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uint32_t b[4];
    load_matrices_transposed(b, values + piece_at<kDim>(16 * k + lane % 16, 2 * pair + lane / 16));
    mma_bf16(sums[0], p[k], b[0], b[1]);
    mma_bf16(sums[1], p[k], b[2], b[3]);
  }
}

// ---- decode ----------------------------------------------------------------------------------------------------------------

template <int kDim>
class FastChunk {
 public:
  using Exp = FastExp;
  static constexpr int kRows = kMmaRows;
  static constexpr int kDims = kDim;
  static constexpr int kElements = kRows * kDims / kAttentionThreads;

  struct Memory {
    struct {
      union {
        bf16 keys[kChunkKeys * kDim];
        float sums[kElements * kAttentionThreads];  // in the order of attend, once the keys are used
      };
      bf16 values[kChunkKeys * kDim];
    } warps[kWarps];
  };

  __device__ FastChunk(const AttentionWork& work, const AttentionToken& token, int32_t kv_head, int32_t first_head,
                       int32_t num_heads, Memory& memory)
      : work_(work), token_(token), kv_head_(kv_head), memory_(memory) {
    const float* q = work.q + static_cast<int64_t>(token.token) * work.q_stride + first_head * kDim;
    const auto low = static_cast<int32_t>(threadIdx.x % 32 / 4), high = low + 8;
    load_queries<kDim>(q_, low < num_heads ? q + low * kDim : nullptr, high < num_heads ? q + high * kDim : nullptr);
  }

  // Thread (warp c, lane) folds element c of the lane in each of attend's groups of four.
  __device__ int32_t row() const { return static_cast<int32_t>(threadIdx.x % 32 / 4 + threadIdx.x / 64 * 8); }
  __device__ int32_t dim(int e) const { return static_cast<int32_t>(8 * e + threadIdx.x % 4 * 2 + threadIdx.x / 32 % 2); }
  __device__ float sum(int32_t warp, int e) const { return memory_.warps[warp].sums[e * kAttentionThreads + threadIdx.x]; }

  __device__ __forceinline__ void attend(int32_t begin, float2* softmax) {
    const auto lane = static_cast<int32_t>(threadIdx.x % 32);
    auto& mine = memory_.warps[threadIdx.x / 32];
    uint32_t slots[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t position = begin + lane + 32 * half;
      const bool is_seen = position >= token_.first && position <= token_.position;
      slots[half] = is_seen ? work_.rows.slot(token_.row, position, kv_head_) : kNoSlot;
    }
    copy_rows<kDim, kChunkKeys>(mine.keys, work_.k, 0, slots);
    commit_copies();
    copy_rows<kDim, kChunkKeys>(mine.values, work_.v, 0, slots);
    commit_copies();

    float scores[8][4], maxima[2], weights[2];
    uint32_t p[4][4];
    wait_copies<1>();
    __syncwarp();
    score_chunk<kDim>(scores, q_, mine.keys);
    const Sight sight = {token_.first, token_.position};
    weigh_chunk(scores, p, work_.scale, begin, {sight, sight}, true, maxima, weights);
    if (lane % 4 == 0) {
      softmax[lane / 4] = {maxima[0], weights[0]};
      softmax[lane / 4 + 8] = {maxima[1], weights[1]};
    }
    wait_copies<0>();
    __syncwarp();  // all values have come, and all keys are used
#pragma unroll
    for (int pair = 0; pair < kDim / 16; ++pair) {
      float sums[2][4];
      add_values<kDim>(sums, p, mine.values, pair);
#pragma unroll
      for (int i = 0; i < 8; ++i) mine.sums[(8 * pair + i) * 32 + lane] = sums[i / 4][i % 4];
    }
  }

 private:
  const AttentionWork& work_;
  const AttentionToken& token_;
  const int32_t kv_head_;
  Memory& memory_;
  uint32_t q_[kDim / 16][4];
};

// ---- prefill ---------------------------------------------------------------------------------------------------------------

// Rows of a sequence: row f is query token f / heads_per_kv_head and that query head of the kv head. Sequence s has the tiles
// from tiles_before(s) on; as at least one number is left out between two sequences, rounding never makes them overlap.
__device__ inline int32_t tiles_before(const AttentionWork& work, int32_t seq) {
  return work.query_starts[seq] * work.heads_per_kv_head / kTileRows + seq;
}

struct QueryTile {
  int32_t seq, first_token, first_row, num_rows;  // num_rows: of the sequence
};

// False for a number without a tile, and for sequences with one token, which decode takes.
__device__ inline bool find_tile(const AttentionWork& work, int32_t index, QueryTile* tile) {
  int32_t low = 0, high = *work.num_seqs;  // the last sequence whose tiles begin at or before index is in [low, high)
  if (high <= 0) return false;
  while (high - low > 1) {
    const int32_t middle = (low + high) / 2;
    (tiles_before(work, middle) <= index ? low : high) = middle;
  }
  const int32_t first_token = work.query_starts[low], num_tokens = work.query_starts[low + 1] - first_token;
  *tile = {low, first_token, (index - tiles_before(work, low)) * kTileRows, num_tokens * work.heads_per_kv_head};
  return num_tokens > 1 && tile->first_row < tile->num_rows;
}

template <int kDim>
struct TileMemory {
  bf16 keys[2][kChunkKeys * kDim];
  bf16 values[2][kChunkKeys * kDim];
  float spans[kWarps][kMmaRows * kDim];  // sums of two levels, element by element of a lane: each has its own
  float totals[kWarps][kMmaRows * kDim];
};

template <int kDim>
__global__ void __launch_bounds__(kAttentionThreads) attend_tiles(const AttentionWork work) {
  constexpr int kGroups = kDim / 8;  // of 4 sums of a lane
  extern __shared__ uint4 dynamic_memory[];
  auto& memory = *reinterpret_cast<TileMemory<kDim>*>(dynamic_memory);
  QueryTile tile;
  // Later tiles see more keys: they go first.
  if (!find_tile(work, static_cast<int32_t>(gridDim.x - 1 - blockIdx.x), &tile)) return;
  const auto warp = static_cast<int32_t>(threadIdx.x / 32), lane = static_cast<int32_t>(threadIdx.x % 32);
  const auto kv_head = static_cast<int32_t>(blockIdx.y);
  const int32_t seq_row = work.seq_rows[tile.seq];
  const auto token_of = [&](int32_t row) { return tile.first_token + row / work.heads_per_kv_head; };
  const auto head_of = [&](int32_t row) { return kv_head * work.heads_per_kv_head + row % work.heads_per_kv_head; };
  // Keys that some row of [first_row, first_row + count) sees, and those that all of them see.
  const auto sight_of = [&](int32_t first_row, int32_t count, Sight* all) {
    const int32_t last_row = min(first_row + count, tile.num_rows) - 1;
    if (first_row > last_row) return Sight{0, -1};
    const int32_t low = work.positions[token_of(first_row)], high = work.positions[token_of(last_row)];
    *all = {first_key(high, work.window), low};
    return Sight{first_key(low, work.window), high};
  };

  Sight seen_by_all{0, -1};
  const Sight seen = sight_of(tile.first_row, kTileRows, &seen_by_all);
  const int32_t warp_row = tile.first_row + warp * kMmaRows;
  const Sight warp_seen = sight_of(warp_row, kMmaRows, &seen_by_all);
  const int32_t rows[2] = {warp_row + lane / 4, warp_row + lane / 4 + 8};
  Sight sights[2];
  const float* queries[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const bool is_row = rows[r] < tile.num_rows;
    const int32_t position = is_row ? work.positions[token_of(rows[r])] : -1;
    sights[r] = {first_key(position, work.window), position};
    queries[r] = is_row ? work.q + static_cast<int64_t>(token_of(rows[r])) * work.q_stride + head_of(rows[r]) * kDim : nullptr;
  }
  uint32_t q[kDim / 16][4];
  load_queries<kDim>(q, queries[0], queries[1]);

  // Each warp brings 16 keys of a chunk; the slot of a key is looked up one chunk ahead of its copy.
  const int32_t first_chunk = seen.first / kChunkKeys, last_chunk = seen.last / kChunkKeys;
  const auto slot_in = [&](int32_t chunk) {
    const int32_t position = chunk * kChunkKeys + warp * kMmaRows + lane % kMmaRows;
    return position < seen.first || position > seen.last ? kNoSlot : work.rows.slot(seq_row, position, kv_head);
  };
  const auto copy_chunk = [&](int32_t stage, uint32_t slot) {
    const uint32_t slots[1] = {slot};
    copy_rows<kDim, kMmaRows>(memory.keys[stage], work.k, warp * kMmaRows, slots);
    copy_rows<kDim, kMmaRows>(memory.values[stage], work.v, warp * kMmaRows, slots);
    commit_copies();
  };

  float sums[kGroups][4];  // of the split
  float maxima[3][2], weights[3][2];  // of split, span and total
  float* spans = memory.spans[warp] + lane;
  float* totals = memory.totals[warp] + lane;
#pragma unroll
  for (int level = 0; level < 3; ++level) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      maxima[level][r] = minus_infinity();
      weights[level][r] = 0;
    }
  }
#pragma unroll
  for (int i = 0; i < kGroups * 4; ++i) sums[i / 4][i % 4] = spans[32 * i] = totals[32 * i] = 0;

  copy_chunk(0, slot_in(first_chunk));
  uint32_t next_slot = slot_in(first_chunk + 1);
  for (int32_t chunk = first_chunk; chunk <= last_chunk; ++chunk) {
    const int32_t stage = (chunk - first_chunk) & 1, begin = chunk * kChunkKeys;
    if (chunk < last_chunk) {
      copy_chunk(stage ^ 1, next_slot);
      next_slot = slot_in(chunk + 2);
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    __syncthreads();
    if (begin <= warp_seen.last && begin + kChunkKeys > warp_seen.first) {
      float scores[8][4], chunk_maxima[2], chunk_weights[2];
      uint32_t p[4][4];
      score_chunk<kDim>(scores, q, memory.keys[stage]);
      const bool masks = begin < seen_by_all.first || begin + kChunkKeys - 1 > seen_by_all.last;
      weigh_chunk(scores, p, work.scale, begin, sights, masks, chunk_maxima, chunk_weights);
      FoldWeights w[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) w[r] = fold_softmax<Exp>(maxima[0][r], weights[0][r], chunk_maxima[r], chunk_weights[r]);
#pragma unroll
      for (int pair = 0; pair < kDim / 16; ++pair) {
        float more[2][4];
        add_values<kDim>(more, p, memory.values[stage], pair);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          float& sum = sums[2 * pair + i / 4][i % 4];
          sum = fold_sum(sum, w[i % 4 / 2], more[i / 4][i % 4]);
        }
      }
    }
    const int32_t split = begin / kSplitKeys;
    const bool ends_split = chunk == last_chunk || (chunk + 1) % kWarps == 0;
    if (ends_split) {
      FoldWeights w[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        w[r] = fold_softmax<Exp>(maxima[1][r], weights[1][r], maxima[0][r], weights[0][r]);
        maxima[0][r] = minus_infinity();
        weights[0][r] = 0;
      }
#pragma unroll
      for (int i = 0; i < kGroups * 4; ++i) {
        spans[32 * i] = fold_sum(spans[32 * i], w[i % 4 / 2], sums[i / 4][i % 4]);
        sums[i / 4][i % 4] = 0;
      }
    }
    if (ends_split && (chunk == last_chunk || (split + 1) % kSpanSplits == 0)) {
      FoldWeights w[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        w[r] = fold_softmax<Exp>(maxima[2][r], weights[2][r], maxima[1][r], weights[1][r]);
        maxima[1][r] = minus_infinity();
        weights[1][r] = 0;
      }
#pragma unroll
      for (int i = 0; i < kGroups * 4; ++i) {
        totals[32 * i] = fold_sum(totals[32 * i], w[i % 4 / 2], spans[32 * i]);
        spans[32 * i] = 0;
      }
    }
    __syncthreads();  // before the chunk after the next comes to this one's place
  }

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (rows[r] >= tile.num_rows) continue;
    const Finish finish = finish_softmax<Exp>(work.sinks, head_of(rows[r]), maxima[2][r], weights[2][r]);
    float* out = work.out + (static_cast<int64_t>(token_of(rows[r])) * work.num_heads + head_of(rows[r])) * kDim + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < kGroups; ++n) {
      const float2 two = {finish(totals[32 * (4 * n + 2 * r)]), finish(totals[32 * (4 * n + 2 * r + 1)])};
      *reinterpret_cast<float2*>(out + 8 * n) = two;
    }
  }
}

// ---- check, launch --------------------------------------------------------------------------------------------------

template <int kDim>
constexpr size_t shared_bytes() {
  return std::max(sizeof(TileMemory<kDim>), sizeof(typename FastChunk<kDim>::Memory));
}

template <int kDim>
mk_status queue(const mk_attention_args& args, const AttentionBounds& bounds, void* workspace, cudaStream_t stream,
                mk_error* error) {
  const mk_status status = queue_decode<FastChunk<kDim>>(args, bounds, workspace, stream, error);
  if (status != MK_OK || bounds.query_len <= 1 || bounds.tokens == 0 || bounds.seqs == 0) return status;
  if (!allow_shared_memory(attend_tiles<kDim>, sizeof(TileMemory<kDim>)))
    return refuse(error, MK_RESOURCE_EXHAUSTED, "attention: no %zu bytes of shared memory", sizeof(TileMemory<kDim>));
  const AttentionWork work = attention_work(args, Exp::kUnit);
  const int64_t tiles = static_cast<int64_t>(bounds.tokens) * work.heads_per_kv_head / kTileRows + bounds.seqs;
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(args.kv.num_kv_heads));
  attend_tiles<kDim><<<grid, kAttentionThreads, sizeof(TileMemory<kDim>), stream>>>(work);
  return MK_OK;
}

mk_status run(const mk_attention_args& args, void* workspace, void*, cudaStream_t stream, mk_error* error) {
  AttentionBounds bounds{};
  const mk_status status = take_attention_bounds(args, &bounds, error);
  if (status != MK_OK) return status;
  if (args.kv.head_dim == 32) return queue<32>(args, bounds, workspace, stream, error);
  if (args.kv.head_dim == 64) return queue<64>(args, bounds, workspace, stream, error);
  return queue<128>(args, bounds, workspace, stream, error);
}

bool shapes(const mk_attention_args& args, const mk_device& device) {
  if (!is_attention(args) || args.kv.dtype != MK_BF16 || args.qkv.cols % 2 != 0) return false;
  const int32_t dim = args.kv.head_dim;
  if (dim != 32 && dim != 64 && dim != 128) return false;
  const size_t bytes = dim == 32 ? shared_bytes<32>() : dim == 64 ? shared_bytes<64>() : shared_bytes<128>();
  return static_cast<size_t>(device.shared_memory_bytes) >= bytes + 1024;
}

int64_t workspace_bytes(const mk_attention_args& args, const mk_device&) {
  return attention_workspace_bytes(args, args.kv.head_dim);
}

}  // namespace

const mk_kernel attention_fast_kernel =
    CudaKernel<MK_OP_ATTENTION, mk_attention_args, shapes, run, workspace_bytes>::offer("attention_fast");

}  // namespace moesaic::cuda
