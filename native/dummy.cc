// Dummy weights: what a benchmark needs of a checkpoint without its files. Every row is made from a counter-based
// generator keyed by (seed, tensor, expert, row) of the checkpoint, and a row's values by their columns there: neither the
// threads that make the rows nor the cut of the model between ranks leave a trace in them.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "pieces.h"
#include "text.h"

namespace moesaic {
namespace {

// How the values of one weight are distributed.
struct Distribution {
  double deviation;  // standard deviation; 0: every value is 1
};

// The columns of a row that are made, of those that the tensor has.
struct Columns {
  int64_t begin;
  int64_t end;
  int64_t total;
};

Status check_sources(const std::vector<WeightTarget>& targets);
std::vector<Piece> cut_weights(const std::vector<WeightTarget>& targets);
const WeightSource& source_of_row(const WeightTarget& target, int32_t row);
Columns columns_of(const WeightTarget& target, const WeightSource& source);
Distribution distribution_of(const WeightTarget& target, const Columns& columns);
void make_row(const mk_weight_desc& desc, Distribution distribution, const Columns& columns, uint64_t key,
              std::byte* values, std::byte* scales);
uint64_t tensor_key(uint64_t seed, const std::string& tensor);
uint64_t row_key(uint64_t tensor_key, int64_t expert, int64_t row);

}  // namespace

StatusOr<LoadReport> load_dummy_weights(const std::vector<WeightTarget>& targets, uint64_t seed, int32_t num_threads,
                                        const std::atomic<bool>& cancelled, std::atomic<uint64_t>& ticks,
                                        const LoadProgress& progress, ComputeDevice& device) {
  if (Status status = check_sources(targets); !status.ok()) return status;
  const FillStaging make = [&](const Piece& piece, std::byte* values, std::byte* scales) {
    const WeightTarget& target = targets[piece.weight_index];
    const RowBytes bytes = source_row_bytes(target.desc);
    for (int32_t row = piece.row_begin; row < piece.row_end; ++row) {
      const WeightSource& source = source_of_row(target, row);
      const Columns columns = columns_of(target, source);
      const int64_t tensor_row = int64_t{source.row_begin} + row - source.dst_row;
      const uint64_t key = row_key(tensor_key(seed, source.tensor), source.experts[piece.expert], tensor_row);
      make_row(target.desc, distribution_of(target, columns), columns, key, values, scales);
      values += bytes.values;
      scales += bytes.scales;
    }
    return Status();
  };
  return place_pieces(targets, cut_weights(targets), num_threads, make, LoadWatch{cancelled, ticks, progress}, device);
}

namespace {

// ---- sources -------------------------------------------------------------------------------------------------------

bool fills_columns(const WeightTarget& target, const WeightSource& source) {
  const mk_weight_desc& desc = target.desc;
  const Columns columns = columns_of(target, source);
  const bool is_whole_blocks = desc.source_dtype != MK_MXFP4 || columns.begin % 32 == 0;
  return columns.begin >= 0 && columns.end <= columns.total && columns.end - columns.begin == desc.cols && is_whole_blocks &&
         source.experts.size() == static_cast<size_t>(desc.num_experts);
}

Status check_sources(const std::vector<WeightTarget>& targets) {
  for (const WeightTarget& target : targets) {
    int64_t next_row = 0;
    bool is_filled = true;
    for (const WeightSource& source : *target.sources) {
      is_filled = is_filled && fills_columns(target, source) && source.dst_row == next_row && source.row_begin < source.row_end;
      next_row += int64_t{source.row_end} - source.row_begin;
    }
    if (is_filled && next_row == target.desc.rows) continue;
    const std::string wanted = text(target.desc.num_experts, " experts of ", target.desc.rows, " x ", target.desc.cols);
    return Status(Code::kInvalidArgument, text(target.name, ": wanted sources that fill ", wanted, " one after the other"));
  }
  return Status();
}

const WeightSource& source_of_row(const WeightTarget& target, int32_t row) {
  const auto begins_after = [row](const WeightSource& source) { return source.dst_row > row; };
  return *(std::find_if(target.sources->begin(), target.sources->end(), begins_after) - 1);
}

// A vector has one column, which its sources' shapes leave out.
Columns columns_of(const WeightTarget& target, const WeightSource& source) {
  if (target.packing == nullptr) return {0, 1, 1};
  return {source.col_begin, source.col_end, source.shape.empty() ? 0 : source.shape.back()};
}

std::vector<Piece> cut_weights(const std::vector<WeightTarget>& targets) {
  std::vector<Piece> pieces;
  for (size_t weight = 0; weight < targets.size(); ++weight) {
    const mk_weight_desc& desc = targets[weight].desc;
    for (int32_t expert = 0; expert < desc.num_experts; ++expert) {
      cut_pieces(targets[weight], Piece{static_cast<int32_t>(weight), expert, 0, desc.rows, 0}, &pieces);
    }
  }
  return pieces;
}

// Unit-length rows keep the scale of what they multiply; biases and sinks stay small beside it.
Distribution distribution_of(const WeightTarget& target, const Columns& columns) {
  constexpr double kVectorDeviation = 0.02;
  if (target.packing != nullptr) return {1 / std::sqrt(static_cast<double>(columns.total))};
  return {target.name.find("norm") == std::string::npos ? kVectorDeviation : 0};
}

// ---- random words --------------------------------------------------------------------------------------------------

// SplitMix64's step and finaliser: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

uint64_t mix(uint64_t word) {
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

// FNV-1a: the same on every machine, which std::hash need not be.
uint64_t tensor_key(uint64_t seed, const std::string& tensor) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char letter : tensor) hash = (hash ^ static_cast<uint8_t>(letter)) * 0x100000001b3;
  return mix(seed + kGolden) + mix(hash);
}

uint64_t row_key(uint64_t tensor_key, int64_t expert, int64_t row) {
  const uint64_t expert_key = mix(tensor_key * kGolden) + static_cast<uint64_t>(expert);
  return mix(mix(expert_key * kGolden) + static_cast<uint64_t>(row));
}

// Bytes [begin, end) of an endless row of which word i depends on the key and i alone.
void fill_random(uint64_t key, int64_t begin, int64_t end, std::byte* out) {
  constexpr int64_t kWordBytes = sizeof(uint64_t);
  for (int64_t at = begin; at < end;) {
    const int64_t skipped = at % kWordBytes;
    const int64_t count = std::min(kWordBytes - skipped, end - at);
    const uint64_t word = mix(key + static_cast<uint64_t>(at / kWordBytes) * kGolden);
    std::memcpy(out + (at - begin), reinterpret_cast<const std::byte*>(&word) + skipped, static_cast<size_t>(count));
    at += count;
  }
}

// ---- bf16 ----------------------------------------------------------------------------------------------------------

uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Uniform in [-a, a) has the standard deviation a / sqrt(3).
void make_bf16_row(const Columns& columns, Distribution distribution, uint64_t key, std::byte* values) {
  fill_random(key, 2 * columns.begin, 2 * columns.end, values);
  const auto factor = static_cast<float>(distribution.deviation * std::sqrt(3.0) / 32768);
  for (int64_t i = 0; i < columns.end - columns.begin; ++i) {
    int16_t random;
    std::memcpy(&random, values + 2 * i, sizeof(random));
    const uint16_t value = to_bf16(static_cast<float>(random) * factor);
    std::memcpy(values + 2 * i, &value, sizeof(value));
  }
}

// ---- MXFP4 ---------------------------------------------------------------------------------------------------------

// Two neighbouring scales, and how often the larger one is taken, of 65536: powers of two alone miss most deviations.
struct ScaleChoice {
  uint8_t smaller;
  uint32_t larger_share;
};

// Mean square of the sixteen codes: the magnitudes are 0, 0.5, 1, 1.5, 2, 3, 4 and 6.
constexpr double kCodeMeanSquare = 68.5 / 8;

ScaleChoice choose_scale(double deviation) {
  constexpr int kScaleBias = 127;
  const double wanted = deviation / std::sqrt(kCodeMeanSquare);
  const double exponent = std::floor(std::log2(wanted));
  const double excess = wanted * wanted / std::exp2(2 * exponent);  // in [1, 4): (1 - share) * 1 + share * 4
  return {static_cast<uint8_t>(kScaleBias + exponent), static_cast<uint32_t>((excess - 1) / 3 * 65536)};
}

void make_mxfp4_row(const Columns& columns, Distribution distribution, uint64_t key, std::byte* values,
                    std::byte* scales) {
  fill_random(key, columns.begin / 2, columns.end / 2, values);
  const ScaleChoice choice = choose_scale(distribution.deviation);
  const uint64_t scale_key = ~key;
  for (int64_t block = columns.begin / 32; block < columns.end / 32; ++block) {
    const uint64_t random = mix(scale_key + static_cast<uint64_t>(block) * kGolden) >> 48;
    scales[block - columns.begin / 32] = static_cast<std::byte>(choice.smaller + (random < choice.larger_share ? 1 : 0));
  }
}

// ---- rows ----------------------------------------------------------------------------------------------------------

void make_row(const mk_weight_desc& desc, Distribution distribution, const Columns& columns, uint64_t key,
              std::byte* values, std::byte* scales) {
  if (distribution.deviation == 0) {
    const uint16_t one = to_bf16(1);
    std::memcpy(values, &one, sizeof(one));
  } else if (desc.source_dtype == MK_MXFP4) {
    make_mxfp4_row(columns, distribution, key, values, scales);
  } else {
    make_bf16_row(columns, distribution, key, values);
  }
}

}  // namespace
}  // namespace moesaic
