// Dummy weights: what a benchmark needs of a checkpoint without its files. Every row is made from a counter-based
// generator keyed by (seed, weight, expert, row), so the threads that make the rows leave no trace in them.
#include <bit>
#include <cmath>
#include <cstring>

#include "pieces.h"

namespace moesaic {
namespace {

// How the values of one weight are distributed.
struct Distribution {
  double deviation;  // standard deviation; 0: every value is 1
};

std::vector<Piece> cut_weights(const std::vector<WeightTarget>& targets);
Distribution distribution_of(const WeightTarget& target);
void make_row(const mk_weight_desc& desc, Distribution distribution, uint64_t key, std::byte* values,
              std::byte* scales);
uint64_t row_key(uint64_t seed, const Piece& piece, int32_t row);

}  // namespace

StatusOr<LoadReport> load_dummy_weights(const std::vector<WeightTarget>& targets, uint64_t seed, int32_t num_threads,
                                        const std::atomic<bool>& cancelled, std::atomic<uint64_t>& ticks,
                                        const LoadProgress& progress) {
  const FillStaging make = [&](const Piece& piece, std::byte* values, std::byte* scales) {
    const WeightTarget& target = targets[piece.weight_index];
    const RowBytes bytes = source_row_bytes(target.desc);
    const Distribution distribution = distribution_of(target);
    for (int32_t row = piece.row_begin; row < piece.row_end; ++row) {
      make_row(target.desc, distribution, row_key(seed, piece, row), values, scales);
      values += bytes.values;
      scales += bytes.scales;
    }
    return Status();
  };
  return place_pieces(targets, cut_weights(targets), num_threads, make, LoadWatch{cancelled, ticks, progress});
}

namespace {

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
Distribution distribution_of(const WeightTarget& target) {
  constexpr double kVectorDeviation = 0.02;
  if (target.packing != nullptr) return {1 / std::sqrt(static_cast<double>(target.desc.cols))};
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

uint64_t row_key(uint64_t seed, const Piece& piece, int32_t row) {
  const uint64_t weight_key = mix(seed + kGolden) + static_cast<uint64_t>(piece.weight_index);
  const uint64_t expert_key = mix(weight_key * kGolden) + static_cast<uint64_t>(piece.expert);
  return mix(mix(expert_key * kGolden) + static_cast<uint64_t>(row));
}

// Word i depends on the key and i alone.
void fill_random(uint64_t key, std::byte* out, int64_t bytes) {
  constexpr int64_t kWordBytes = sizeof(uint64_t);
  const int64_t num_words = bytes / kWordBytes;
  for (int64_t i = 0; i < num_words; ++i) {
    const uint64_t word = mix(key + static_cast<uint64_t>(i) * kGolden);
    std::memcpy(out + i * kWordBytes, &word, kWordBytes);
  }
  const uint64_t last = mix(key + static_cast<uint64_t>(num_words) * kGolden);
  std::memcpy(out + num_words * kWordBytes, &last, static_cast<size_t>(bytes % kWordBytes));
}

// ---- bf16 ----------------------------------------------------------------------------------------------------------

uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Uniform in [-a, a) has the standard deviation a / sqrt(3).
void make_bf16_row(int64_t cols, Distribution distribution, uint64_t key, std::byte* values) {
  fill_random(key, values, 2 * cols);
  const auto factor = static_cast<float>(distribution.deviation * std::sqrt(3.0) / 32768);
  for (int64_t i = 0; i < cols; ++i) {
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

void make_mxfp4_row(RowBytes bytes, Distribution distribution, uint64_t key, std::byte* values, std::byte* scales) {
  fill_random(key, values, bytes.values);
  const ScaleChoice choice = choose_scale(distribution.deviation);
  const uint64_t scale_key = ~key;
  for (int64_t i = 0; i < bytes.scales; ++i) {
    const uint64_t random = mix(scale_key + static_cast<uint64_t>(i) * kGolden) >> 48;
    scales[i] = static_cast<std::byte>(choice.smaller + (random < choice.larger_share ? 1 : 0));
  }
}

// ---- rows ----------------------------------------------------------------------------------------------------------

void make_row(const mk_weight_desc& desc, Distribution distribution, uint64_t key, std::byte* values,
              std::byte* scales) {
  if (distribution.deviation == 0) {
    const uint16_t one = to_bf16(1);
    std::memcpy(values, &one, sizeof(one));
  } else if (desc.source_dtype == MK_MXFP4) {
    make_mxfp4_row(source_row_bytes(desc), distribution, key, values, scales);
  } else {
    make_bf16_row(desc.cols, distribution, key, values);
  }
}

}  // namespace
}  // namespace moesaic
