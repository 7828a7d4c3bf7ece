#include "pieces.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "compute_device.h"
#include "text.h"
#include "thread_pool.h"

namespace moesaic {
namespace {

using Clock = std::chrono::steady_clock;

// Half of a usual second-level cache, so that packing does not fetch the rows from memory again.
constexpr int64_t kPieceBytes = 512 << 10;

// One load while it runs; its threads share it.
class Filling {
 public:
  Filling(const std::vector<WeightTarget>& targets, const std::vector<Piece>& pieces, const FillStaging& fill,
            const LoadWatch& watch, ComputeDevice& device);

  StatusOr<LoadReport> run(int32_t num_threads);

 private:
  void work();
  Status place_all(LoadReport* report);
  Status place(const Piece& piece, PieceStager& stager, LoadReport* report);
  void count(int64_t bytes);
  void finish(const Status& status, const LoadReport& report);

  const std::vector<WeightTarget>& targets_;
  const std::vector<Piece>& pieces_;
  const FillStaging& fill_;
  const LoadWatch& watch_;
  ComputeDevice& device_;
  const StagingBytes staging_;
  std::atomic<size_t> next_piece_{0};
  std::atomic<bool> failed_{false};
  std::atomic<int64_t> bytes_done_{0};

  std::mutex progress_mutex_;
  Clock::time_point last_progress_ = Clock::now();  // guarded by progress_mutex_

  std::mutex result_mutex_;
  Status status_;      // the first failure; guarded by result_mutex_
  LoadReport report_;  // guarded by result_mutex_
};

StagingBytes largest_piece(const std::vector<WeightTarget>& targets, const std::vector<Piece>& pieces);
double ms_since(Clock::time_point begin);
void store_vector(const WeightTarget& target, const Piece& piece, const std::byte* values);
Code code_of(mk_status status);

}  // namespace

StatusOr<LoadReport> place_pieces(const std::vector<WeightTarget>& targets, const std::vector<Piece>& pieces,
                                  int32_t num_threads, const FillStaging& fill, const LoadWatch& watch,
                                  ComputeDevice& device) {
  const Clock::time_point begin = Clock::now();
  StatusOr<LoadReport> report = Filling(targets, pieces, fill, watch, device).run(num_threads);
  if (!report.ok()) return report;
  for (const WeightTarget& target : targets) report.value().bytes_packed += target.bytes;
  report.value().total_ms = ms_since(begin);
  watch.progress(report.value().bytes_read);
  return report;
}

RowBytes source_row_bytes(const mk_weight_desc& desc) {
  constexpr int64_t kBlock = 32;
  if (desc.source_dtype == MK_MXFP4) return {desc.cols / kBlock * (kBlock / 2), desc.cols / kBlock};
  return {static_cast<int64_t>(desc.cols) * 2, 0};
}

int32_t row_granule(const WeightTarget& target) {
  return target.packing == nullptr ? 1 : std::max(target.packing->row_granule, 1);
}

Staging allocate_staging(int64_t bytes) {
  const std::align_val_t alignment{kStagingAlignment};
  return Staging(new (alignment, std::nothrow) std::byte[static_cast<size_t>(bytes)]);
}

void FreeStaging::operator()(std::byte* data) const { ::operator delete[](data, std::align_val_t{kStagingAlignment}); }

Status pack_piece(const WeightTarget& target, const Piece& piece, const std::byte* values, const std::byte* scales) {
  if (target.packing == nullptr) {
    store_vector(target, piece, values);
    return Status();
  }
  const ThreadPool alone(1);  // the pieces are what runs in parallel
  return pack_rows(target, piece, values, scales, alone.stream());
}

Status pack_rows(const WeightTarget& target, const Piece& piece, const std::byte* values, const std::byte* scales,
                 mk_stream stream) {
  const bool has_scales = source_row_bytes(target.desc).scales > 0;
  const mk_pack_args args{sizeof(mk_pack_args), &target.desc, piece.expert, piece.row_begin,
                          piece.row_end,        values,       has_scales ? scales : nullptr, target.dst};
  mk_error error{};
  const mk_status status = target.packing->pack(&args, stream, &error);
  if (status == MK_OK) return Status();
  return Status(code_of(status), text("packing ", target.name, " as ", target.packing->layout_id, ": expert ", piece.expert,
                                      ", rows ", piece.row_begin, " to ", piece.row_end, ": ", error.message));
}

namespace {

// One piece at a time.
class HostStager final : public PieceStager {
 public:
  HostStager(Staging buffer, int64_t values_bytes) : buffer_(std::move(buffer)), values_bytes_(values_bytes) {}
  StatusOr<Room> begin() override { return Room{buffer_.get(), buffer_.get() + values_bytes_}; }
  Status place(const WeightTarget& target, const Piece& piece) override {
    return pack_piece(target, piece, buffer_.get(), buffer_.get() + values_bytes_);
  }
  Status finish() override { return {}; }

 private:
  const Staging buffer_;
  const int64_t values_bytes_;
};

}  // namespace

StatusOr<std::unique_ptr<PieceStager>> make_host_stager(StagingBytes bytes) {
  const int64_t values_bytes = (bytes.values + kStagingAlignment - 1) / kStagingAlignment * kStagingAlignment;
  const int64_t total_bytes = values_bytes + bytes.scales;
  Staging buffer = allocate_staging(total_bytes);
  if (buffer != nullptr) return std::unique_ptr<PieceStager>(std::make_unique<HostStager>(std::move(buffer), values_bytes));
  return Status(Code::kResourceExhausted,
                text("wanted ", total_bytes, " bytes of staging memory per thread, there are fewer; free some"));
}

void cut_pieces(const WeightTarget& target, const Piece& whole, std::vector<Piece>* pieces) {
  const int64_t granule = row_granule(target);
  const int64_t granule_bytes = std::max<int64_t>(source_row_bytes(target.desc).values * granule, 1);
  const int64_t rows_per_piece = std::max<int64_t>(kPieceBytes / granule_bytes, 1) * granule;
  for (int64_t row = whole.row_begin; row < whole.row_end; row += rows_per_piece) {
    Piece piece = whole;
    piece.row_begin = static_cast<int32_t>(row);
    piece.row_end = static_cast<int32_t>(std::min<int64_t>(row + rows_per_piece, whole.row_end));
    pieces->push_back(piece);
  }
}

namespace {

Filling::Filling(const std::vector<WeightTarget>& targets, const std::vector<Piece>& pieces,
                     const FillStaging& fill, const LoadWatch& watch, ComputeDevice& device)
    : targets_(targets),
      pieces_(pieces),
      fill_(fill),
      watch_(watch),
      device_(device),
      staging_(largest_piece(targets, pieces)) {}

StatusOr<LoadReport> Filling::run(int32_t num_threads) {
  std::vector<std::thread> threads;
  const auto num_wanted = std::min<size_t>(std::max(num_threads, 1), std::max<size_t>(pieces_.size(), 1));
  try {
    while (threads.size() + 1 < num_wanted) threads.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // A machine that gives no more threads loads with those it gave.
  }
  work();
  for (std::thread& thread : threads) thread.join();
  if (!status_.ok()) return status_;
  return report_;
}

void Filling::work() {
  LoadReport report;
  const Status status = place_all(&report);
  finish(status, report);
}

Status Filling::place_all(LoadReport* report) {
  StatusOr<std::unique_ptr<PieceStager>> stager = device_.make_stager(staging_);
  if (!stager.ok()) return stager.status();
  while (!failed_) {
    const size_t index = next_piece_.fetch_add(1);
    if (index >= pieces_.size()) break;
    if (watch_.cancelled) return Status(Code::kCancelled, "the load was cancelled");
    if (Status status = place(pieces_[index], *stager.value(), report); !status.ok()) return status;
  }
  return stager.value()->finish();
}

Status Filling::place(const Piece& piece, PieceStager& stager, LoadReport* report) {
  const WeightTarget& target = targets_[piece.weight_index];
  const RowBytes row = source_row_bytes(target.desc);
  const int64_t bytes = (piece.row_end - piece.row_begin) * (row.values + row.scales);

  StatusOr<PieceStager::Room> room = stager.begin();
  if (!room.ok()) return room.status();
  const Clock::time_point fill_begin = Clock::now();
  if (Status status = fill_(piece, room.value().values, room.value().scales); !status.ok()) return status;
  report->read_ms += ms_since(fill_begin);
  report->bytes_read += bytes;

  const Clock::time_point pack_begin = Clock::now();
  if (Status status = stager.place(target, piece); !status.ok()) return status;
  report->pack_ms += ms_since(pack_begin);
  count(bytes);
  return Status();
}

void Filling::count(int64_t bytes) {
  watch_.ticks.fetch_add(1, std::memory_order_relaxed);
  bytes_done_.fetch_add(bytes);
  const std::unique_lock lock(progress_mutex_, std::try_to_lock);
  if (!lock.owns_lock() || Clock::now() - last_progress_ < kProgressInterval) return;
  watch_.progress(bytes_done_);
  last_progress_ = Clock::now();
}

void Filling::finish(const Status& status, const LoadReport& report) {
  const std::lock_guard lock(result_mutex_);
  report_.bytes_read += report.bytes_read;
  report_.read_ms += report.read_ms;
  report_.pack_ms += report.pack_ms;
  if (status.ok() || failed_.exchange(true)) return;
  status_ = status;
}

StagingBytes largest_piece(const std::vector<WeightTarget>& targets, const std::vector<Piece>& pieces) {
  StagingBytes largest;
  for (const Piece& piece : pieces) {
    const RowBytes row = source_row_bytes(targets[piece.weight_index].desc);
    const int64_t num_rows = piece.row_end - piece.row_begin;
    largest.values = std::max(largest.values, num_rows * row.values);
    largest.scales = std::max(largest.scales, num_rows * row.scales);
  }
  return largest;
}

// bf16 is the upper half of a float32.
void store_vector(const WeightTarget& target, const Piece& piece, const std::byte* values) {
  const int64_t first_row = int64_t{piece.expert} * target.desc.rows + piece.row_begin;
  auto* out = static_cast<uint32_t*>(target.dst) + first_row;
  for (int64_t i = 0; i < piece.row_end - piece.row_begin; ++i) {
    uint16_t upper;
    std::memcpy(&upper, values + 2 * i, sizeof(upper));
    out[i] = static_cast<uint32_t>(upper) << 16;
  }
}

Code code_of(mk_status status) {
  switch (status) {
    case MK_OK: return Code::kOk;
    case MK_INVALID_ARGUMENT: return Code::kInvalidArgument;
    case MK_UNIMPLEMENTED: return Code::kUnimplemented;
    case MK_RESOURCE_EXHAUSTED: return Code::kResourceExhausted;
    case MK_INTERNAL: break;
  }
  return Code::kInternal;
}

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

}  // namespace
}  // namespace moesaic
