// Exchange: the collective ops of a program, over the engine's communicator. On the engine thread, but abort and stats.
//
// Every rank knows from the routers' ids and expertRanks what every other rank computes and wants, so no sizes are exchanged.
// Outputs of a cut expert add up in rank order: all ranks hold the same bits.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "communicator.h"
#include "connect.h"
#include "loader.h"
#include "program.h"
#include "status.h"
#include "storage.h"

namespace moesaic {

class Exchange final : public SharedReadExchange {
 public:
  // `storage` is laid out before attach.
  Exchange(const RankProgram& program, const Storage& storage) : program_(program), storage_(storage) {}

  // Once, before the first op. Borrows the communicator.
  void attach(Communicator& communicator, RankLayout layout);
  bool is_attached() const { return communicator_ != nullptr; }

  // Rows that this rank owns in a step of `num_tokens`.
  int32_t own_begin(int32_t num_tokens) const;
  int32_t own_count(int32_t num_tokens) const;

  Status run(const Op& op);
  // All ranks' `own`, which are equally long, one after the other.
  Status gather_equal(std::span<const std::byte> own, std::span<std::byte> out);
  // One row of logits over the whole vocabulary from every rank's columns of it.
  Status gather_logits(const float* own, float* out);

  int32_t rank() const override { return program_.rank; }
  Status await_all() override;
  StatusOr<int64_t> broadcast(std::span<const int32_t> ranks, int32_t root_rank, std::span<std::byte> data) override;

  // Any thread, once attached.
  std::vector<CollectiveStats> stats() const;

 private:
  Status perform(const AllReduceOp& op);
  Status perform(const ReduceScatterOp& op);
  Status perform(const AllGatherOp& op);
  Status perform(const OwnRowsOp& op);
  Status perform(const ExchangeSlotsOp& op);
  Status perform(const DispatchOp& op);
  Status perform(const CollectOp& op);
  Status perform(const GatherLogitsRowsOp& op);
  template <typename KernelOp>
  Status perform(const KernelOp&);

  void reserve();
  Status trade(int32_t group, int64_t max_bytes);
  Status check_ids(std::span<const int32_t> ids) const;
  void fill_slots(std::span<const int32_t> ids, const std::vector<int32_t>& ranks, float* y);
  void count_payload(size_t payload, int64_t bytes);
  bool holds(int32_t rank, int32_t expert) const {
    return holds_[static_cast<size_t>(rank) * program_.dims.num_global_experts + expert];
  }
  const std::vector<int32_t>& ranks_of(int32_t group) const { return program_.groups[group]; }
  GroupId id_of(int32_t group) const { return group_ids_[group]; }
  const ExchangeStaging& staging() const { return storage_.staging; }
  float* floats(int32_t buffer) const { return static_cast<float*>(storage_.buffers[buffer].data); }
  int32_t* ints(int32_t buffer) const { return static_cast<int32_t*>(storage_.buffers[buffer].data); }
  int32_t rows(int32_t buffer) const { return *storage_.buffers[buffer].num_rows; }
  int32_t cols(int32_t buffer) const { return storage_.buffers[buffer].cols; }

  const RankProgram& program_;
  const Storage& storage_;
  Communicator* communicator_ = nullptr;
  std::vector<GroupId> group_ids_;  // by index in the program
  std::vector<std::pair<std::vector<int32_t>, GroupId>> host_groups_;
  std::vector<int64_t> vocab_begins_;  // bytes of a row of logits before each rank's
  std::vector<uint8_t> holds_;         // (ranks, experts)

  // Bytes of the staging memory before each member's, of the running op.
  std::vector<int64_t> send_begins_, recv_begins_, expected_begins_;
  std::vector<int32_t> row_begins_;
  std::vector<int32_t> wanted_;           // by slot of a row: its expert, or -1 when the rank at hand does not hold it
  std::vector<int32_t> row_members_;      // by logits row: whose it is
  std::vector<const float*> cursors_;     // by member: the next output that came from it
  std::vector<int64_t> received_begins_;  // by member: its first row of the last dispatch

  struct Payload {
    std::atomic<uint64_t> calls{0};
    std::atomic<uint64_t> bytes{0};
  };
  enum : size_t { kSlots, kDispatch, kDispatchIds, kCollect, kNumPayloads };
  Payload payloads_[kNumPayloads];
};

}  // namespace moesaic
