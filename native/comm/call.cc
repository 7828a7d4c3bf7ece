#include "call.h"

#include <algorithm>
#include <numeric>

#include "../text.h"
#include "mix.h"

namespace moesaic {
namespace {

std::string join(const std::vector<int32_t>& ranks) {
  std::string joined;
  for (const int32_t rank : ranks) {
    if (!joined.empty()) joined += ',';
    joined += std::to_string(rank);
  }
  return joined;
}

uint64_t key_of(const std::vector<int32_t>& ranks) {
  uint64_t key = ranks.size();
  for (const int32_t rank : ranks) key = mix(key, static_cast<uint64_t>(rank));
  return key;
}

}  // namespace

const char* call_name(CallKind kind) {
  switch (kind) {
    case CallKind::kAllReduce:
      return "all_reduce";
    case CallKind::kReduceScatter:
      return "reduce_scatter";
    case CallKind::kAllGather:
      return "all_gather";
    case CallKind::kAllToAll:
      return "all_to_all";
    case CallKind::kBroadcast:
      return "broadcast";
  }
  return "an unknown call";
}

Call Call::with_phase(uint8_t phase) const {
  Call call = *this;
  call.key.phase = phase;
  return call;
}

Groups::Groups(int32_t rank, int32_t world_size) : rank_(rank), world_size_(world_size) {
  std::vector<int32_t> world(static_cast<size_t>(world_size));
  std::iota(world.begin(), world.end(), 0);
  const uint64_t key = key_of(world);
  groups_.push_back(Group{std::move(world), static_cast<size_t>(rank), key});
}

StatusOr<GroupId> Groups::add(std::vector<int32_t> ranks) {
  if (Status status = check(ranks); !status.ok()) return status;
  const auto known = std::find_if(groups_.begin(), groups_.end(), [&](const Group& group) { return group.ranks == ranks; });
  if (known != groups_.end()) return static_cast<GroupId>(known - groups_.begin());
  const auto own = std::lower_bound(ranks.begin(), ranks.end(), rank_);
  const auto own_index = static_cast<size_t>(own - ranks.begin());
  const uint64_t key = key_of(ranks);
  groups_.push_back(Group{std::move(ranks), own_index, key});
  return static_cast<GroupId>(groups_.size() - 1);
}

Group* Groups::find(GroupId id) {
  if (id < 0 || static_cast<size_t>(id) >= groups_.size()) return nullptr;
  return &groups_[static_cast<size_t>(id)];
}

std::string Groups::describe(const CallKey& key) const {
  std::string described = text(call_name(key.kind), " #", key.seq);
  const auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& known) { return known.key == key.group; });
  if (group == groups_.end()) return described + " of a group that this rank is not in";
  return group == groups_.begin() ? described : described + " of ranks " + join(group->ranks);
}

Status Groups::check(const std::vector<int32_t>& ranks) const {
  const auto wrong = [&](const std::string& what) {
    return Status(Code::kInvalidArgument, text("group of ranks ", join(ranks), ": ", what));
  };
  if (std::any_of(groups_.begin(), groups_.end(), [](const Group& group) { return group.num_calls > 0; }))
    return Status(Code::kFailedPrecondition, "groups are made before the first call");
  if (ranks.empty() || ranks.front() < 0 || ranks.back() >= world_size_)
    return wrong(text("expected ranks from 0 to ", world_size_ - 1));
  if (std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal<>()) != ranks.end())
    return wrong("expected each rank once, ascending");
  if (!std::binary_search(ranks.begin(), ranks.end(), rank_)) return wrong(text("the own rank ", rank_, " is missing"));
  return {};
}

}  // namespace moesaic
