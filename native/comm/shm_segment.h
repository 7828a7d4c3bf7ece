// ShmSegment: the memory that the ranks of one host share during one epoch, and who of them still lives.
//
//   SegmentHeader | payloads of rank 0: slot 0, slot 1 | payloads of rank 1 | …      world_size * 512 KiB and a little
//
// Rank 0 creates it, the others attach, and its name is gone as soon as all have: whoever dies later leaves nothing behind.
#pragma once

#include <atomic>
#include <memory>

#include "call.h"
#include "ending.h"
#include "fd.h"

namespace moesaic {

inline constexpr int32_t kMaxShmRanks = 64;  // one bit each in a word
inline constexpr size_t kSlotBytes = 256 * 1024;
inline constexpr int kSlotsPerRank = 2;
inline constexpr size_t kCacheLineBytes = 64;

// What a rank sleeps on until another has changed something.
struct alignas(kCacheLineBytes) Bell {
  std::atomic<uint32_t> rings;
  std::atomic<uint32_t> sleepers;

  void ring();
};

// What lies in a slot. Only its writer writes, and only while `unread` is 0.
struct alignas(kCacheLineBytes) SlotHeader {
  std::atomic<uint64_t> unread;  // bit r: rank r has yet to read this
  uint64_t order;                // rises by one from slot to slot of a writer: a reader takes the older one first
  CallKey call;
  int64_t chunk;                     // large data passes through the slots in pieces, numbered from 0
  int64_t num_chunks;                // at least 1
  int64_t bytes;                     // of the call's data, all chunks together; all_to_all uses part_bytes instead
  int64_t part_bytes[kMaxShmRanks];  // bytes for each member
};

// For whom a rank has been waiting long enough to sleep, as its peers may read it to find the cause of a standstill.
struct WaitNote {
  std::atomic<int32_t> peer;  // -1: it does not wait
  std::atomic<uint64_t> group;
  std::atomic<uint64_t> seq;
  std::atomic<CallKind> kind;
};

struct Mailbox {
  Bell filled;   // its owner has filled a slot
  Bell emptied;  // a reader has read one of its slots
  alignas(kCacheLineBytes) WaitNote waits;
  SlotHeader slots[kSlotsPerRank];
};

struct SegmentHeader {
  std::atomic<uint64_t> magic;  // written last: the rest may be read once it is there
  uint64_t epoch;
  int32_t world_size;
  std::byte key[32];
  std::atomic<uint64_t> attached;  // bit r: rank r has mapped this and holds its lock

  std::atomic<uint32_t> ended;  // 0: no, 1: the first to end it writes why, 2: why is there
  Code ended_code;
  char ended_text[kMaxNoticeBytes + 1];

  Mailbox mailboxes[kMaxShmRanks];
};

// The name that the segment of an epoch has while its ranks attach.
std::string shm_name(const CommunicatorOptions& options);

class ShmSegment {
 public:
  // Creates or attaches, and waits until all ranks have attached. On error nothing stays behind.
  static StatusOr<std::unique_ptr<ShmSegment>> open(const CommunicatorOptions& options);
  ~ShmSegment();
  ShmSegment(const ShmSegment&) = delete;
  ShmSegment& operator=(const ShmSegment&) = delete;

  Mailbox& mailbox(int32_t rank) { return header().mailboxes[rank]; }
  std::byte* payload(int32_t rank, size_t slot);
  // False once the rank's process has ended, however, or has closed its communicator. A system call.
  bool is_alive(int32_t rank) const;

  // The first to end the epoch is heard; wakes everybody.
  void end(const Notice& notice);
  bool is_ended() const { return header().ended.load(std::memory_order_acquire) == 2; }
  Notice notice() const;  // only when is_ended()

 private:
  explicit ShmSegment(const CommunicatorOptions& options);

  SegmentHeader& header() { return *static_cast<SegmentHeader*>(memory_); }
  const SegmentHeader& header() const { return *static_cast<const SegmentHeader*>(memory_); }
  Status create();
  Status attach();
  Status reserve();
  Status map();
  Status check_header() const;
  Status wait_for_name();
  Status join();
  Status lock_own_byte();
  Status wait_for_all();
  bool is_late() const;

  const CommunicatorOptions options_;
  const int32_t world_size_;
  const std::string name_;
  const size_t bytes_;
  const int64_t late_at_ms_;
  Fd file_;
  void* memory_ = nullptr;
};

}  // namespace moesaic
