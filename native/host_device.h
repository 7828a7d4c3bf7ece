// HostDevice: the CPU as a compute device. Its stream is a pool of threads.
#pragma once

#include <chrono>
#include <vector>

#include "compute_device.h"
#include "device.h"
#include "thread_pool.h"

namespace moesaic {

class HostDevice final : public ComputeDevice {
 public:
  HostDevice(int32_t num_threads, std::atomic<uint64_t>* ticks);

  const mk_device& properties() const override { return properties_; }
  const std::string& name() const override { return info_.name; }
  StatusOr<int64_t> memory_bytes() const override { return info_.memory_bytes; }
  bool shares_memory() const override { return true; }
  StatusOr<Arena> allocate(const char* what, int64_t bytes, bool huge_pages) override {
    return Arena::map(what, bytes, huge_pages);
  }
  StatusOr<Arena> allocate_host(const char* what, int64_t bytes) override { return Arena::map(what, bytes, false); }
  Status enter_thread() override { return {}; }
  mk_stream stream() override { return pool_.stream(); }
  Status upload(void* device, const void* host, int64_t bytes) override;
  Status download(void* host, const void* device, int64_t bytes) override;
  Status finish() override { return {}; }
  StatusOr<std::unique_ptr<PieceStager>> make_stager(StagingBytes bytes) override;
  Status run(const GraphKey*, const Launches& launches) override { return launches(); }
  Status mark() override;
  StatusOr<std::vector<double>> read_marks() override;

 private:
  const DeviceInfo info_;
  ThreadPool pool_;
  mk_device properties_;
  std::vector<std::chrono::steady_clock::time_point> marks_;
};

// What kernels are told of this machine's CPU.
mk_device describe_host(int32_t num_threads);

}  // namespace moesaic
