// Pieces: how weights are filled, wherever their rows come from. A piece is a few rows, small enough to be packed while
// the cache still holds them. Threads take pieces in order, have the rows put into their staging buffer, and pack them.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "loader.h"
#include "piece_stager.h"

namespace moesaic {

// Whole granules of rows of one expert of one weight.
struct Piece {
  int32_t weight_index;
  int32_t expert;
  int32_t row_begin;
  int32_t row_end;
  int32_t read_index;  // of the plan's read that holds the rows; 0 when no plan was made
};

// Bytes of one row as a checkpoint has it. A weight's rows never overflow: rows and cols are int32, a column takes 2 bytes.
struct RowBytes {
  int64_t values;
  int64_t scales;
};
RowBytes source_row_bytes(const mk_weight_desc& desc);

// Rows that are packed together: 1 for vectors.
int32_t row_granule(const WeightTarget& target);

// Cuts the rows of `whole` into pieces and appends them.
void cut_pieces(const WeightTarget& target, const Piece& whole, std::vector<Piece>* pieces);

// Puts the source rows of a piece into staging memory: `values` and `scales` have room for exactly its rows.
using FillStaging = std::function<Status(const Piece& piece, std::byte* values, std::byte* scales)>;

// Packs rows where they are, on the stream; `scales` is ignored where the weight has none. Not for vectors.
Status pack_rows(const WeightTarget& target, const Piece& piece, const std::byte* values, const std::byte* scales,
                 mk_stream stream);
// The same on the CPU, vectors included.
Status pack_piece(const WeightTarget& target, const Piece& piece, const std::byte* values, const std::byte* scales);

// Staging memory, aligned for the kernels' loads; null when there is none.
struct FreeStaging {
  void operator()(std::byte* data) const;
};
using Staging = std::unique_ptr<std::byte[], FreeStaging>;
Staging allocate_staging(int64_t bytes);
constexpr int64_t kStagingAlignment = 64;

// How often a load's progress is told at most.
constexpr auto kProgressInterval = std::chrono::milliseconds(50);

// What a load tells and hears while it runs.
struct LoadWatch {
  const std::atomic<bool>& cancelled;
  std::atomic<uint64_t>& ticks;
  const LoadProgress& progress;
};

// Fills and packs every piece with up to num_threads threads, of which the caller is one. Blocks. The first failure
// stops the others after their current piece.
StatusOr<LoadReport> place_pieces(const std::vector<WeightTarget>& targets, const std::vector<Piece>& pieces,
                                  int32_t num_threads, const FillStaging& fill, const LoadWatch& watch,
                                  ComputeDevice& device);

// In ordinary memory, for a device that shares it.
StatusOr<std::unique_ptr<PieceStager>> make_host_stager(StagingBytes bytes);

}  // namespace moesaic
