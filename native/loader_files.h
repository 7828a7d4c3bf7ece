// The files of a load plan, open for reading.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "loader.h"

namespace moesaic {

// A file of the plan, open for reading from any thread.
class PlannedFile {
 public:
  // kFailedPrecondition when it is no longer the file of the plan.
  static StatusOr<PlannedFile> open(const LoadPlan::File& file);

  ~PlannedFile();
  PlannedFile(PlannedFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  PlannedFile& operator=(PlannedFile&&) = delete;

  // All of [offset, offset + bytes), or an error that begins with the path.
  Status read(int64_t offset, int64_t bytes, std::byte* out) const;

 private:
  PlannedFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Status check_unchanged(int64_t planned_bytes) const;

  std::string path_;
  int fd_;
};

// All files of the plan, by index.
StatusOr<std::vector<PlannedFile>> open_files(const LoadPlan& plan);

// Rows [first_row, first_row + num_rows) counted from the beginning of `rows`, each from colBegin to colEnd, one after the
// other.
Status read_slices(const std::vector<PlannedFile>& files, const StoredRows& rows, int64_t first_row, int64_t num_rows,
                   std::byte* out);

}  // namespace moesaic
