#include "file_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "loader_files.h"

namespace moesaic {
namespace {

// Enough for a disk's full speed; small enough that the memory it goes to stays in a cache.
constexpr int64_t kPieceBytes = 1 << 20;

struct FilePiece {
  size_t file;
  int64_t offset;
  int64_t bytes;
};

std::vector<FilePiece> pieces_of(const std::vector<LoadPlan::File>& files) {
  std::vector<FilePiece> pieces;
  for (size_t i = 0; i < files.size(); ++i)
    for (int64_t offset = 0; offset < files[i].bytes; offset += kPieceBytes)
      pieces.push_back({i, offset, std::min(kPieceBytes, files[i].bytes - offset)});
  return pieces;
}

}  // namespace

StatusOr<double> measure_file_reads(const std::vector<LoadPlan::File>& files, int32_t num_threads) {
  using Clock = std::chrono::steady_clock;
  StatusOr<std::vector<PlannedFile>> opened = open_files({files, {}, {}, 0});
  if (!opened.ok()) return opened.status();
  const std::vector<FilePiece> pieces = pieces_of(files);
  std::atomic<size_t> next{0};
  std::mutex mutex;
  Status failure;
  const auto work = [&] {
    const std::unique_ptr<std::byte[]> buffer(new std::byte[kPieceBytes]);
    for (size_t i = next++; i < pieces.size(); i = next++) {
      Status status = opened.value()[pieces[i].file].read(pieces[i].offset, pieces[i].bytes, buffer.get());
      if (status.ok()) continue;
      const std::lock_guard lock(mutex);
      failure = std::move(status);
      return;
    }
  };
  const Clock::time_point begin = Clock::now();
  std::vector<std::thread> threads;
  try {
    while (threads.size() + 1 < static_cast<size_t>(std::max(num_threads, 1))) threads.emplace_back(work);
  } catch (const std::system_error&) {
    // A machine that gives no more threads reads with those it gave.
  }
  work();
  for (std::thread& thread : threads) thread.join();
  if (!failure.ok()) return failure;
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  double bytes = 0;
  for (const LoadPlan::File& file : files) bytes += static_cast<double>(file.bytes);
  return bytes / std::max(seconds, 1e-9);
}

}  // namespace moesaic
