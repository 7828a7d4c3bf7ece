// attention_kernel: see attention.cc. Over the F16 of whichever simd_*.h was included before.
#pragma once

#include "attention.h"
#include "tile.h"
#include "vexp.h"

namespace moesaic::cpu::MK_ISA {
namespace {

constexpr int kRowsPerStep = 6;      // query rows that share a vector of keys or values in registers
constexpr float kLowest = -3.4e38f;  // a maximum of nothing: exp(kLowest - s) is 0, and no difference is NaN

// State of one tile, online softmax of its rows: sums[r] and denominators[r] are relative to exp(maxima[r]).
struct TileState {
  const AttentionWork& work;
  int64_t num_rows, head_dim;
  float *queries, *keys, *scores, *sums;  // (rows, head_dim), (head_dim, kKeys), (rows, kKeys), (rows, head_dim)
  float maxima[kQueryRows], denominators[kQueryRows];
  int32_t first_keys[kQueryRows], last_keys[kQueryRows];
  float* outs[kQueryRows];
  int32_t low, high;  // all keys that some row sees
};

// Rows of one chunk of keys: those from first to last are there, and belong to somebody of the tile.
struct Chunk {
  int32_t begin, first, last;
  const float* keys[kKeys];
  const float* values[kKeys];
};

void start_row(TileState& tile, int64_t row, int64_t token, int64_t head) {
  const AttentionWork& work = tile.work;
  const int32_t position = work.positions[token];
  tile.first_keys[row] = static_cast<int32_t>(first_key(position, work.window));
  tile.last_keys[row] = position;
  if (tile.first_keys[row] < tile.low) tile.low = tile.first_keys[row];
  if (position > tile.high) tile.high = position;
  __builtin_memcpy(tile.queries + row * tile.head_dim, work.qkv + token * work.qkv_stride + head * tile.head_dim,
                   tile.head_dim * sizeof(float));
  __builtin_memset(tile.sums + row * tile.head_dim, 0, tile.head_dim * sizeof(float));
  tile.outs[row] = work.out + token * work.out_stride + head * tile.head_dim;
  const bool has_sink = work.sinks != nullptr && work.sinks[head] > kLowest;
  tile.maxima[row] = has_sink ? work.sinks[head] : kLowest;
  tile.denominators[row] = has_sink ? 1.0f : 0.0f;
}

// The chunk that begins at `begin`; empty (last < first) behind the last key. Places without a key point at some other
// memory of the cache: it may be asked for, and what is computed from it is masked.
Chunk find_keys(const TileState& tile, int64_t seq_row, int64_t kv_head, int64_t begin) {
  Chunk chunk;
  chunk.begin = static_cast<int32_t>(begin);
  chunk.first = tile.low > begin ? tile.low : chunk.begin;
  chunk.last = tile.high < begin + kKeys - 1 ? tile.high : static_cast<int32_t>(begin + kKeys - 1);
  const mk_kv& kv = tile.work.kv;
  const int32_t* table = kv.table + seq_row * kv.max_blocks;
  const int block_bits = __builtin_ctz(static_cast<unsigned>(kv.block_size));
  const int32_t some = chunk.first <= chunk.last ? chunk.first : tile.high;
  for (int32_t place = 0; place < kKeys; ++place) {
    const int32_t position = chunk.begin + place;
    const int32_t key = position < chunk.first || position > chunk.last ? some : position;
    const int64_t slot =
        ((int64_t{table[key >> block_bits]} * kv.num_kv_heads + kv_head) << block_bits) + (key & (kv.block_size - 1));
    chunk.keys[place] = static_cast<const float*>(kv.k) + slot * kv.head_dim;
    chunk.values[place] = static_cast<const float*>(kv.v) + slot * kv.head_dim;
  }
  return chunk;
}

// Vectors of 16 keys that hold a key of the chunk.
MK_INLINE int64_t first_vector(const Chunk& chunk) { return (chunk.first - chunk.begin) / kLanes; }
MK_INLINE int64_t end_vector(const Chunk& chunk) { return (chunk.last - chunk.begin) / kLanes + 1; }

// keys[d, j]: the same dimension of neighbouring keys side by side. On the way the next chunk is asked for, a little at a
// time: its blocks lie anywhere, so the hardware does not foresee them.
void transpose_keys(TileState& tile, const Chunk& chunk, const Chunk& next) {
  for (int64_t vector = first_vector(chunk); vector < end_vector(chunk); ++vector) {
    for (int64_t d = 0; d < tile.head_dim; d += kLanes) {
      for (int64_t lane = vector * kLanes; lane < (vector + 1) * kLanes; ++lane) {
        __builtin_prefetch(next.keys[lane] + d, 0, 2);
        __builtin_prefetch(next.values[lane] + d, 0, 2);
      }
      for (int64_t quarter = d; quarter < d + kLanes; quarter += 4) {
        transpose_16x4(chunk.keys + vector * kLanes, quarter, tile.keys + quarter * kKeys + vector * kLanes, kKeys);
      }
    }
  }
}

template <int kRows, int kVectors>
MK_INLINE void score_vectors(const TileState& tile, int64_t row, int64_t vector) {
  const float* queries = tile.queries + row * tile.head_dim;
  F16 sums[kRows][kVectors];
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 32
    for (int v = 0; v < kVectors; ++v) sums[r][v] = zero();
  }
  for (int64_t d = 0; d < tile.head_dim; ++d) {
    F16 keys[kVectors];
#pragma GCC unroll 32
    for (int v = 0; v < kVectors; ++v) keys[v] = load(tile.keys + d * kKeys + (vector + v) * kLanes);
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
      const F16 query = set1(queries[r * tile.head_dim + d]);
#pragma GCC unroll 32
      for (int v = 0; v < kVectors; ++v) sums[r][v] = fma(keys[v], query, sums[r][v]);
    }
  }
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 32
    for (int v = 0; v < kVectors; ++v) {
      store(tile.scores + (row + r) * kKeys + (vector + v) * kLanes, mul(sums[r][v], set1(tile.work.scale)));
    }
  }
}

template <int kRows>
void score(const TileState& tile, const Chunk& chunk, int64_t row) {
  constexpr int kVectors = vectors_per_tile_attention(kRows);
  int64_t vector = first_vector(chunk);
  for (; vector + kVectors <= end_vector(chunk); vector += kVectors) score_vectors<kRows, kVectors>(tile, row, vector);
  for (; vector < end_vector(chunk); ++vector) score_vectors<kRows, 1>(tile, row, vector);
}

// What a chunk did to one row's softmax.
struct RowChange {
  float maximum_drop;  // old maximum - new maximum, 0 or less
  float weight;        // sum of the new weights
};

// Scores of one row become exp(score - new maximum).
MK_INLINE RowChange weigh_row(TileState& tile, const Chunk& chunk, int64_t row) {
  float* scores = tile.scores + row * kKeys;
  F16 s[4] = {load(scores), load(scores + 16), load(scores + 32), load(scores + 48)};
  if (tile.first_keys[row] > chunk.begin || tile.last_keys[row] < chunk.begin + kKeys - 1) {
    for (int v = 0; v < 4; ++v) {
      s[v] =
          keep_range(s[v], chunk.begin + v * static_cast<int32_t>(kLanes), tile.first_keys[row], tile.last_keys[row]);
    }
  }
  const float old_maximum = tile.maxima[row];
  const float largest = lane_max(max(max(s[0], s[1]), max(s[2], s[3])));
  const float maximum = largest > old_maximum ? largest : old_maximum;
  for (int v = 0; v < 4; ++v) {
    s[v] = exp(sub(s[v], set1(maximum)));
    store(scores + v * kLanes, s[v]);
  }
  tile.maxima[row] = maximum;
  return {old_maximum - maximum, lane_sum(add(add(s[0], s[1]), add(s[2], s[3])))};
}

// sums[r] = sums[r] * corrections[r] + sum over keys [first, last] of weight * value, 16 * kVectors dimensions from d.
template <int kRows, int kVectors>
MK_INLINE void add_values(const TileState& tile, const Chunk& chunk, int64_t row, int64_t first, int64_t last,
                          int64_t d, const float* corrections) {
  F16 sums[kRows][kVectors];
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 32
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = mul(load(tile.sums + (row + r) * tile.head_dim + d + v * kLanes), set1(corrections[r]));
    }
  }
  const float* weights = tile.scores + row * kKeys;
  for (int64_t key = first; key <= last; ++key) {
    F16 values[kVectors];
#pragma GCC unroll 32
    for (int v = 0; v < kVectors; ++v) values[v] = load(chunk.values[key] + d + v * kLanes);
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
      const F16 weight = set1(weights[r * kKeys + key]);
#pragma GCC unroll 32
      for (int v = 0; v < kVectors; ++v) sums[r][v] = fma(values[v], weight, sums[r][v]);
    }
  }
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 32
    for (int v = 0; v < kVectors; ++v) store(tile.sums + (row + r) * tile.head_dim + d + v * kLanes, sums[r][v]);
  }
}

// One chunk for kRows rows. A key that a row does not see has weight 0 and changes nothing, whoever else sees it.
template <int kRows>
void attend_rows(TileState& tile, const Chunk& chunk, int64_t row) {
  int32_t first = tile.first_keys[row], last = tile.last_keys[row];
  for (int r = 1; r < kRows; ++r) {
    if (tile.first_keys[row + r] < first) first = tile.first_keys[row + r];
    if (tile.last_keys[row + r] > last) last = tile.last_keys[row + r];
  }
  if (first < chunk.first) first = chunk.first;
  if (last > chunk.last) last = chunk.last;
  if (first > last) return;
  score<kRows>(tile, chunk, row);
  float corrections[kLanes] = {}, weights[kRows];
  for (int r = 0; r < kRows; ++r) {
    const RowChange change = weigh_row(tile, chunk, row + r);
    corrections[r] = change.maximum_drop;
    weights[r] = change.weight;
  }
  store(corrections, exp(load(corrections)));
  for (int r = 0; r < kRows; ++r) tile.denominators[row + r] = tile.denominators[row + r] * corrections[r] + weights[r];
  constexpr int kVectors = vectors_per_tile_attention(kRows);
  int64_t d = 0;
  for (; d + kVectors * kLanes <= tile.head_dim; d += kVectors * kLanes) {
    add_values<kRows, kVectors>(tile, chunk, row, first - chunk.begin, last - chunk.begin, d, corrections);
  }
  for (; d < tile.head_dim; d += kLanes) {
    add_values<kRows, 1>(tile, chunk, row, first - chunk.begin, last - chunk.begin, d, corrections);
  }
}

void finish_row(const TileState& tile, int64_t row) {
  for (int64_t d = 0; d < tile.head_dim; d += kLanes) {
    store(tile.outs[row] + d, div(load(tile.sums + row * tile.head_dim + d), set1(tile.denominators[row])));
  }
}

void attend_tile(const AttentionWork& work, const AttentionTile& rows, int64_t kv_head, float* scratch) {
  const int64_t head_dim = work.kv.head_dim, group_size = work.num_heads / work.kv.num_kv_heads;
  TileState tile = {
      work, rows.num_rows, head_dim, scratch, scratch + kQueryRows * head_dim, nullptr, nullptr, {}, {}, {}, {},
      {},   INT32_MAX,     0};
  tile.scores = tile.keys + head_dim * kKeys;
  tile.sums = tile.scores + kQueryRows * kKeys;
  for (int64_t row = 0; row < tile.num_rows; ++row) {
    const int64_t flat = rows.first_row + row;
    start_row(tile, row, rows.first_token + flat / group_size, kv_head * group_size + flat % group_size);
  }
  Chunk chunk = find_keys(tile, rows.seq_row, kv_head, tile.low / kKeys * kKeys);
  while (chunk.first <= chunk.last) {
    const Chunk next = find_keys(tile, rows.seq_row, kv_head, int64_t{chunk.begin} + kKeys);
    transpose_keys(tile, chunk, next);
    for (int64_t row = 0; row < tile.num_rows; row += kRowsPerStep) {
      const int64_t left = tile.num_rows - row;
      with_rows<kRowsPerStep>(left < kRowsPerStep ? left : kRowsPerStep,
                              [&](auto count) { attend_rows<decltype(count)::value>(tile, chunk, row); });
    }
    chunk = next;
  }
  for (int64_t row = 0; row < tile.num_rows; ++row) finish_row(tile, row);
}

// Item: a tile and a kv head. Tiles are taken from both ends, since later ones of a prompt see more keys.
void attend(const AttentionWork& work, int64_t begin, int64_t end, int32_t thread) {
  float* scratch = work.scratch + thread * scratch_floats(work.kv.head_dim);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t index = item / work.kv.num_kv_heads;
    const int64_t tile = index % 2 == 0 ? index / 2 : work.num_tiles - 1 - index / 2;
    attend_tile(work, work.tiles[tile], item % work.kv.num_kv_heads, scratch);
  }
}

}  // namespace
}  // namespace moesaic::cpu::MK_ISA
