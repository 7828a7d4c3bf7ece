// Merging samples: the next token of each sequence from what every rank found in its part of the vocabulary. Every rank
// merges the same numbers in the same order, so all of them know the token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "exchange.h"
#include "program.h"
#include "status.h"
#include "storage.h"

namespace moesaic {

// The most that one rank says about the samples of a step.
int64_t max_sample_bytes(const RankProgram& program);

class SampleMerge {
 public:
  // `storage` is laid out before the first merge.
  SampleMerge(const RankProgram& program, Storage& storage);

  // After sample_shard: exchanges the candidates and writes tokens and logprobs to the step arrays. Afterwards undecided()
  // lists the rows whose candidates did not suffice: they want the whole row of logits.
  Status merge(Exchange& exchange, const mk_buffer& logits);
  // In place of merge when no package has a kernel for shards: every row is undecided.
  void decide_nothing();
  const std::vector<int32_t>& undecided() const { return undecided_; }

 private:
  struct Row {
    int32_t index;           // among the sampled rows
    int32_t row;             // persistent
    int32_t num_candidates;  // exchanged
    bool is_restricted;      // by top_k, top_p or min_p
    bool is_decidable;       // by candidates; else its logits are gathered at once
    size_t bytes() const;
  };
  Row describe(int32_t index) const;
  void pack(const Row& row, const mk_buffer& logits, std::byte*& to) const;
  bool decide(const Row& row, size_t offset);
  int32_t best_of_all(size_t offset) const;
  int32_t best_of_candidates(const Row& row, size_t offset);
  bool report_logprobs(const Row& row, size_t offset, int32_t token_id);
  void merge_candidates(const Row& row, size_t offset);

  const RankProgram& program_;
  Storage& storage_;
  std::vector<int32_t> undecided_;
  std::vector<Row> rows_;
  size_t rank_bytes_ = 0;

  struct Candidate {
    int32_t id;
    float logit;
    float raw;
    bool is_last;  // of a list that was cut off: what is worse may be missing from here on
  };
  std::vector<Candidate> candidates_;  // of the row that is being decided, best first
};

}  // namespace moesaic
