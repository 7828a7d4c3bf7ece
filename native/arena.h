// Arena: one allocation, taken at open and fixed in size, in the memory of one device. Starts zeroed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "status.h"

namespace moesaic {

// Who took the memory, and gives it back when it is destroyed.
class ArenaMemory {
 public:
  virtual ~ArenaMemory() = default;
  // Zeroes everything.
  virtual Status clear() = 0;
};

class Arena {
 public:
  // An anonymous mapping of host memory; pages come as they are touched. The pages before its start and after its end are not
  // accessible, so that a kernel that runs over either faults at once. `what` is for the error message. With `huge_pages` the
  // kernel is asked for them: fewer TLB misses when reading it all.
  static StatusOr<Arena> map(const char* what, int64_t bytes, bool huge_pages);

  Arena() = default;
  Arena(std::byte* data, int64_t bytes, std::unique_ptr<ArenaMemory> memory)
      : data_(data), bytes_(bytes), memory_(std::move(memory)) {}

  // An address of the device's; host code may follow it where the device is the CPU.
  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Status clear() { return bytes_ > 0 ? memory_->clear() : Status(); }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  std::unique_ptr<ArenaMemory> memory_;
};

}  // namespace moesaic
