// ShmMailboxes: one rank's side of the mailboxes of a segment. Every rank fills the two slots of its own mailbox in turn; all
// members of the call's group read them where they lie. A reader meets a writer's slots in the order in which they were filled,
// so ranks whose calls differ find out instead of mixing data up.
#pragma once

#include "blame.h"
#include "communicator_base.h"
#include "shm_segment.h"

namespace moesaic {

struct Slot {
  int32_t owner = 0;
  SlotHeader* header = nullptr;
  std::byte* payload = nullptr;  // kSlotBytes
};

class ShmMailboxes {
 public:
  // All must outlive this.
  ShmMailboxes(const CommunicatorOptions& options, ShmSegment& segment, const Groups& groups, Ending& ending);

  // The own next slot, once everybody has read what was in it before.
  Status claim(const Call& call, Slot* slot);
  // Shows the own slot to the group's other members. The header's fields other than unread and order have been filled.
  void publish(const Call& call, const Slot& slot);
  // The peer's next slot, which must be this chunk of this call. Stays as it is until released.
  Status await(int32_t peer, const Call& call, int64_t chunk, Slot* slot);
  void release(const Slot& slot);

 private:
  template <typename Ready, typename Peer>
  Status wait(Bell& bell, const Call& call, const Ready& ready, const Peer& peer);
  template <typename Ready>
  bool spin(const Ready& ready);
  template <typename Ready>
  void sleep(Bell& bell, const Ready& ready);
  Slot oldest_unread(int32_t peer);
  Slot oldest_at_a_glance(int32_t peer);
  Status check_call(const Slot& slot, const Call& call, int64_t chunk) const;
  Status look_at_ending();
  void note_waiting(int32_t peer, const Call& call);
  Status gone(int32_t peer, const Call& call) const;
  Status late(int32_t peer, const Call& call) const;

  const int32_t rank_;
  const int32_t deadline_ms_;
  const int max_spins_;
  int spins_;  // the next wait looks so often before it sleeps
  ShmSegment& segment_;
  const Groups& groups_;
  Ending& ending_;
  uint64_t num_filled_ = 0;
};

}  // namespace moesaic
