#include "loader_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "text.h"

namespace moesaic {
namespace {

Code code_of_errno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return Code::kNotFound;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return Code::kResourceExhausted;
    case EIO:
    case ESTALE:
    case ETIMEDOUT: return Code::kUnavailable;
    default: return Code::kFailedPrecondition;
  }
}

Status file_error(const std::string& path, const char* what, int error) {
  const std::string reason = std::generic_category().message(error);
  return Status(code_of_errno(error), text(path, ": could not be ", what, ": ", reason));
}

}  // namespace

PlannedFile::~PlannedFile() {
  if (fd_ >= 0) close(fd_);
}

StatusOr<PlannedFile> PlannedFile::open(const LoadPlan::File& planned) {
  if (planned.path.find('\0') != std::string::npos) {
    return Status(Code::kInvalidArgument, text(planned.path.c_str(), ": wanted a path, a NUL character follows"));
  }
  // Not blocking, because opening a pipe would otherwise wait for its writer; reads of regular files do not care.
  const int fd = ::open(planned.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return file_error(planned.path, "opened", errno);
  PlannedFile file(planned.path, fd);
  if (Status status = file.check_unchanged(planned.bytes); !status.ok()) return status;
  return file;
}

Status PlannedFile::check_unchanged(int64_t planned_bytes) const {
  struct stat found;
  if (fstat(fd_, &found) != 0) return file_error(path_, "examined", errno);
  if (!S_ISREG(found.st_mode)) return Status(Code::kFailedPrecondition, text(path_, ": wanted a regular file"));
  if (found.st_size == planned_bytes) return Status();
  return Status(Code::kFailedPrecondition,
                text(path_, ": changed since it was planned: wanted ", planned_bytes, " bytes, there are ", found.st_size,
                     "; load again once nobody writes to it"));
}

Status PlannedFile::read(int64_t offset, int64_t bytes, std::byte* out) const {
  int64_t done = 0;
  while (done < bytes) {
    const ssize_t got = pread(fd_, out + done, static_cast<size_t>(bytes - done), offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(path_, "read", errno);
    if (got == 0) {
      return Status(Code::kInvalidArgument,
                    text(path_, ": wanted ", bytes, " bytes at offset ", offset, ", got ", done,
                         " before the end of the file; it was truncated while it was read"));
    }
    done += got;
  }
  return Status();
}

StatusOr<std::vector<PlannedFile>> open_files(const LoadPlan& plan) {
  std::vector<PlannedFile> files;
  for (const LoadPlan::File& planned : plan.files) {
    StatusOr<PlannedFile> file = PlannedFile::open(planned);
    if (!file.ok()) return file.status();
    files.push_back(std::move(file.value()));
  }
  return files;
}

Status read_slices(const std::vector<PlannedFile>& files, const StoredRows& rows, int64_t first_row, int64_t num_rows,
                   std::byte* out) {
  const PlannedFile& file = files[rows.file_index];
  const int64_t begin = rows.file_offset + first_row * rows.row_stride;
  if (rows.slice_bytes() == rows.row_stride) return file.read(begin, num_rows * rows.row_stride, out);
  for (int64_t row = 0; row < num_rows; ++row) {
    const int64_t offset = begin + row * rows.row_stride + rows.col_begin;
    if (Status status = file.read(offset, rows.slice_bytes(), out + row * rows.slice_bytes()); !status.ok()) return status;
  }
  return Status();
}

}  // namespace moesaic
