#include "exchange.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "text.h"

namespace moesaic {
namespace {

constexpr const char* kPayloadNames[] = {"exchange_slots", "dispatch", "dispatch_ids", "collect"};

std::byte* put(std::byte* to, const void* from, size_t bytes) {
  std::memcpy(to, from, bytes);
  return to + bytes;
}

}  // namespace

void Exchange::attach(Communicator& communicator, RankLayout layout) {
  const ProgramDims& dims = program_.dims;
  holds_.assign(static_cast<size_t>(program_.world_size) * dims.num_global_experts, 0);
  for (int32_t expert = 0; expert < dims.num_global_experts; ++expert)
    for (const int32_t rank : dims.expert_ranks[expert])
      holds_[static_cast<size_t>(rank) * dims.num_global_experts + expert] = 1;
  vocab_begins_.assign(1, 0);
  for (const int32_t size : layout.vocab_sizes) vocab_begins_.push_back(vocab_begins_.back() + size * int64_t{sizeof(float)});
  host_groups_ = std::move(layout.host_groups);
  group_ids_ = std::move(layout.group_ids);
  reserve();
  communicator_ = &communicator;
}

// A step allocates nothing.
void Exchange::reserve() {
  const auto num_begins = static_cast<size_t>(program_.world_size) + 1;
  for (std::vector<int64_t>* begins : {&send_begins_, &recv_begins_, &expected_begins_, &received_begins_})
    begins->reserve(num_begins);
  row_begins_.reserve(num_begins);
  cursors_.reserve(num_begins);
  wanted_.reserve(static_cast<size_t>(program_.dims.experts_per_token));
  row_members_.reserve(static_cast<size_t>(max_logits_rows(program_.limits)));
}

int32_t Exchange::own_begin(int32_t num_tokens) const {
  const int32_t index = index_of(program_.token_owners, program_.rank);
  return index < 0 ? 0 : owner_begin(num_tokens, index, program_.token_owners.size());
}

int32_t Exchange::own_count(int32_t num_tokens) const {
  const int32_t index = index_of(program_.token_owners, program_.rank);
  return index < 0 ? 0 : owner_begin(num_tokens, index + 1, program_.token_owners.size()) - own_begin(num_tokens);
}

Status Exchange::run(const Op& op) {
  return std::visit([this](const auto& held) { return perform(held); }, op);
}

template <typename KernelOp>
Status Exchange::perform(const KernelOp&) {
  return Status(Code::kInternal, "a kernel's op is no collective");
}

Status Exchange::perform(const AllReduceOp& op) {
  const size_t count = static_cast<size_t>(rows(op.x)) * cols(op.x);
  return communicator_->all_reduce(id_of(op.group), {floats(op.x), count});
}

Status Exchange::perform(const ReduceScatterOp& op) {
  const std::vector<int32_t>& ranks = ranks_of(op.group);
  const int32_t first = index_of(program_.token_owners, ranks.front());
  row_begins_.clear();
  for (size_t i = 0; i <= ranks.size(); ++i)
    row_begins_.push_back(owner_begin(rows(op.x), first + i, program_.token_owners.size()));
  const size_t count = static_cast<size_t>(rows(op.x)) * cols(op.x);
  const size_t own = static_cast<size_t>(rows(op.out)) * cols(op.x);
  return communicator_->reduce_scatter(id_of(op.group), {floats(op.x), count}, row_begins_, cols(op.x), {floats(op.out), own});
}

Status Exchange::perform(const AllGatherOp& op) {
  const int64_t row_bytes = int64_t{cols(op.x)} * int64_t{sizeof(float)};
  const size_t num_owners = program_.token_owners.size();
  send_begins_.assign(1, 0);
  for (const int32_t rank : ranks_of(op.group)) {
    const int32_t owner = index_of(program_.token_owners, rank);
    const int32_t end = owner < 0 ? 0 : owner_begin(rows(op.out), owner + 1, num_owners);
    send_begins_.push_back(owner < 0 ? send_begins_.back() : end * row_bytes);
  }
  const auto own = std::as_bytes(std::span(floats(op.x), static_cast<size_t>(rows(op.x)) * cols(op.x)));
  const auto out = std::as_writable_bytes(std::span(floats(op.out), static_cast<size_t>(rows(op.out)) * cols(op.out)));
  return communicator_->all_gather(id_of(op.group), own, send_begins_, out);
}

Status Exchange::perform(const OwnRowsOp& op) {
  const float* first = floats(op.x) + int64_t{own_begin(rows(op.x))} * cols(op.x);
  std::copy_n(first, int64_t{rows(op.out)} * cols(op.x), floats(op.out));
  return {};
}

// Every rank sends the slots it computed, in (token, slot) order, and picks from what came what each slot wants.
Status Exchange::perform(const ExchangeSlotsOp& op) {
  const int32_t hidden = program_.dims.hidden_size;
  const size_t slot_bytes = hidden * sizeof(float);
  const std::vector<int32_t>& ranks = ranks_of(op.group);
  const std::span<const int32_t> ids(ints(op.expert_ids), static_cast<size_t>(rows(op.y)) * cols(op.expert_ids));
  if (Status status = check_ids(ids); !status.ok()) return status;

  send_begins_.assign(1, 0);
  for (const int32_t rank : ranks) {
    const auto count = std::count_if(ids.begin(), ids.end(), [&](int32_t id) { return holds(rank, id); });
    send_begins_.push_back(send_begins_.back() + count * static_cast<int64_t>(slot_bytes));
  }
  const int32_t own = index_of(ranks, program_.rank);
  const int64_t own_bytes = send_begins_[own + 1] - send_begins_[own];
  const std::span<std::byte> all(staging().recv, static_cast<size_t>(send_begins_.back()));
  const std::span<std::byte> part = all.subspan(static_cast<size_t>(send_begins_[own]), static_cast<size_t>(own_bytes));
  std::byte* packed = part.data();
  for (size_t slot = 0; slot < ids.size(); ++slot)
    if (holds(program_.rank, ids[slot])) packed = put(packed, floats(op.y) + slot * hidden, slot_bytes);
  if (Status status = communicator_->all_gather(id_of(op.group), part, send_begins_, all); !status.ok()) return status;
  count_payload(kSlots, own_bytes * static_cast<int64_t>(ranks.size() - 1));
  recv_begins_ = send_begins_;
  fill_slots(ids, ranks, floats(op.y));
  return {};
}

// Rows of ids and values, once to every rank that holds one of the row's experts.
Status Exchange::perform(const DispatchOp& op) {
  const int32_t slots = cols(op.expert_ids);
  const int32_t hidden = cols(op.x);
  const int64_t row_bytes = int64_t{slots} * 4 + int64_t{hidden} * 4;
  const std::vector<int32_t>& ranks = ranks_of(op.group);
  const int32_t num_own = rows(op.x);
  const int32_t* ids = ints(op.expert_ids);
  if (Status status = check_ids({ids, static_cast<size_t>(num_own) * slots}); !status.ok()) return status;

  std::byte* packed = staging().send;
  send_begins_.assign(1, 0);
  int64_t remote_rows = 0;
  wanted_.resize(static_cast<size_t>(slots));
  for (const int32_t rank : ranks) {
    for (int32_t row = 0; row < num_own; ++row) {
      const int32_t* row_ids = ids + int64_t{row} * slots;
      bool is_wanted = false;
      for (int32_t s = 0; s < slots; ++s) {
        wanted_[s] = holds(rank, row_ids[s]) ? row_ids[s] : -1;
        is_wanted |= wanted_[s] >= 0;
      }
      if (!is_wanted) continue;
      packed = put(packed, wanted_.data(), static_cast<size_t>(slots) * 4);
      packed = put(packed, floats(op.x) + int64_t{row} * hidden, static_cast<size_t>(hidden) * 4);
      if (rank != program_.rank) ++remote_rows;
    }
    send_begins_.push_back(packed - staging().send);
  }
  count_payload(kDispatch, remote_rows * hidden * 4);
  count_payload(kDispatchIds, remote_rows * slots * 4);

  // A token is owned once, so at most every token of the step comes.
  const int64_t max_bytes = int64_t{*storage_.step_arrays.num_tokens} * row_bytes;
  if (Status status = trade(op.group, max_bytes); !status.ok()) return status;

  received_begins_.clear();
  for (size_t m = 0; m <= ranks.size(); ++m) {
    if (recv_begins_[m] % row_bytes != 0)
      return Status(Code::kInternal, text("rank ", ranks[std::max<size_t>(m, 1) - 1], " sent no whole rows"));
    received_begins_.push_back(recv_begins_[m] / row_bytes);
  }
  const auto num_received = static_cast<int32_t>(received_begins_.back());
  *storage_.step_arrays.num_received = num_received;
  const std::byte* next = staging().recv;
  for (int32_t row = 0; row < num_received; ++row) {
    std::memcpy(ints(op.out_ids) + int64_t{row} * slots, next, static_cast<size_t>(slots) * 4);
    std::memcpy(floats(op.out) + int64_t{row} * hidden, next + int64_t{slots} * 4, static_cast<size_t>(hidden) * 4);
    next += row_bytes;
  }
  std::copy_n(ints(op.out_ids), int64_t{num_received} * slots, staging().received_ids);
  for (const int32_t id : std::span(staging().received_ids, static_cast<size_t>(num_received) * slots))
    if (id < -1 || id >= program_.dims.num_global_experts || (id >= 0 && !holds(program_.rank, id)))
      return Status(Code::kInternal,
                    text("a rank sent a row for expert ", id, ", which rank ", program_.rank, " does not hold"));
  return {};
}

Status Exchange::perform(const CollectOp& op) {
  const int32_t slots = cols(op.expert_ids);
  const int32_t hidden = program_.dims.hidden_size;
  const size_t slot_bytes = hidden * sizeof(float);
  const std::vector<int32_t>& ranks = ranks_of(op.group);
  if (received_begins_.size() != ranks.size() + 1 || received_begins_.back() != rows(op.x))
    return Status(Code::kInternal, "collect without the dispatch before it");
  const std::span<const int32_t> ids(ints(op.expert_ids), static_cast<size_t>(rows(op.out)) * slots);
  if (Status status = check_ids(ids); !status.ok()) return status;

  std::byte* packed = staging().send;
  send_begins_.assign(1, 0);
  for (size_t m = 0; m < ranks.size(); ++m) {
    for (int64_t slot = received_begins_[m] * slots; slot < received_begins_[m + 1] * slots; ++slot)
      if (staging().received_ids[slot] >= 0) packed = put(packed, floats(op.x) + slot * hidden, slot_bytes);
    send_begins_.push_back(packed - staging().send);
  }
  const int32_t own = index_of(ranks, program_.rank);
  count_payload(kCollect, send_begins_.back() - (send_begins_[own + 1] - send_begins_[own]));

  expected_begins_.assign(1, 0);
  for (const int32_t rank : ranks) {
    const auto count = std::count_if(ids.begin(), ids.end(), [&](int32_t id) { return holds(rank, id); });
    expected_begins_.push_back(expected_begins_.back() + count * static_cast<int64_t>(slot_bytes));
  }
  if (Status status = trade(op.group, expected_begins_.back()); !status.ok()) return status;
  if (recv_begins_ != expected_begins_) return Status(Code::kInternal, "the ranks disagree about who computes what");
  fill_slots(ids, ranks, floats(op.out));
  return {};
}

// What was packed goes to the group's members, at most `max_bytes` come back.
Status Exchange::trade(int32_t group, int64_t max_bytes) {
  recv_begins_.assign(ranks_of(group).size() + 1, 0);
  return communicator_->all_to_all(id_of(group), {staging().send, static_cast<size_t>(send_begins_.back())}, send_begins_,
                                   {staging().recv, static_cast<size_t>(max_bytes)}, recv_begins_);
}

// Each slot's output from where it was received: the sum over its expert's ranks.
void Exchange::fill_slots(std::span<const int32_t> ids, const std::vector<int32_t>& ranks, float* y) {
  const int32_t hidden = program_.dims.hidden_size;
  cursors_.clear();
  for (size_t m = 0; m < ranks.size(); ++m)
    cursors_.push_back(reinterpret_cast<const float*>(staging().recv + recv_begins_[m]));
  for (size_t slot = 0; slot < ids.size(); ++slot) {
    float* out = y + slot * hidden;
    bool is_first = true;
    for (const int32_t rank : program_.dims.expert_ranks[ids[slot]]) {
      const float*& next = cursors_[index_of(ranks, rank)];
      if (is_first) std::copy_n(next, hidden, out);
      else for (int32_t i = 0; i < hidden; ++i) out[i] += next[i];
      is_first = false;
      next += hidden;
    }
  }
}

Status Exchange::perform(const GatherLogitsRowsOp& op) {
  const int32_t hidden = cols(op.x);
  const size_t row_bytes = hidden * sizeof(float);
  const std::vector<int32_t>& ranks = ranks_of(op.group);
  const StepArrays& step = storage_.step_arrays;
  const int32_t num_rows = rows(op.out);
  row_members_.resize(static_cast<size_t>(num_rows));
  recv_begins_.assign(ranks.size(), 0);  // first how many rows each has, then where its next one is
  const size_t num_owners = program_.token_owners.size();
  for (int32_t i = 0; i < num_rows; ++i) {
    size_t owner = 0;
    while (owner_begin(*step.num_tokens, owner + 1, num_owners) <= step.logits_tokens[i]) ++owner;
    row_members_[i] = index_of(ranks, program_.token_owners[owner]);
    ++recv_begins_[row_members_[i]];
  }
  send_begins_.assign(1, 0);
  for (const int64_t count : recv_begins_)
    send_begins_.push_back(send_begins_.back() + count * static_cast<int64_t>(row_bytes));

  const int32_t own = index_of(ranks, program_.rank);
  const int32_t first = own_begin(*step.num_tokens);
  const std::span<std::byte> all(staging().recv, static_cast<size_t>(send_begins_.back()));
  const std::span<std::byte> part = all.subspan(static_cast<size_t>(send_begins_[own]), recv_begins_[own] * row_bytes);
  std::byte* packed = part.data();
  for (int32_t i = 0; i < num_rows; ++i)
    if (row_members_[i] == own)
      packed = put(packed, floats(op.x) + int64_t{step.logits_tokens[i] - first} * hidden, row_bytes);
  if (Status status = communicator_->all_gather(id_of(op.group), part, send_begins_, all); !status.ok()) return status;
  recv_begins_ = send_begins_;
  for (int32_t i = 0; i < num_rows; ++i) {
    int64_t& next = recv_begins_[row_members_[i]];
    std::memcpy(floats(op.out) + int64_t{i} * hidden, all.data() + next, row_bytes);
    next += static_cast<int64_t>(row_bytes);
  }
  return {};
}

Status Exchange::gather_equal(std::span<const std::byte> own, std::span<std::byte> out) {
  send_begins_.assign(1, 0);
  for (int32_t rank = 0; rank < program_.world_size; ++rank)
    send_begins_.push_back(send_begins_.back() + static_cast<int64_t>(own.size()));
  return communicator_->all_gather(0, own, send_begins_, out);
}

Status Exchange::gather_logits(const float* own, float* out) {
  const auto size = static_cast<size_t>(program_.dims.vocab_size);
  const auto whole = static_cast<size_t>(program_.dims.global_vocab_size);
  return communicator_->all_gather(0, std::as_bytes(std::span(own, size)), vocab_begins_,
                                   std::as_writable_bytes(std::span(out, whole)));
}

// A broadcast of each rank in turn: who has got past the last one knows that all have come.
Status Exchange::await_all() {
  std::byte here{};
  Status status;
  for (int32_t rank = 0; rank < program_.world_size && status.ok(); ++rank)
    status = communicator_->broadcast(0, rank, {&here, 1}, nullptr, Patience::kWhileItLives);
  return status;
}

StatusOr<int64_t> Exchange::broadcast(std::span<const int32_t> ranks, int32_t root_rank, std::span<std::byte> data) {
  const auto found = std::find_if(host_groups_.begin(), host_groups_.end(), [&](const auto& group) {
    return std::equal(group.first.begin(), group.first.end(), ranks.begin(), ranks.end());
  });
  if (found == host_groups_.end())
    return Status(Code::kInvalidArgument, "plan.sharedReads: the ranks of a read are no group of this host's");
  int64_t bytes = 0;
  if (Status status = communicator_->broadcast(found->second, root_rank, data, &bytes, Patience::kDeadline); !status.ok())
    return status;
  return bytes;
}

std::vector<CollectiveStats> Exchange::stats() const {
  std::vector<CollectiveStats> stats = communicator_->stats();
  for (size_t i = 0; i < kNumPayloads; ++i)
    stats.push_back({kPayloadNames[i], payloads_[i].calls.load(), payloads_[i].bytes.load()});
  return stats;
}

// A router is a kernel of somebody's: its ids are used as indices here.
Status Exchange::check_ids(std::span<const int32_t> ids) const {
  for (const int32_t id : ids)
    if (id < 0 || id >= program_.dims.num_global_experts)
      return Status(Code::kInternal, text("the router chose expert ", id, " of ", program_.dims.num_global_experts));
  return {};
}

void Exchange::count_payload(size_t payload, int64_t bytes) {
  payloads_[payload].calls.fetch_add(1, std::memory_order_relaxed);
  payloads_[payload].bytes.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed);
}

}  // namespace moesaic
