// experts: what the plain and the instruction-set files of experts say to each other.
#pragma once

#include "layout.h"

namespace moesaic::cpu {

// Rows of x that go through one expert together.
struct ExpertTile {
  const float* x;        // (hidden, num_rows) packed
  float* activations;    // (intermediate, num_rows) packed
  const int32_t* slots;  // num_rows; token * experts_per_token + slot of each, within the pass
  int32_t num_rows;
};

// An expert that some token of the pass chose.
struct ActiveExpert {
  int32_t expert, first_tile, num_tiles;
};

struct ExpertsWork {
  const ExpertTile* tiles;
  const ActiveExpert* active;
  int64_t num_active;
  mk_weight gate_up, gate_up_bias, down, down_bias;
  float* out;  // of the pass's first token
  float alpha, limit;
  bool is_expert_major;  // how items are numbered, see item_of
};

constexpr int64_t kUnitGroupsPerItem = 2;  // a chunk of gate_up: 32 units, gate and up
constexpr int64_t kDownGroupsPerItem = 4;  // a chunk of down: 64 rows

// One unit of work: `count` groups (of units or of rows) from `first` of one expert, for all its tiles.
struct ExpertsItem {
  ActiveExpert active;
  int64_t first, count;
};

// Expert after expert reads memory in order. With many rows the chunk counts first instead: then any run of items has its
// share of busy and of idle experts.
static inline ExpertsItem item_of(const ExpertsWork& work, int64_t item, int64_t groups, int64_t groups_per_item) {
  const int64_t chunks = (groups + groups_per_item - 1) / groups_per_item;
  const int64_t chunk = work.is_expert_major ? item % chunks : item / work.num_active;
  const int64_t expert = work.is_expert_major ? item / chunks : item % work.num_active;
  const int64_t first = chunk * groups_per_item, left = groups - first;
  return {work.active[expert], first, left < groups_per_item ? left : groups_per_item};
}

struct ExpertsIsa {
  mk_dtype dtype;
  int64_t max_tile_rows;
  void (*gate_up)(const ExpertsWork& work, int64_t begin, int64_t end);
  void (*down)(const ExpertsWork& work, int64_t begin, int64_t end);
};
extern const ExpertsIsa kExpertsIsaBf16Avx2, kExpertsIsaBf16Avx512, kExpertsIsaMxfp4Avx2, kExpertsIsaMxfp4Avx512;

}  // namespace moesaic::cpu
