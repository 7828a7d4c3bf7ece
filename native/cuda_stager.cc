#include "cuda_stager.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "pieces.h"
#include "text.h"

namespace moesaic {
namespace {

// What a device copy and a kernel's widest load may count on.
constexpr int64_t kAlignment = 256;

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

StatusOr<std::unique_ptr<PieceStager>> CudaStager::make(CudaDevice& device, StagingBytes bytes) {
  std::unique_ptr<CudaStager> stager(new CudaStager(device, bytes));
  if (Status status = stager->begin_slots(); !status.ok()) return status;
  return std::unique_ptr<PieceStager>(std::move(stager));
}

int64_t CudaStager::scales_offset() const { return aligned(bytes_.values); }

Status CudaStager::begin_slots() {
  if (Status status = device_.enter_thread(); !status.ok()) return status;
  // A vector of bf16 becomes float32 on the host, in twice the room.
  const int64_t slot_bytes = std::max(scales_offset() + aligned(bytes_.scales), aligned(2 * bytes_.values));
  StatusOr<Arena> host = device_.allocate_host("staging memory", slot_bytes * int64_t{kNumSlots});
  if (!host.ok()) return host.status();
  host_ = std::move(host.value());
  StatusOr<Arena> on_device = device_.allocate("staging memory", slot_bytes * int64_t{kNumSlots}, false);
  if (!on_device.ok()) return on_device.status();
  on_device_ = std::move(on_device.value());
  if (Status status = driver_.check(driver_.stream_create(&stream_, kCuStreamNonBlocking), "making a stream"); !status.ok())
    return status;
  for (size_t i = 0; i < kNumSlots; ++i) {
    slots_[i].host = host_.data() + static_cast<int64_t>(i) * slot_bytes;
    slots_[i].device = on_device_.data() + static_cast<int64_t>(i) * slot_bytes;
    Status status = driver_.check(driver_.event_create(&slots_[i].packed, kCuEventDisableTiming), "making an event");
    if (!status.ok()) return status;
  }
  return {};
}

CudaStager::~CudaStager() {
  if (stream_ != nullptr) driver_.stream_synchronize(stream_);
  for (const Slot& slot : slots_)
    if (slot.packed != nullptr) driver_.event_destroy(slot.packed);
  if (stream_ != nullptr) driver_.stream_destroy(stream_);
}

StatusOr<PieceStager::Room> CudaStager::begin() {
  at_ = (at_ + 1) % kNumSlots;
  const Slot& slot = slots_[at_];
  if (Status status = driver_.check(driver_.event_synchronize(slot.packed), "loading weights"); !status.ok()) return status;
  return Room{slot.host, slot.host + scales_offset()};
}

Status CudaStager::place(const WeightTarget& target, const Piece& piece) {
  const Slot& slot = slots_[at_];
  if (Status status = queue(slot, target, piece); !status.ok()) return status;
  return driver_.check(driver_.event_record(slot.packed, stream_), "loading weights");
}

Status CudaStager::queue(const Slot& slot, const WeightTarget& target, const Piece& piece) {
  const int64_t num_rows = piece.row_end - piece.row_begin;
  if (target.packing == nullptr) {
    // From the back, so that no value is overwritten before it is read.
    for (int64_t i = num_rows - 1; i >= 0; --i) {
      uint16_t upper;
      std::memcpy(&upper, slot.host + 2 * i, sizeof(upper));
      const uint32_t value = static_cast<uint32_t>(upper) << 16;
      std::memcpy(slot.host + 4 * i, &value, sizeof(value));
    }
    const int64_t first_row = int64_t{piece.expert} * target.desc.rows + piece.row_begin;
    return copy(static_cast<std::byte*>(target.dst) + 4 * first_row, slot.host, 4 * num_rows);
  }
  const RowBytes row = source_row_bytes(target.desc);
  if (Status status = copy(slot.device, slot.host, num_rows * row.values); !status.ok()) return status;
  std::byte* scales = slot.device + scales_offset();
  if (Status status = copy(scales, slot.host + scales_offset(), num_rows * row.scales); !status.ok()) return status;
  return pack_rows(target, piece, slot.device, scales, stream_);
}

Status CudaStager::copy(std::byte* to, const std::byte* from, int64_t bytes) {
  if (bytes == 0) return {};
  const auto address = reinterpret_cast<CuAddress>(to);
  return driver_.check(driver_.copy_to_device_async(address, from, bytes, stream_), "copying weights to the GPU");
}

Status CudaStager::finish() { return driver_.check(driver_.stream_synchronize(stream_), "loading weights"); }

}  // namespace moesaic
