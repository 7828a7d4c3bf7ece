#include "loader_shared.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "text.h"

namespace moesaic {
namespace {

using Clock = std::chrono::steady_clock;

// Leads every broadcast: a rank whose plan differs, or whose root failed, must not take the rows for its own.
struct Header {
  uint32_t magic;
  uint32_t code;  // kOk: the rows follow; else the text of the failure
  int64_t file_offset;
  int64_t bytes;  // of what follows
};
constexpr uint32_t kMagic = 0x4d534c52;
// The rows stay aligned behind it.
constexpr int64_t kHeaderBytes = kStagingAlignment;
static_assert(sizeof(Header) <= kHeaderBytes);
constexpr int64_t kMaxReasonBytes = 4096;

class SharedLoading {
 public:
  SharedLoading(const SharedLoad& load, StatusOr<LoadReport> own)
      : load_(load), status_(own.ok() ? Status() : own.status()), report_(own.ok() ? own.value() : LoadReport{}) {}

  StatusOr<LoadReport> run();

 private:
  Status allocate();
  Status share(const SharedRead& shared);
  void fail(Status status);
  Status read_rows(const WeightRead& read);
  int64_t write_header(const SharedRead& shared);
  Status check_received(const SharedRead& shared, int64_t bytes) const;
  Status pack_columns(const WeightRead& read);
  void tell_progress();

  std::byte* rows() const { return message_.get() + kHeaderBytes; }

  const SharedLoad& load_;
  Status status_;  // the first failure
  LoadReport report_;
  Staging message_;        // the header, then whole rows, then their scales
  Staging values_;         // own columns
  Staging scales_;
  Clock::time_point last_progress_ = Clock::now();
};

void copy_columns(const StoredRows& stored, int64_t num_rows, const std::byte* rows, std::byte* out);
bool is_alone(const SharedRead& shared) { return shared.ranks.size() == 1; }
double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

}  // namespace

StatusOr<LoadReport> load_shared(const SharedLoad& load, StatusOr<LoadReport> own) {
  return SharedLoading(load, std::move(own)).run();
}

namespace {

StatusOr<LoadReport> SharedLoading::run() {
  const Clock::time_point begin = Clock::now();
  // Without memory not even the failure of another rank could be received: the epoch's end will tell the others.
  if (Status status = allocate(); !status.ok()) return status_.ok() ? status : status_;
  for (const SharedRead& shared : load_.plan.shared_reads) {
    if (load_.watch.cancelled) fail(Status(Code::kCancelled, "the load was cancelled"));
    if (!status_.ok() && is_alone(shared)) continue;
    // An exchange that fails is the end of it: all later ones would.
    if (Status status = share(shared); !status.ok()) return status_.ok() ? status : status_;
    tell_progress();
  }
  if (!status_.ok()) return status_;
  report_.total_ms += ms_since(begin);
  load_.watch.progress(report_.bytes_read);
  return report_;
}

Status SharedLoading::allocate() {
  int64_t rows_bytes = kMaxReasonBytes;
  int64_t values_bytes = 1;
  int64_t scales_bytes = 1;
  for (const SharedRead& shared : load_.plan.shared_reads) {
    const WeightRead& read = shared.read;
    const int64_t num_rows = read.row_end - read.row_begin;
    rows_bytes = std::max(rows_bytes, read.bytes());
    values_bytes = std::max(values_bytes, num_rows * read.values.slice_bytes());
    scales_bytes = std::max(scales_bytes, num_rows * read.scales.slice_bytes());
  }
  message_ = allocate_staging(kHeaderBytes + rows_bytes);
  values_ = allocate_staging(values_bytes);
  scales_ = allocate_staging(scales_bytes);
  if (message_ != nullptr && values_ != nullptr && scales_ != nullptr) return Status();
  const int64_t wanted = kHeaderBytes + rows_bytes + values_bytes + scales_bytes;
  return Status(Code::kResourceExhausted,
                text("wanted ", wanted, " bytes of memory for shared reads, there are fewer; free some"));
}

// What it returns is a failed exchange; all else goes to fail().
Status SharedLoading::share(const SharedRead& shared) {
  const bool is_root = is_alone(shared) || shared.root_rank == load_.exchange->rank();
  if (is_root && status_.ok()) fail(read_rows(shared.read));
  if (!is_alone(shared)) {
    const int64_t num_sent = is_root ? write_header(shared) : kHeaderBytes + std::max(shared.read.bytes(), kMaxReasonBytes);
    const std::span<std::byte> message(message_.get(), static_cast<size_t>(num_sent));
    const StatusOr<int64_t> received = load_.exchange->broadcast(shared.ranks, shared.root_rank, message);
    if (!received.ok()) return received.status();
    if (!is_root) fail(check_received(shared, received.value()));
  }
  if (!status_.ok()) return Status();
  if (is_root) report_.bytes_read += shared.read.bytes();
  fail(pack_columns(shared.read));
  return Status();
}

void SharedLoading::fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

Status SharedLoading::read_rows(const WeightRead& read) {
  const Clock::time_point begin = Clock::now();
  const std::vector<PlannedFile>& files = load_.files.value();
  const auto read_whole = [&](const StoredRows& stored, std::byte* out) {
    return stored.bytes == 0 ? Status() : files[stored.file_index].read(stored.file_offset, stored.bytes, out);
  };
  Status status = read_whole(read.values, rows());
  if (status.ok()) status = read_whole(read.scales, rows() + read.values.bytes);
  report_.read_ms += ms_since(begin);
  return status;
}

// The bytes to send: header and rows, or header and reason.
int64_t SharedLoading::write_header(const SharedRead& shared) {
  const std::string& reason = status_.message();
  const auto reason_bytes = std::min<int64_t>(static_cast<int64_t>(reason.size()), kMaxReasonBytes);
  const int64_t bytes = status_.ok() ? shared.read.bytes() : reason_bytes;
  const Header header{kMagic, static_cast<uint32_t>(status_.code()), shared.read.values.file_offset, bytes};
  std::memset(message_.get(), 0, kHeaderBytes);
  std::memcpy(message_.get(), &header, sizeof(header));
  if (!status_.ok()) std::memcpy(rows(), reason.data(), static_cast<size_t>(bytes));
  return kHeaderBytes + bytes;
}

Status SharedLoading::check_received(const SharedRead& shared, int64_t bytes) const {
  Header header{};
  if (bytes >= kHeaderBytes) std::memcpy(&header, message_.get(), sizeof(header));
  const bool is_ours = header.magic == kMagic && header.bytes == bytes - kHeaderBytes &&
                       header.file_offset == shared.read.values.file_offset;
  const bool is_ok = header.code == static_cast<uint32_t>(Code::kOk);
  if (!is_ours || (is_ok && header.bytes != shared.read.bytes())) {
    return Status(Code::kFailedPrecondition,
                  text("rank ", shared.root_rank, " shares other rows than those at offset ",
                       shared.read.values.file_offset, " of ", load_.plan.files[shared.read.values.file_index].path,
                       "; check that all workers of the host have the same model files"));
  }
  if (is_ok) return Status();
  const std::string reason(reinterpret_cast<const char*>(rows()), static_cast<size_t>(header.bytes));
  return Status(Code::kUnavailable, text("rank ", shared.root_rank, " could not read weights for this rank: ", reason));
}

Status SharedLoading::pack_columns(const WeightRead& read) {
  const Clock::time_point begin = Clock::now();
  const int64_t num_rows = read.row_end - read.row_begin;
  copy_columns(read.values, num_rows, rows(), values_.get());
  copy_columns(read.scales, num_rows, rows() + read.values.bytes, scales_.get());
  const Piece piece{read.weight_index, read.expert, read.row_begin, read.row_end, 0};
  Status status = pack_piece(load_.targets[read.weight_index], piece, values_.get(), scales_.get());
  report_.pack_ms += ms_since(begin);
  load_.watch.ticks.fetch_add(1, std::memory_order_relaxed);
  return status;
}

void SharedLoading::tell_progress() {
  if (!status_.ok() || Clock::now() - last_progress_ < kProgressInterval) return;
  load_.watch.progress(report_.bytes_read);
  last_progress_ = Clock::now();
}

void copy_columns(const StoredRows& stored, int64_t num_rows, const std::byte* rows, std::byte* out) {
  const auto slice = static_cast<size_t>(stored.slice_bytes());
  for (int64_t row = 0; row < num_rows && slice > 0; ++row) {
    std::memcpy(out + row * stored.slice_bytes(), rows + row * stored.row_stride + stored.col_begin, slice);
  }
}

}  // namespace
}  // namespace moesaic
