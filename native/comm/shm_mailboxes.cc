#include "shm_mailboxes.h"

#include <bit>
#include <thread>

#include "../pause.h"
#include "../text.h"
#include "futex.h"

namespace moesaic {
namespace {

// Some 30 us: a peer that runs on a core of its own comes sooner, and a futex costs as much.
constexpr int kMaxSpins = 2000;
// How soon a sleeper notices that a peer's process has ended: nobody rings for that.
constexpr int32_t kLookAroundMs = 20;

// Ranks without a core of their own must not spin: they would keep the one they wait for from running.
int spins_for(size_t num_ranks) { return num_ranks <= std::thread::hardware_concurrency() ? kMaxSpins : 0; }

uint64_t bit(int32_t rank) { return uint64_t{1} << rank; }

uint64_t peers_of(const Call& call) {
  uint64_t bits = 0;
  for (const int32_t rank : call.group->ranks) bits |= bit(rank);
  return bits & ~bit(call.group->ranks[call.group->own_index]);
}

}  // namespace

ShmMailboxes::ShmMailboxes(const CommunicatorOptions& options, ShmSegment& segment, const Groups& groups, Ending& ending)
    : rank_(options.rank),
      deadline_ms_(options.deadline_ms),
      max_spins_(spins_for(options.peers.size())),
      spins_(max_spins_),
      segment_(segment),
      groups_(groups),
      ending_(ending) {}

Status ShmMailboxes::claim(const Call& call, Slot* slot) {
  if (Status status = look_at_ending(); !status.ok()) return status;
  Mailbox& own = segment_.mailbox(rank_);
  const size_t index = num_filled_ % kSlotsPerRank;
  SlotHeader& header = own.slots[index];
  const auto is_read = [&] { return header.unread.load(std::memory_order_acquire) == 0; };
  const auto reader = [&] { return std::countr_zero(header.unread.load() | bit(kMaxShmRanks - 1)); };
  *slot = Slot{rank_, &header, segment_.payload(rank_, index)};
  return wait(own.emptied, call, is_read, reader);
}

void ShmMailboxes::publish(const Call& call, const Slot& slot) {
  slot.header->call = call.key;
  slot.header->order = num_filled_++;
  slot.header->unread.store(peers_of(call), std::memory_order_release);
  segment_.mailbox(rank_).filled.ring();
}

Status ShmMailboxes::await(int32_t peer, const Call& call, int64_t chunk, Slot* slot) {
  if (Status status = look_at_ending(); !status.ok()) return status;
  const auto is_there = [&] {
    *slot = oldest_unread(peer);
    return slot->header != nullptr;
  };
  const auto writer = [&] { return peer; };
  if (Status status = wait(segment_.mailbox(peer).filled, call, is_there, writer); !status.ok()) return status;
  return check_call(*slot, call, chunk);
}

void ShmMailboxes::release(const Slot& slot) {
  if (slot.owner == rank_) return;
  slot.header->unread.fetch_and(~bit(rank_), std::memory_order_release);
  segment_.mailbox(slot.owner).emptied.ring();
}

// Waits until ready(). peer() is the rank that keeps this one waiting now; it may change as several are waited for.
template <typename Ready, typename Peer>
Status ShmMailboxes::wait(Bell& bell, const Call& call, const Ready& ready, const Peer& peer) {
  if (spin(ready)) return {};
  // A root may have nothing to say for long; that it lives is seen all the same.
  const bool is_patient = call.patience == Patience::kWhileItLives && &bell == &segment_.mailbox(peer()).filled;
  const auto late_at = Clock::now() + std::chrono::milliseconds(deadline_ms_);
  Status status;
  while (!ready() && status.ok()) {
    const int32_t waited_for = peer();
    note_waiting(waited_for, call);
    sleep(bell, ready);
    const bool is_alive = segment_.is_alive(waited_for);
    const bool is_late = Clock::now() >= late_at && !is_patient;
    // What has arrived counts, whatever became of its sender since.
    if (ready()) break;
    status = look_at_ending();
    if (status.ok() && !is_alive) status = gone(waited_for, call);
    if (status.ok() && is_late) status = late(waited_for, call);
  }
  segment_.mailbox(rank_).waits.peer.store(-1, std::memory_order_relaxed);
  return status;
}

// Looking longer pays where it has paid before.
template <typename Ready>
bool ShmMailboxes::spin(const Ready& ready) {
  if (ready()) return true;
  for (int i = 0; i < spins_; ++i) {
    pause();
    if (!ready()) continue;
    spins_ = max_spins_;
    return true;
  }
  spins_ = std::max(spins_ / 2, max_spins_ / 16);
  return false;
}

// A ring between the count of rings and the sleep ends the sleep at once, and one before it is seen by ready().
template <typename Ready>
void ShmMailboxes::sleep(Bell& bell, const Ready& ready) {
  bell.sleepers.fetch_add(1);
  const uint32_t seen = bell.rings.load();
  if (!ready() && !ending_.is_set() && !segment_.is_ended()) futex_wait(bell.rings, seen, kLookAroundMs);
  bell.sleepers.fetch_sub(1);
}

// The peer may fill both slots while they are looked at, the older one just after it was found empty. A second look, taken
// after the younger one was seen, cannot miss it.
Slot ShmMailboxes::oldest_unread(int32_t peer) {
  const Slot seen = oldest_at_a_glance(peer);
  return seen.header == nullptr ? seen : oldest_at_a_glance(peer);
}

Slot ShmMailboxes::oldest_at_a_glance(int32_t peer) {
  Slot oldest{peer, nullptr, nullptr};
  for (size_t index = 0; index < kSlotsPerRank; ++index) {
    SlotHeader& header = segment_.mailbox(peer).slots[index];
    if ((header.unread.load(std::memory_order_acquire) & bit(rank_)) == 0) continue;
    if (oldest.header == nullptr || header.order < oldest.header->order)
      oldest = Slot{peer, &header, segment_.payload(peer, index)};
  }
  return oldest;
}

Status ShmMailboxes::check_call(const Slot& slot, const Call& call, int64_t chunk) const {
  if (!(slot.header->call == call.key))
    return Status(Code::kInternal, text("rank ", slot.owner, " is at ", groups_.describe(slot.header->call), ", this rank at ",
                                        groups_.describe(call.key)));
  if (slot.header->chunk != chunk)
    return Status(Code::kInternal, text("rank ", slot.owner, " is at part ", slot.header->chunk, " of ",
                                        groups_.describe(call.key), ", this rank at part ", chunk));
  return {};
}

Status ShmMailboxes::look_at_ending() {
  if (!ending_.is_set() && segment_.is_ended()) ending_.set_heard(segment_.notice());
  return ending_.is_set() ? ending_.status() : Status();
}

void ShmMailboxes::note_waiting(int32_t peer, const Call& call) {
  WaitNote& note = segment_.mailbox(rank_).waits;
  note.group.store(call.key.group, std::memory_order_relaxed);
  note.seq.store(call.key.seq, std::memory_order_relaxed);
  note.kind.store(call.key.kind, std::memory_order_relaxed);
  note.peer.store(peer, std::memory_order_release);
}

Status ShmMailboxes::gone(int32_t peer, const Call& call) const {
  return Status(Code::kUnavailable, text("rank ", peer, " left during ", groups_.describe(call.key),
                                         ": its process ended or closed its communicator"));
}

Status ShmMailboxes::late(int32_t peer, const Call& call) const {
  const auto waiting_of = [&](int32_t rank) -> std::optional<Waiting> {
    const WaitNote& note = segment_.mailbox(rank).waits;
    const int32_t waited_for = note.peer.load(std::memory_order_acquire);
    if (waited_for < 0 || waited_for >= kMaxShmRanks) return std::nullopt;
    return Waiting{waited_for, CallKey{note.group.load(), note.seq.load(), note.kind.load()}};
  };
  return Status(Code::kUnavailable, text("rank ", peer, " did not get to its part of ", groups_.describe(call.key), " within ",
                                         deadline_ms_, " ms", chain_from(peer, groups_, waiting_of)));
}

}  // namespace moesaic
