#include "loader.h"

#include "load_plan_check.h"
#include "loader_files.h"
#include "loader_shared.h"
#include "pieces.h"

namespace moesaic {
namespace {

StatusOr<LoadReport> load_own(const std::vector<WeightTarget>& targets, const LoadPlan& plan, int32_t num_threads,
                              const StatusOr<std::vector<PlannedFile>>& files, const LoadWatch& watch, ComputeDevice& device);
std::vector<Piece> cut_reads(const std::vector<WeightTarget>& targets, const LoadPlan& plan);

}  // namespace

StatusOr<LoadReport> load_weights(const std::vector<WeightTarget>& targets, const LoadPlan& plan, int32_t num_threads,
                                  const std::atomic<bool>& cancelled, std::atomic<uint64_t>& ticks,
                                  const LoadProgress& progress, ComputeDevice& device, SharedReadExchange* exchange) {
  if (Status status = check_load_plan(targets, plan, exchange); !status.ok()) return status;
  const LoadWatch watch{cancelled, ticks, progress};
  const StatusOr<std::vector<PlannedFile>> files = open_files(plan);
  StatusOr<LoadReport> own = load_own(targets, plan, num_threads, files, watch, device);
  // Whoever shares reads may count on the others from here on, and on their keeping the deadline.
  if (exchange != nullptr)
    if (Status status = exchange->await_all(); !status.ok()) return own.ok() ? status : own;
  if (plan.shared_reads.empty()) return own;
  // The other ranks wait for what this one was to read: after a failure it still has to tell them.
  return load_shared(SharedLoad{targets, plan, files, watch, exchange}, std::move(own));
}

namespace {

StatusOr<LoadReport> load_own(const std::vector<WeightTarget>& targets, const LoadPlan& plan, int32_t num_threads,
                              const StatusOr<std::vector<PlannedFile>>& files, const LoadWatch& watch, ComputeDevice& device) {
  if (!files.ok()) return files.status();
  const FillStaging fill = [&](const Piece& piece, std::byte* values, std::byte* scales) {
    const WeightRead& read = plan.reads[piece.read_index];
    const int64_t first_row = piece.row_begin - read.row_begin;
    const int64_t num_rows = piece.row_end - piece.row_begin;
    Status status = read_slices(files.value(), read.values, first_row, num_rows, values);
    if (!status.ok() || read.scales.bytes == 0) return status;
    return read_slices(files.value(), read.scales, first_row, num_rows, scales);
  };
  return place_pieces(targets, cut_reads(targets, plan), num_threads, fill, watch, device);
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

}  // namespace
}  // namespace moesaic
