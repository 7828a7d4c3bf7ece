// ComputeDevice: where an engine's memory lies and where its kernels run. The CPU's does at once what it is told, in the memory
// that everybody sees; a GPU's queues it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "moesaic/kernel.h"
#include "piece_stager.h"
#include "status.h"

namespace moesaic {

struct EngineOptions;
enum class Precision;

// Steps that one captured graph serves. Launches of a key have the same bounds and the same kernels.
struct GraphKey {
  int32_t placement;
  int32_t tokens;
  int32_t logits_rows;
  int32_t seq_len;
  bool operator==(const GraphKey&) const = default;
};

// What to call, without owning it: a std::function may take memory from the heap, which steps do not.
class Launches {
 public:
  template <typename Function>
  explicit Launches(const Function& function)
      : object_(&function), call_([](const void* object) { return (*static_cast<const Function*>(object))(); }) {}
  Status operator()() const { return call_(object_); }

 private:
  const void* object_;
  Status (*call_)(const void* object);
};

class ComputeDevice {
 public:
  // `ticks`, which outlives the device, is incremented within long ops where the device can say how far it is.
  // Error: failed_precondition when the options name a device that is not there.
  static StatusOr<std::unique_ptr<ComputeDevice>> open(Precision precision, const EngineOptions& options,
                                                       std::atomic<uint64_t>* ticks);
  // What `open` would give kernels to know, without opening it.
  static StatusOr<mk_device> describe(Precision precision, const EngineOptions& options);
  virtual ~ComputeDevice() = default;

  virtual const mk_device& properties() const = 0;
  virtual const std::string& name() const = 0;
  // What the arenas may take.
  virtual StatusOr<int64_t> memory_bytes() const = 0;
  // Host code may use addresses of the device's memory: nothing has to be copied.
  virtual bool shares_memory() const = 0;

  virtual StatusOr<Arena> allocate(const char* what, int64_t bytes, bool huge_pages) = 0;
  // Host memory to copy from and to.
  virtual StatusOr<Arena> allocate_host(const char* what, int64_t bytes) = 0;

  // Any thread that uses the device calls this first.
  virtual Status enter_thread() = 0;
  virtual mk_stream stream() = 0;
  // Both are queued; host memory stays as it is until finish.
  virtual Status upload(void* device, const void* host, int64_t bytes) = 0;
  virtual Status download(void* host, const void* device, int64_t bytes) = 0;
  // Waits for all that is queued.
  virtual Status finish() = 0;
  // Staging memory of one loading thread, which this call enters. Not while steps run.
  virtual StatusOr<std::unique_ptr<PieceStager>> make_stager(StagingBytes bytes) = 0;
  // Queues what `launches` launches. With a key, the work is captured on the key's second use and replayed from then on:
  // `launches` must launch the same for equal keys.
  virtual Status run(const GraphKey* key, const Launches& launches) = 0;

  // Remembers when all that is queued so far is done. What comes after the first mark may be held back until `finish`.
  virtual Status mark() = 0;
  // After `finish`: the microseconds from each mark to the next; forgets the marks.
  virtual StatusOr<std::vector<double>> read_marks() = 0;
};

}  // namespace moesaic
