// CudaStager: pinned host memory, copies that overlap the reading of the next piece, and packing on the device.
#pragma once

#include <array>

#include "arena.h"
#include "cuda_device.h"
#include "piece_stager.h"

namespace moesaic {

class CudaStager final : public PieceStager {
 public:
  static StatusOr<std::unique_ptr<PieceStager>> make(CudaDevice& device, StagingBytes bytes);
  ~CudaStager() override;

  StatusOr<Room> begin() override;
  Status place(const WeightTarget& target, const Piece& piece) override;
  Status finish() override;

 private:
  // Pieces that are under way at once: one is read, one is copied, one is packed.
  static constexpr size_t kNumSlots = 3;
  struct Slot {
    std::byte* host = nullptr;
    std::byte* device = nullptr;
    CuEvent* packed = nullptr;
  };

  CudaStager(CudaDevice& device, StagingBytes bytes) : device_(device), driver_(device.driver()), bytes_(bytes) {}
  Status begin_slots();
  Status queue(const Slot& slot, const WeightTarget& target, const Piece& piece);
  Status copy(std::byte* to, const std::byte* from, int64_t bytes);
  int64_t scales_offset() const;

  CudaDevice& device_;
  const CudaDriver& driver_;
  const StagingBytes bytes_;
  Arena host_, on_device_;
  CuStream* stream_ = nullptr;
  std::array<Slot, kNumSlots> slots_;
  size_t at_ = 0;  // the slot that begin gave last
};

}  // namespace moesaic
