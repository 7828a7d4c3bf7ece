// CommunicatorBase: what all transports share: groups, numbers, checks of arguments, statistics, and the end of the epoch.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>

#include "call.h"
#include "ending.h"

namespace moesaic {

using Clock = std::chrono::steady_clock;

// The peers are ranks 0, 1, …; the own one among them; 32 bytes of key; a deadline of at least a millisecond.
Status check_options(const CommunicatorOptions& options);
// Whether somebody has told the ranks to stop connecting.
Status check_cancelled(const CommunicatorOptions& options);

class CommunicatorBase : public Communicator {
 public:
  explicit CommunicatorBase(const CommunicatorOptions& options);

  int32_t rank() const final { return rank_; }
  int32_t world_size() const final { return world_size_; }
  StatusOr<GroupId> add_group(std::vector<int32_t> ranks) final;
  Status all_reduce(GroupId group, std::span<float> values) final;
  Status reduce_scatter(GroupId group, std::span<const float> values, std::span<const int32_t> row_begins, int32_t cols,
                        std::span<float> out) final;
  Status all_gather(GroupId group, std::span<const std::byte> own, std::span<const int64_t> byte_begins,
                    std::span<std::byte> out) final;
  Status all_to_all(GroupId group, std::span<const std::byte> send, std::span<const int64_t> send_begins,
                    std::span<std::byte> recv, std::span<int64_t> recv_begins) final;
  Status broadcast(GroupId group, int32_t root, std::span<std::byte> data, int64_t* bytes, Patience patience) final;
  void abort(const std::string& reason) final;
  std::vector<CollectiveStats> stats() const final;

 protected:
  // The transport's part of a call, on the engine thread, with arguments that were checked; begins have one entry per member
  // and one more. They return early when ending() is set.
  virtual Status reduce_everywhere(const Call& call, std::span<float> values) = 0;
  // `begins` count floats of `values`; `out` may be the own part of `values`.
  virtual Status reduce_parts(const Call& call, std::span<const float> values, std::span<const int64_t> begins,
                              std::span<float> out) = 0;
  virtual Status gather_parts(const Call& call, std::span<const std::byte> own, std::span<const int64_t> begins,
                              std::span<std::byte> out) = 0;
  virtual Status exchange_parts(const Call& call, std::span<const std::byte> send, std::span<const int64_t> send_begins,
                                std::span<std::byte> recv, std::span<int64_t> recv_begins) = 0;
  virtual Status spread(const Call& call, size_t root_index, std::span<std::byte> data, int64_t* bytes) = 0;
  // Whether to reduce by parts and gather them: fewer bytes, one more round.
  virtual bool is_worth_scattering(size_t num_members, size_t bytes) const = 0;

  // Makes a running call look at ending(). Any thread.
  virtual void interrupt() = 0;
  // Tells all peers the notice of ending(), if that has not been done. Never during a call; waits for no peer for long.
  virtual void say_goodbye() = 0;

  const Ending& ending() const { return ending_; }
  Ending& ending() { return ending_; }
  const Groups& groups() const { return groups_; }
  void count_sent(const Call& call, size_t bytes);

 private:
  template <typename Body>
  Status run(CallKind kind, GroupId group, const Body& body);
  Status scatter_and_gather(const Call& call, std::span<float> values);
  std::vector<int64_t>& cut_evenly(size_t count, size_t num_members);

  struct Counter {
    std::atomic<uint64_t> calls{0};
    std::atomic<uint64_t> bytes{0};
  };

  const int32_t rank_;
  const int32_t world_size_;
  Groups groups_;
  Ending ending_;
  std::mutex call_mutex_;  // held by a running call, and by whoever says goodbye
  std::vector<int64_t> begins_;  // of the running call's parts
  std::array<Counter, kNumCallKinds> counters_;
};

}  // namespace moesaic
