#include "communicator_base.h"

#include <algorithm>

#include "../text.h"

namespace moesaic {
namespace {

constexpr size_t kKeyBytes = 32;

Status wrong(const std::string& what) { return Status(Code::kInvalidArgument, what); }

template <typename T>
Status check_begins(const char* name, std::span<const T> begins, size_t num_members) {
  if (begins.size() != num_members + 1)
    return wrong(text(name, " has ", begins.size(), " entries, expected ", num_members + 1));
  if (begins.front() < 0 || !std::is_sorted(begins.begin(), begins.end()))
    return wrong(text(name, " must rise from 0 or more"));
  return {};
}

Status check_room(const char* name, size_t wanted, size_t there) {
  if (wanted <= there) return {};
  return wrong(text(name, " holds ", there, ", the call needs ", wanted));
}

template <typename T>
size_t own_count(const Call& call, std::span<const T> begins) {
  return static_cast<size_t>(begins[call.group->own_index + 1] - begins[call.group->own_index]);
}

}  // namespace

Status check_options(const CommunicatorOptions& options) {
  const auto world_size = static_cast<int32_t>(options.peers.size());
  for (int32_t rank = 0; rank < world_size; ++rank)
    if (options.peers[static_cast<size_t>(rank)].rank != rank)
      return wrong(text("peers[", rank, "] is rank ", options.peers[static_cast<size_t>(rank)].rank, ", expected ", rank));
  if (options.rank < 0 || options.rank >= world_size)
    return wrong(text("rank ", options.rank, " is not among the ", world_size, " peers"));
  if (options.key.size() != kKeyBytes) return wrong(text("the key has ", options.key.size(), " bytes, expected ", kKeyBytes));
  if (options.deadline_ms < 1) return wrong(text("the deadline is ", options.deadline_ms, " ms, expected at least 1"));
  return {};
}

Status check_cancelled(const CommunicatorOptions& options) {
  if (options.cancelled == nullptr || !options.cancelled->load()) return {};
  return Status(Code::kCancelled, "cancelled while the ranks were connecting");
}

CommunicatorBase::CommunicatorBase(const CommunicatorOptions& options)
    : rank_(options.rank),
      world_size_(static_cast<int32_t>(options.peers.size())),
      groups_(rank_, world_size_),
      ending_(rank_) {
  begins_.reserve(options.peers.size() + 1);
}

StatusOr<GroupId> CommunicatorBase::add_group(std::vector<int32_t> ranks) { return groups_.add(std::move(ranks)); }

Status CommunicatorBase::all_reduce(GroupId group, std::span<float> values) {
  return run(CallKind::kAllReduce, group, [&](const Call& call) {
    if (is_worth_scattering(call.num_members(), values.size_bytes())) return scatter_and_gather(call, values);
    return reduce_everywhere(call, values);
  });
}

Status CommunicatorBase::reduce_scatter(GroupId group, std::span<const float> values, std::span<const int32_t> row_begins,
                                        int32_t cols, std::span<float> out) {
  return run(CallKind::kReduceScatter, group, [&](const Call& call) {
    if (Status status = check_begins("row_begins", row_begins, call.num_members()); !status.ok()) return status;
    if (cols < 0) return wrong(text("cols is ", cols));
    begins_.clear();
    for (const int32_t row : row_begins) begins_.push_back(int64_t{row} * cols);
    if (Status status = check_room("values", static_cast<size_t>(begins_.back()), values.size()); !status.ok()) return status;
    const size_t count = own_count<int64_t>(call, begins_);
    if (Status status = check_room("out", count, out.size()); !status.ok()) return status;
    return reduce_parts(call, values, begins_, out.first(count));
  });
}

Status CommunicatorBase::all_gather(GroupId group, std::span<const std::byte> own, std::span<const int64_t> byte_begins,
                                    std::span<std::byte> out) {
  return run(CallKind::kAllGather, group, [&](const Call& call) {
    if (Status status = check_begins("byte_begins", byte_begins, call.num_members()); !status.ok()) return status;
    if (Status status = check_room("out", static_cast<size_t>(byte_begins.back()), out.size()); !status.ok()) return status;
    if (own.size() != own_count(call, byte_begins))
      return wrong(text("own has ", own.size(), " bytes, byte_begins says ", own_count(call, byte_begins)));
    return gather_parts(call, own, byte_begins, out);
  });
}

Status CommunicatorBase::all_to_all(GroupId group, std::span<const std::byte> send, std::span<const int64_t> send_begins,
                                    std::span<std::byte> recv, std::span<int64_t> recv_begins) {
  return run(CallKind::kAllToAll, group, [&](const Call& call) {
    if (Status status = check_begins("send_begins", send_begins, call.num_members()); !status.ok()) return status;
    if (Status status = check_room("send", static_cast<size_t>(send_begins.back()), send.size()); !status.ok()) return status;
    if (recv_begins.size() < call.num_members() + 1)
      return wrong(text("recv_begins has ", recv_begins.size(), " entries, expected ", call.num_members() + 1));
    return exchange_parts(call, send, send_begins, recv, recv_begins.first(call.num_members() + 1));
  });
}

Status CommunicatorBase::broadcast(GroupId group, int32_t root, std::span<std::byte> data, int64_t* bytes, Patience patience) {
  return run(CallKind::kBroadcast, group, [&](Call call) {
    call.patience = patience;
    const std::vector<int32_t>& ranks = call.group->ranks;
    const auto found = std::lower_bound(ranks.begin(), ranks.end(), root);
    if (found == ranks.end() || *found != root) return wrong(text("root ", root, " is not in the group"));
    int64_t num_bytes = 0;
    Status status = spread(call, static_cast<size_t>(found - ranks.begin()), data, &num_bytes);
    if (bytes != nullptr) *bytes = num_bytes;
    return status;
  });
}

void CommunicatorBase::abort(const std::string& reason) {
  if (!ending_.set_own(Status(Code::kCancelled, reason))) return;
  interrupt();
  const std::lock_guard lock(call_mutex_);
  say_goodbye();
}

std::vector<CollectiveStats> CommunicatorBase::stats() const {
  std::vector<CollectiveStats> stats;
  for (size_t kind = 0; kind < kNumCallKinds; ++kind)
    stats.push_back({call_name(static_cast<CallKind>(kind)), counters_[kind].calls.load(), counters_[kind].bytes.load()});
  return stats;
}

void CommunicatorBase::count_sent(const Call& call, size_t bytes) {
  counters_[static_cast<size_t>(call.key.kind)].bytes.fetch_add(bytes, std::memory_order_relaxed);
}

// Whatever makes a call fail ends the epoch: the peers are in the same call, or soon will be, and must not wait.
template <typename Body>
Status CommunicatorBase::run(CallKind kind, GroupId id, const Body& body) {
  const std::lock_guard lock(call_mutex_);
  if (ending_.is_set()) return ending_.status();
  Status status;
  if (Group* group = groups_.find(id); group != nullptr) {
    const Call call{CallKey{group->key, ++group->num_calls, kind}, group};
    counters_[static_cast<size_t>(kind)].calls.fetch_add(1, std::memory_order_relaxed);
    status = body(call);
    if (status.code() == Code::kInvalidArgument || status.code() == Code::kResourceExhausted)
      status = Status(status.code(), groups_.describe(call.key) + ": " + status.message());
  } else {
    status = wrong(text(call_name(kind), ": there is no group ", id));
  }
  if (status.ok()) return status;
  ending_.set_own(status);
  say_goodbye();
  return ending_.status();
}

Status CommunicatorBase::scatter_and_gather(const Call& call, std::span<float> values) {
  std::vector<int64_t>& begins = cut_evenly(values.size(), call.num_members());
  const std::span<float> own =
      values.subspan(static_cast<size_t>(begins[call.group->own_index]), own_count<int64_t>(call, begins));
  if (Status status = reduce_parts(call, values, begins, own); !status.ok()) return status;
  for (int64_t& begin : begins) begin *= sizeof(float);
  return gather_parts(call.with_phase(1), std::as_bytes(own), begins, std::as_writable_bytes(values));
}

// Where each member's part of `count` values begins, cut as evenly as possible.
std::vector<int64_t>& CommunicatorBase::cut_evenly(size_t count, size_t num_members) {
  begins_.clear();
  for (size_t m = 0; m <= num_members; ++m)
    begins_.push_back(static_cast<int64_t>(count / num_members * m + std::min(m, count % num_members)));
  return begins_;
}

}  // namespace moesaic
