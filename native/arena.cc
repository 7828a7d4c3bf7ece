#include "arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "text.h"

namespace moesaic {

StatusOr<Arena> Arena::map(const char* what, int64_t bytes, bool huge_pages) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t usable_bytes = (bytes + page - 1) / page * page;
  const int64_t mapped_bytes = page + usable_bytes + page;
  void* memory = mmap(nullptr, mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return Status(Code::kResourceExhausted, text("the system has no room for ", bytes, " bytes of ", what));
  auto* mapped = static_cast<std::byte*>(memory);
  std::byte* data = mapped + page;
  Arena arena(mapped, data, bytes, mapped_bytes);
  if (usable_bytes > 0 && mprotect(data, usable_bytes, PROT_READ | PROT_WRITE) != 0)
    return Status(Code::kResourceExhausted, text("the system refused ", bytes, " bytes for ", what));
  // Advice only: without huge pages everything works, slower.
  if (huge_pages && usable_bytes > 0) madvise(data, usable_bytes, MADV_HUGEPAGE);
  return arena;
}

Arena::Arena(Arena&& other) noexcept { *this = std::move(other); }

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(mapped_, other.mapped_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  return *this;
}

Arena::~Arena() {
  if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
}

void Arena::clear() {
  if (bytes_ > 0) madvise(data_, bytes_, MADV_DONTNEED);
}

}  // namespace moesaic
