#include "loader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "load_plan_check.h"
#include "pieces.h"
#include "text.h"

namespace moesaic {
namespace {

// A file of the plan, open for reading from any thread.
class PlannedFile {
 public:
  // kFailedPrecondition when it is no longer the file of the plan.
  static StatusOr<PlannedFile> open(const LoadPlan::File& file);

  ~PlannedFile() {
    if (fd_ >= 0) close(fd_);
  }
  PlannedFile(PlannedFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  PlannedFile& operator=(PlannedFile&&) = delete;

  // All of [offset, offset + bytes), or an error.
  Status read(int64_t offset, int64_t bytes, std::byte* out) const;

 private:
  PlannedFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Status check_unchanged(int64_t planned_bytes) const;

  std::string path_;
  int fd_;
};

StatusOr<std::vector<PlannedFile>> open_files(const LoadPlan& plan);
std::vector<Piece> cut_reads(const std::vector<WeightTarget>& targets, const LoadPlan& plan);
Status read_piece(const WeightTarget& target, const WeightRead& read, const Piece& piece,
                  const std::vector<PlannedFile>& files, std::byte* values, std::byte* scales);

}  // namespace

StatusOr<LoadReport> load_weights(const std::vector<WeightTarget>& targets, const LoadPlan& plan, int32_t num_threads,
                                  const std::atomic<bool>& cancelled, std::atomic<uint64_t>& ticks,
                                  const LoadProgress& progress) {
  if (Status status = check_load_plan(targets, plan); !status.ok()) return status;
  StatusOr<std::vector<PlannedFile>> files = open_files(plan);
  if (!files.ok()) return files.status();

  const FillStaging read = [&](const Piece& piece, std::byte* values, std::byte* scales) {
    return read_piece(targets[piece.weight_index], plan.reads[piece.read_index], piece, files.value(), values, scales);
  };
  return place_pieces(targets, cut_reads(targets, plan), num_threads, read, LoadWatch{cancelled, ticks, progress});
}

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

std::vector<Piece> cut_reads(const std::vector<WeightTarget>& targets, const LoadPlan& plan) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < plan.reads.size(); ++i) {
    const WeightRead& read = plan.reads[i];
    const Piece whole{read.weight_index, read.expert, read.row_begin, read.row_end, static_cast<int32_t>(i)};
    cut_pieces(targets[read.weight_index], whole, &pieces);
  }
  return pieces;
}

Status read_piece(const WeightTarget& target, const WeightRead& read, const Piece& piece,
                  const std::vector<PlannedFile>& files, std::byte* values, std::byte* scales) {
  const RowBytes row = source_row_bytes(target.desc);
  const int64_t num_rows = piece.row_end - piece.row_begin;
  const int64_t num_skipped = piece.row_begin - read.row_begin;
  const int64_t offset = read.file_offset + num_skipped * row.values;
  Status status = files[read.file_index].read(offset, num_rows * row.values, values);
  if (!status.ok() || row.scales == 0) return status;
  const int64_t scale_offset = read.scale_file_offset + num_skipped * row.scales;
  return files[read.scale_file_index].read(scale_offset, num_rows * row.scales, scales);
}

}  // namespace
}  // namespace moesaic
