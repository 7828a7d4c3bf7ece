// Communicator: how the ranks of one epoch move hidden states. One per engine; every rank makes the same calls in the same
// order, on its engine thread.
//
// Every call carries the next sequence number and its kind; a peer that is at another call is an error, not a mix-up. A call
// ends within the deadline or fails with kUnavailable naming the peer, the call and how far it got. After a failure, or after
// abort(), every call fails at once: the epoch is over, and a new one gets a new communicator.
//
// Determinism: sums run in rank order, whatever arrives first, so that all ranks hold the same bits.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "status.h"

namespace moesaic {

// Bytes and calls of one kind of collective since the communicator was made, as sent by this rank to others.
struct CollectiveStats {
  const char* name;  // "all_reduce", "reduce_scatter", "all_gather", "all_to_all", "broadcast"
  uint64_t calls = 0;
  uint64_t bytes = 0;
};

// How long those who want a root's bytes wait for it: until the deadline, or as long as it lives, when it may have nothing to
// say for long.
enum class Patience { kDeadline, kWhileItLives };

// Ranks of a collective, ascending; contains the own rank. Groups are made once, before the first call.
using GroupId = int32_t;

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int32_t rank() const = 0;
  virtual int32_t world_size() const = 0;

  // Registers a group; all its members register the same groups in the same order. Group 0 is the world.
  virtual StatusOr<GroupId> add_group(std::vector<int32_t> ranks) = 0;

  // values[i] of every member becomes the sum over the members, added in rank order.
  virtual Status all_reduce(GroupId group, std::span<float> values) = 0;

  // `values` holds rows of `cols` floats; member m owns rows [row_begins[m], row_begins[m + 1]). out = the sum over the members
  // of this member's rows, added in rank order.
  virtual Status reduce_scatter(GroupId group, std::span<const float> values, std::span<const int32_t> row_begins,
                                int32_t cols, std::span<float> out) = 0;

  // out = the members' bytes one after the other, member m's at [byte_begins[m], byte_begins[m + 1]). `own` may be out's own
  // part already.
  virtual Status all_gather(GroupId group, std::span<const std::byte> own, std::span<const int64_t> byte_begins,
                            std::span<std::byte> out) = 0;

  // Sends send[send_begins[m] .. send_begins[m + 1]) to member m. On return recv holds the members' parts one after the other
  // in rank order and recv_begins (members + 1) says where each begins; sizes travel with the data.
  // kResourceExhausted when they do not fit `recv`.
  virtual Status all_to_all(GroupId group, std::span<const std::byte> send, std::span<const int64_t> send_begins,
                            std::span<std::byte> recv, std::span<int64_t> recv_begins) = 0;

  // The root's bytes reach every member; only the root's size matters and it is returned in *bytes (at most data.size(); bytes
  // may be null).
  virtual Status broadcast(GroupId group, int32_t root, std::span<std::byte> data, int64_t* bytes, Patience patience) = 0;

  // From any thread: makes the running call and all later ones fail with kCancelled on this rank, and soon on its peers.
  virtual void abort(const std::string& reason) = 0;

  virtual std::vector<CollectiveStats> stats() const = 0;
};

struct PeerAddress {
  int32_t rank = 0;
  std::string host_id;                 // equal for ranks of one host
  std::vector<std::string> addresses;  // "host:port" of the rank's tcp listener; hosts are numbers
};

struct CommunicatorOptions {
  int32_t rank = 0;
  std::vector<PeerAddress> peers;  // every rank of the world, own one included, ascending
  uint64_t epoch = 0;              // peers of another epoch are refused
  std::vector<std::byte> key;      // 32 bytes, the same on all ranks: proves that a peer belongs to the epoch
  int32_t deadline_ms = 10'000;    // longest wait for a peer inside one call, and for all to connect
  const std::atomic<bool>* cancelled = nullptr;  // connecting ends with kCancelled soon after it becomes true; null: never
};

// The listening end of a rank's data plane: exists before any epoch, so that its address can be told to the coordinator.
class DataPlaneListener {
 public:
  virtual ~DataPlaneListener() = default;
  // "host:port" for every address a peer may try, best first.
  virtual std::vector<std::string> addresses() const = 0;
};

// `bind` is "host:port"; port 0 picks one.
StatusOr<std::unique_ptr<DataPlaneListener>> listen_data_plane(const std::string& bind);

// Shared memory among ranks of one host; fails when peers are on several hosts. Blocks until all have attached.
StatusOr<std::unique_ptr<Communicator>> connect_shm(const CommunicatorOptions& options);

// TCP among any ranks. The listener must outlive the communicator. Blocks until all are connected.
StatusOr<std::unique_ptr<Communicator>> connect_tcp(const CommunicatorOptions& options, DataPlaneListener& listener);

}  // namespace moesaic
