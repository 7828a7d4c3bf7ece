#include "arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include "text.h"

namespace moesaic {
namespace {

class MappedMemory final : public ArenaMemory {
 public:
  MappedMemory(std::byte* mapped, int64_t mapped_bytes, std::byte* data, int64_t bytes)
      : mapped_(mapped), mapped_bytes_(mapped_bytes), data_(data), bytes_(bytes) {}
  ~MappedMemory() override { munmap(mapped_, mapped_bytes_); }

  // Gives every page back; they read as zero again.
  Status clear() override {
    madvise(data_, bytes_, MADV_DONTNEED);
    return {};
  }

 private:
  std::byte* mapped_;
  int64_t mapped_bytes_;  // guard pages included
  std::byte* data_;
  int64_t bytes_;
};

}  // namespace

StatusOr<Arena> Arena::map(const char* what, int64_t bytes, bool huge_pages) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t usable_bytes = (bytes + page - 1) / page * page;
  const int64_t mapped_bytes = page + usable_bytes + page;
  void* memory = mmap(nullptr, mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return Status(Code::kResourceExhausted, text("the system has no room for ", bytes, " bytes of ", what));
  auto* mapped = static_cast<std::byte*>(memory);
  std::byte* data = mapped + page;
  Arena arena(data, bytes, std::make_unique<MappedMemory>(mapped, mapped_bytes, data, bytes));
  if (usable_bytes > 0 && mprotect(data, usable_bytes, PROT_READ | PROT_WRITE) != 0)
    return Status(Code::kResourceExhausted, text("the system refused ", bytes, " bytes for ", what));
  // Advice only: without huge pages everything works, slower.
  if (huge_pages && usable_bytes > 0) madvise(data, usable_bytes, MADV_HUGEPAGE);
  return arena;
}

}  // namespace moesaic
