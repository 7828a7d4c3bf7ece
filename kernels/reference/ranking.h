// Ranking: the best few of a row of scores, best first, ties to the lower id.
#pragma once

#include <cstdint>
#include <limits>

namespace moesaic::reference {

// What a score counts as when scores are compared: NaN is the worst there is, so that every row has a best id.
inline float rank_of(float score) { return score == score ? score : -std::numeric_limits<float>::infinity(); }

// A list of at most `capacity` (id, score) pairs in memory of the caller. Offer ids in ascending order.
class Ranking {
 public:
  Ranking(int32_t* ids, float* scores, int32_t capacity) : ids_(ids), scores_(scores), capacity_(capacity) {}

  // Puts the pair behind all that are at least as good, and drops the last one when there is no room.
  void offer(int32_t id, float score) {
    int32_t place = size_ < capacity_ ? size_++ : capacity_;
    while (place > 0 && rank_of(score) > rank_of(scores_[place - 1])) {
      if (place < capacity_) {
        ids_[place] = ids_[place - 1];
        scores_[place] = scores_[place - 1];
      }
      --place;
    }
    if (place < capacity_) {
      ids_[place] = id;
      scores_[place] = score;
    }
  }

 private:
  int32_t* const ids_;
  float* const scores_;
  const int32_t capacity_;
  int32_t size_ = 0;
};

}  // namespace moesaic::reference
