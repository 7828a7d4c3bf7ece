// Arena: one anonymous mapping, taken at open and fixed in size. Starts zeroed; pages come as they are touched. The pages
// before its start and after its end are not accessible, so that a kernel that runs over either faults at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "status.h"

namespace moesaic {

class Arena {
 public:
  // `what` is for the error message. With `huge_pages` the kernel is asked for them: fewer TLB misses when reading it all.
  static StatusOr<Arena> map(const char* what, int64_t bytes, bool huge_pages);
  Arena() = default;
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  // Gives every page back; they read as zero again.
  void clear();

 private:
  Arena(std::byte* mapped, std::byte* data, int64_t bytes, int64_t mapped_bytes)
      : mapped_(mapped), data_(data), bytes_(bytes), mapped_bytes_(mapped_bytes) {}
  std::byte* mapped_ = nullptr;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  int64_t mapped_bytes_ = 0;  // guard pages included
};

}  // namespace moesaic
