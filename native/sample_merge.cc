#include "sample_merge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "step.h"

namespace moesaic {
namespace {

constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int32_t kUndecided = -1;

// What a rank says about one row, in front of its candidates.
struct Summary {
  int32_t best_id;
  float best_score;
  float best_raw;
  float raw_max;
  float raw_sum;
  float processed_max;
  float processed_sum;
};
struct WireCandidate {
  int32_t id;
  float logit;
  float raw;
};

// Philox4x32-10 as kernel.h has it. Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011).
std::array<uint32_t, 4> philox(uint64_t seed, std::array<uint32_t, 4> counter) {
  auto low = static_cast<uint32_t>(seed);
  auto high = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round, low += 0x9E3779B9, high += 0xBB67AE85) {
    const uint64_t even = uint64_t{0xD2511F53} * counter[0];
    const uint64_t odd = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(odd >> 32) ^ counter[1] ^ low, static_cast<uint32_t>(odd),
               static_cast<uint32_t>(even >> 32) ^ counter[3] ^ high, static_cast<uint32_t>(even)};
  }
  return counter;
}

double gumbel(uint64_t seed, int32_t seq_len, int32_t id) {
  const auto words = philox(seed, {static_cast<uint32_t>(id) / 4, static_cast<uint32_t>(seq_len), 0, 0});
  const double u = (words[static_cast<size_t>(id % 4)] + 0.5) / 4294967296.0;
  return -std::log(-std::log(u));
}

Summary summary_at(const std::byte* at) {
  Summary summary;
  std::memcpy(&summary, at, sizeof(summary));
  return summary;
}

}  // namespace

int64_t max_sample_bytes(const RankProgram& program) {
  constexpr int64_t kRowBytes = sizeof(Summary) + kMaxCandidates * sizeof(WireCandidate);
  return max_logits_rows(program.limits) * kRowBytes;
}

// A step allocates nothing.
SampleMerge::SampleMerge(const RankProgram& program, Storage& storage) : program_(program), storage_(storage) {
  const auto max_rows = static_cast<size_t>(max_logits_rows(program.limits));
  undecided_.reserve(max_rows);
  rows_.reserve(max_rows);
  candidates_.reserve(static_cast<size_t>(program.world_size) * kMaxCandidates);
}

size_t SampleMerge::Row::bytes() const {
  return is_decidable ? sizeof(Summary) + static_cast<size_t>(num_candidates) * sizeof(WireCandidate) : 0;
}

Status SampleMerge::merge(Exchange& exchange, const mk_buffer& logits) {
  undecided_.clear();
  rows_.clear();
  rank_bytes_ = 0;
  for (int32_t i = 0; i < *storage_.step_arrays.num_sampled; ++i) {
    rows_.push_back(describe(i));
    rank_bytes_ += rows_.back().bytes();
  }
  const ExchangeStaging& staging = storage_.staging;
  std::byte* packed = staging.own_samples;
  for (const Row& row : rows_) pack(row, logits, packed);
  if (rank_bytes_ > 0) {
    const std::span<std::byte> all(staging.all_samples, rank_bytes_ * static_cast<size_t>(program_.world_size));
    if (Status status = exchange.gather_equal({staging.own_samples, rank_bytes_}, all); !status.ok()) return status;
  }
  size_t offset = 0;
  for (const Row& row : rows_) {
    if (!row.is_decidable || !decide(row, offset)) undecided_.push_back(row.index);
    offset += row.bytes();
  }
  return {};
}

void SampleMerge::decide_nothing() {
  undecided_.clear();
  for (int32_t i = 0; i < *storage_.step_arrays.num_sampled; ++i) undecided_.push_back(i);
}

// From the parameters alone, so that all ranks agree on the sizes.
SampleMerge::Row SampleMerge::describe(int32_t index) const {
  const RowArrays& rows = storage_.rows;
  const int32_t row = storage_.step_arrays.sample_rows[index];
  const bool is_greedy = rows.temperature[row] == 0;
  const bool is_restricted = !is_greedy && (rows.top_k[row] > 0 || rows.top_p[row] < 1 || rows.min_p[row] > 0);
  const bool is_masked = rows.has_mask[row] != 0 ||
                         (rows.stop_counts[row] > 0 && storage_.step_arrays.sample_seq_lens[index] < rows.min_seq_len[row]);
  const bool is_adjusted = is_masked || rows.bias_counts[row] > 0 || rows.presence_penalty[row] != 0 ||
                           rows.frequency_penalty[row] != 0 || rows.repetition_penalty[row] != 1;
  const int32_t num_top = rows.num_top_logprobs[row];
  int32_t wanted = std::max(num_top, 0);
  if (is_restricted) wanted = std::max(wanted, rows.top_k[row] > 0 ? rows.top_k[row] : kMaxCandidates);
  // The candidates are those of the adjusted logits; the reported ones are the best of the raw.
  const bool is_decidable = wanted <= kMaxCandidates && !(is_adjusted && num_top >= 0);
  return {index, row, std::min(wanted, kMaxCandidates), is_restricted, is_decidable};
}

void SampleMerge::pack(const Row& row, const mk_buffer& logits, std::byte*& to) const {
  if (!row.is_decidable) return;
  const ShardSampling& shard = storage_.shard_sampling;
  const int32_t i = row.index;
  const int32_t column = shard.best_id[i] - program_.dims.vocab_begin;
  const bool is_own = column >= 0 && column < program_.dims.vocab_size;
  const float raw = is_own ? static_cast<const float*>(logits.data)[int64_t{i} * logits.cols + column] : kNegativeInfinity;
  const Summary summary{shard.best_id[i],    shard.best_score[i],     raw,
                        shard.raw_max[i],    shard.raw_sum[i],        shard.processed_max[i],
                        shard.processed_sum[i]};
  std::memcpy(to, &summary, sizeof(summary));
  to += sizeof(summary);
  for (int32_t n = 0; n < row.num_candidates; ++n) {
    const int64_t at = int64_t{i} * kMaxCandidates + n;
    const WireCandidate candidate{shard.candidate_ids[at], shard.candidate_logits[at], shard.candidate_raw[at]};
    std::memcpy(to, &candidate, sizeof(candidate));
    to += sizeof(candidate);
  }
}

bool SampleMerge::decide(const Row& row, size_t offset) {
  merge_candidates(row, offset);
  const int32_t token_id = row.is_restricted ? best_of_candidates(row, offset) : best_of_all(offset);
  if (token_id < 0 || token_id >= program_.dims.global_vocab_size) return false;
  if (!report_logprobs(row, offset, token_id)) return false;
  storage_.step_arrays.sampled_ids[row.index] = token_id;
  return true;
}

// The best of the ranks' best, ties to the lower id. Undecided when masks or NaNs leave no finite logit.
int32_t SampleMerge::best_of_all(size_t offset) const {
  int32_t best_id = kUndecided;
  float best_score = kNegativeInfinity;
  for (int32_t rank = 0; rank < program_.world_size; ++rank) {
    const Summary summary = summary_at(storage_.staging.all_samples + rank * rank_bytes_ + offset);
    if (summary.best_score > best_score || (summary.best_score == best_score && best_id >= 0 && summary.best_id < best_id)) {
      best_score = summary.best_score;
      best_id = summary.best_id;
    }
  }
  return best_id;
}

void SampleMerge::merge_candidates(const Row& row, size_t offset) {
  candidates_.clear();
  for (int32_t rank = 0; rank < program_.world_size; ++rank) {
    const std::byte* at = storage_.staging.all_samples + rank * rank_bytes_ + offset + sizeof(Summary);
    for (int32_t n = 0; n < row.num_candidates; ++n, at += sizeof(WireCandidate)) {
      WireCandidate candidate;
      std::memcpy(&candidate, at, sizeof(candidate));
      if (candidate.id < 0) break;
      candidates_.push_back({candidate.id, candidate.logit, candidate.raw, n + 1 == row.num_candidates});
    }
  }
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
}

// top_k, top_p, min_p in turn, best first; then the choice with noise.
int32_t SampleMerge::best_of_candidates(const Row& row, size_t offset) {
  const RowArrays& rows = storage_.rows;
  if (candidates_.empty() || candidates_.front().logit == kNegativeInfinity) return kUndecided;
  const float largest = candidates_.front().logit;
  const auto temperature = static_cast<double>(rows.temperature[row.row]);
  const auto z = [&](float logit) {
    return logit == largest ? 0.0 : (static_cast<double>(logit) - static_cast<double>(largest)) / temperature;
  };
  std::erase_if(candidates_, [](const Candidate& candidate) { return candidate.logit == kNegativeInfinity; });
  size_t count = candidates_.size();
  double total = 0;
  if (const int32_t top_k = rows.top_k[row.row]; top_k > 0) {
    count = std::min(count, static_cast<size_t>(top_k));
    for (size_t n = 0; n < count; ++n) total += std::exp(z(candidates_[n].logit));
    candidates_.resize(count);
    for (Candidate& candidate : candidates_) candidate.is_last = false;  // the best top_k are all here
  } else {
    for (int32_t rank = 0; rank < program_.world_size; ++rank) {
      const Summary summary = summary_at(storage_.staging.all_samples + rank * rank_bytes_ + offset);
      if (summary.processed_max != kNegativeInfinity) total += summary.processed_sum * std::exp(z(summary.processed_max));
    }
  }
  const auto top_p = static_cast<double>(rows.top_p[row.row]);
  const auto min_p = static_cast<double>(rows.min_p[row.row]);
  double reached = 0;
  double best_value = -std::numeric_limits<double>::infinity();
  int32_t best_id = kUndecided;
  for (const Candidate& candidate : candidates_) {
    const double probability = std::exp(z(candidate.logit));
    if (probability < min_p) return best_id;
    const int32_t seq_len = storage_.step_arrays.sample_seq_lens[row.index];
    const double value = z(candidate.logit) + gumbel(rows.seed[row.row], seq_len, candidate.id);
    if (value > best_value || (value == best_value && candidate.id < best_id)) {
      best_value = value;
      best_id = candidate.id;
    }
    reached += probability;
    if (top_p < 1 && reached >= top_p * total) return best_id;
    if (candidate.is_last) return kUndecided;
  }
  return best_id;
}

// False when the raw logit of the token is not known here.
bool SampleMerge::report_logprobs(const Row& row, size_t offset, int32_t token_id) {
  const StepArrays& step = storage_.step_arrays;
  const int32_t num_top = storage_.rows.num_top_logprobs[row.row];
  int32_t* top_ids = step.top_ids + int64_t{row.index} * kMaxTopLogprobs;
  float* top_logprobs = step.top_logprobs + int64_t{row.index} * kMaxTopLogprobs;
  std::fill_n(top_ids, kMaxTopLogprobs, -1);
  std::fill_n(top_logprobs, kMaxTopLogprobs, kNan);
  step.logprobs[row.index] = kNan;
  if (num_top < 0) return true;

  float largest = kNegativeInfinity;
  float raw = kNan;
  for (int32_t rank = 0; rank < program_.world_size; ++rank) {
    const Summary summary = summary_at(storage_.staging.all_samples + rank * rank_bytes_ + offset);
    largest = std::max(largest, summary.raw_max);
    if (summary.best_id == token_id) raw = summary.best_raw;
  }
  for (const Candidate& candidate : candidates_)
    if (candidate.id == token_id) raw = candidate.raw;
  if (std::isnan(raw) || largest == kNegativeInfinity) return false;
  double sum = 0;
  for (int32_t rank = 0; rank < program_.world_size; ++rank) {
    const Summary summary = summary_at(storage_.staging.all_samples + rank * rank_bytes_ + offset);
    if (summary.raw_max != kNegativeInfinity)
      sum += summary.raw_sum * std::exp(static_cast<double>(summary.raw_max) - static_cast<double>(largest));
  }
  const double log_sum = std::log(sum);
  const auto logprob = [&](float logit) {
    return static_cast<float>(static_cast<double>(logit) - static_cast<double>(largest) - log_sum);
  };
  step.logprobs[row.index] = logprob(raw);
  // Where top_k left fewer than are wanted, the rest must come from the whole row.
  const int32_t num_reported = std::min(num_top, program_.dims.global_vocab_size);
  if (candidates_.size() < static_cast<size_t>(num_reported)) return false;
  for (int32_t n = 0; n < num_reported; ++n) {
    top_ids[n] = candidates_[n].id;
    top_logprobs[n] = logprob(candidates_[n].raw);
  }
  return true;
}

}  // namespace moesaic
