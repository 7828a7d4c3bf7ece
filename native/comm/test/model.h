// A model of the collectives: every rank knows what every other rank brings, so it can compute what must come out.
#pragma once

#include "harness.h"

namespace moesaic::test {

// Small, seeded, the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t next();
  // 0 … count - 1
  uint64_t below(uint64_t count) { return next() % count; }

 private:
  uint64_t state_;
};

// Rank's values of a call: of such different magnitudes that another order of summation gives other bits.
std::vector<float> values_of(uint64_t call, int32_t rank, size_t count);
std::vector<std::byte> bytes_of(uint64_t call, int32_t rank, size_t count);

// A group as all ranks know it; `id` is for the rank that runs.
struct TestGroup {
  std::vector<int32_t> ranks;
  GroupId id;

  size_t size() const { return ranks.size(); }
  // Of the rank; the group's size when it is not in it.
  size_t index_of(int32_t rank) const;
};

// Each makes one call on this rank and compares the result with the model, bit by bit. `count` is the size of the largest part.
void check_all_reduce(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count);
void check_reduce_scatter(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count);
void check_all_gather(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count);
void check_all_to_all(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count);
void check_broadcast(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count);
// One of them, chosen by the seed.
void check_any(Communicator& communicator, const TestGroup& group, Random& random, uint64_t call);

}  // namespace moesaic::test
