// Call: one collective as all its members must see it. A peer whose call differs in anything but the data is an error.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "../communicator.h"

namespace moesaic {

enum class CallKind : uint8_t { kAllReduce, kReduceScatter, kAllGather, kAllToAll, kBroadcast };
inline constexpr int kNumCallKinds = 5;

// "all_reduce", …; "an unknown call" for a number that came from outside and means none.
const char* call_name(CallKind kind);

// What travels in front of the data. Plain and without padding: it is compared and copied as it is.
struct CallKey {
  uint64_t group = 0;  // Group::key
  uint64_t seq = 0;    // the group's calls are numbered from 1
  CallKind kind = CallKind::kAllReduce;
  uint8_t phase = 0;  // a large all-reduce scatters (0) and gathers (1) under one number
  uint8_t unused[6] = {};

  bool operator==(const CallKey&) const = default;
};

struct Group {
  std::vector<int32_t> ranks;  // ascending
  size_t own_index = 0;        // of the own rank in `ranks`
  uint64_t key = 0;            // made of the ranks, so the same for all members, whatever other groups they know
  uint64_t num_calls = 0;
};

struct Call {
  CallKey key;
  const Group* group;
  Patience patience = Patience::kDeadline;

  size_t num_members() const { return group->ranks.size(); }
  size_t num_peers() const { return group->ranks.size() - 1; }
  Call with_phase(uint8_t phase) const;
};

// The groups of one rank. Group 0 is the world.
class Groups {
 public:
  Groups(int32_t rank, int32_t world_size);

  // A set of ranks that is registered already keeps its id.
  StatusOr<GroupId> add(std::vector<int32_t> ranks);
  // Null when there is no such group. Valid as long as this.
  Group* find(GroupId id);
  // "all_reduce #17", for another group than the world "all_reduce #17 of ranks 0,2".
  std::string describe(const CallKey& key) const;

 private:
  Status check(const std::vector<int32_t>& ranks) const;

  const int32_t rank_;
  const int32_t world_size_;
  std::deque<Group> groups_;  // calls point into it
};

}  // namespace moesaic
