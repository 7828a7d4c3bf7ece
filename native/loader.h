// Loader: fills the weights arena. Reads planned byte ranges in parallel with pread (a truncated file is an error, not a
// signal), and packs each piece into place while it is hot. Memory: the staging of each thread, nothing else.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "moesaic/kernel.h"
#include "program.h"
#include "status.h"

namespace moesaic {

class ComputeDevice;

// Where one weight goes. Matrices are packed by `packing`; vectors (packing null) become plain float32.
struct WeightTarget {
  std::string name;
  mk_weight_desc desc;        // for vectors: source_dtype bf16, stored f32, cols 1
  const mk_packing* packing;  // null for vectors
  void* dst;                  // zeroed
  int64_t bytes;
  const std::vector<WeightSource>* sources;  // what dummy weights are made from, so that all shards agree
};

// As LoadPlan, WeightRead and SharedRead of binding.ts; `values` are its fields without prefix, `scales` those with.
struct StoredRows {
  int32_t file_index;
  int64_t file_offset;
  int64_t row_stride;
  int64_t col_begin;
  int64_t col_end;
  int64_t bytes;

  int64_t slice_bytes() const { return col_end - col_begin; }
};

struct WeightRead {
  int32_t weight_index;
  int32_t expert;
  int32_t row_begin;
  int32_t row_end;
  StoredRows values;
  StoredRows scales;

  int64_t bytes() const { return values.bytes + scales.bytes; }
};

struct SharedRead {
  WeightRead read;
  std::vector<int32_t> ranks;
  int32_t root_rank;
};

struct LoadPlan {
  struct File {
    std::string path;
    int64_t bytes;
  };
  std::vector<File> files;
  std::vector<WeightRead> reads;
  std::vector<SharedRead> shared_reads;
  int64_t bytes_planned = 0;
};

// How the ranks of one host share what one of them read. All ranks of a call make it in the same order among themselves.
class SharedReadExchange {
 public:
  virtual ~SharedReadExchange() = default;
  virtual int32_t rank() const = 0;
  // Returns once every rank of the world has called it. Waits for the others as long as they live: they may have more to read.
  virtual Status await_all() = 0;
  // The root's bytes reach every one of `ranks` (ascending, at least two, own one included); only the root's size counts.
  // Returns it: at most data.size(), or an error.
  virtual StatusOr<int64_t> broadcast(std::span<const int32_t> ranks, int32_t root_rank, std::span<std::byte> data) = 0;
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
// on error the arena's contents are undefined. `ticks` is incremented per piece. The exchange may be null when no shared read
// has several ranks. Once a rank of a shared read failed, all of them fail and name its reason; none waits for it.
StatusOr<LoadReport> load_weights(const std::vector<WeightTarget>& targets, const LoadPlan& plan, int32_t num_threads,
                                  const std::atomic<bool>& cancelled, std::atomic<uint64_t>& ticks,
                                  const LoadProgress& progress, ComputeDevice& device,
                                  SharedReadExchange* exchange = nullptr);

// Seeded random weights of the right dtypes in place: the same for a seed whatever num_threads is. Values depend on where an
// element is in the checkpoint (tensor, expert, row, column), so the shards of any layout are those of one whole model.
// Matrices have about unit gain (standard deviation 1 / sqrt(columns of the whole)), gains of norms are 1, other vectors small.
// kInvalidArgument when a weight's sources do not fill it.
StatusOr<LoadReport> load_dummy_weights(const std::vector<WeightTarget>& targets, uint64_t seed, int32_t num_threads,
                                        const std::atomic<bool>& cancelled, std::atomic<uint64_t>& ticks,
                                        const LoadProgress& progress, ComputeDevice& device);

}  // namespace moesaic
