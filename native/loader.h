// Loader: fills the weights arena. Reads planned byte ranges in parallel with pread (a truncated file is an error, not a
// signal), and packs each piece into place while it is hot. Memory: one staging buffer per thread, nothing else.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "moesaic/kernel.h"
#include "status.h"

namespace moesaic {

// Where one weight goes. Matrices are packed by `packing`; vectors (packing null) become plain float32.
struct WeightTarget {
  std::string name;
  mk_weight_desc desc;        // for vectors: source_dtype bf16, stored f32, cols 1
  const mk_packing* packing;  // null for vectors
  void* dst;                  // zeroed
  int64_t bytes;
};

// As LoadPlan and WeightRead of binding.ts.
struct WeightRead {
  int32_t weight_index;
  int32_t expert;
  int32_t row_begin;
  int32_t row_end;
  int32_t file_index;
  int64_t file_offset;
  int64_t bytes;
  int32_t scale_file_index;
  int64_t scale_file_offset;
  int64_t scale_bytes;
};

struct LoadPlan {
  struct File {
    std::string path;
    int64_t bytes;
  };
  std::vector<File> files;
  std::vector<WeightRead> reads;
  int64_t bytes_planned = 0;
};

struct LoadReport {
  int64_t bytes_read = 0;
  int64_t bytes_packed = 0;
  double read_ms = 0;  // summed over threads, as is pack_ms
  double pack_ms = 0;
  double total_ms = 0;
};

// Called with the bytes done so far, from any thread, never concurrently.
using LoadProgress = std::function<void(int64_t bytes_done)>;

// Blocks. Stops early with kCancelled when *cancelled becomes true. Every read is checked against its weight and file first;
// on error the arena's contents are undefined. `ticks` is incremented per piece.
StatusOr<LoadReport> load_weights(const std::vector<WeightTarget>& targets, const LoadPlan& plan, int32_t num_threads,
                                  const std::atomic<bool>& cancelled, std::atomic<uint64_t>& ticks,
                                  const LoadProgress& progress);

// Seeded random weights of the right dtypes in place: the same for a seed whatever num_threads is. Matrices have about unit
// gain (standard deviation 1 / sqrt(cols)), gains of norms are 1, other vectors small.
StatusOr<LoadReport> load_dummy_weights(const std::vector<WeightTarget>& targets, uint64_t seed, int32_t num_threads,
                                        const std::atomic<bool>& cancelled, std::atomic<uint64_t>& ticks,
                                        const LoadProgress& progress);

}  // namespace moesaic
