// CudaDevice: one NVIDIA GPU. Work goes to one stream; steps that come again are captured into graphs.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "compute_device.h"
#include "cuda_driver.h"
#include "cuda_marks.h"

namespace moesaic {

struct CudaDeviceInfo {
  std::string name;
  int32_t compute_capability = 0;  // 10 * major + minor
  int32_t num_multiprocessors = 0;
  int64_t shared_memory_bytes = 0;  // opt-in, per block
  int64_t memory_bytes = 0;
};

// The GPUs that CUDA_VISIBLE_DEVICES leaves. Error: failed_precondition with what is missing.
StatusOr<std::vector<CudaDeviceInfo>> list_cuda_devices();

// Best of `repeats`: bytes read and written per second when the first GPU copies `bytes` of its memory. Blocks.
StatusOr<double> measure_cuda_copy(int64_t bytes, int32_t repeats);

// Best of `repeats`: bytes per second from pinned host memory to the first GPU. Blocks.
StatusOr<double> measure_host_to_cuda(int64_t bytes, int32_t repeats);

// What kernels are told of it.
mk_device describe_cuda(const CudaDeviceInfo& info, mk_precision precision, bool is_deterministic);

class CudaDevice final : public ComputeDevice {
 public:
  static StatusOr<std::unique_ptr<CudaDevice>> open_first(mk_precision precision, bool is_deterministic);
  ~CudaDevice() override;

  const mk_device& properties() const override { return properties_; }
  const std::string& name() const override { return info_.name; }
  StatusOr<int64_t> memory_bytes() const override;
  bool shares_memory() const override { return false; }
  StatusOr<Arena> allocate(const char* what, int64_t bytes, bool huge_pages) override;
  StatusOr<Arena> allocate_host(const char* what, int64_t bytes) override;
  Status enter_thread() override;
  mk_stream stream() override { return stream_; }
  Status upload(void* device, const void* host, int64_t bytes) override;
  Status download(void* host, const void* device, int64_t bytes) override;
  Status finish() override;
  StatusOr<std::unique_ptr<PieceStager>> make_stager(StagingBytes bytes) override;
  // Copies within the device's memory, queued.
  Status copy(void* to, const void* from, int64_t bytes);
  Status run(const GraphKey* key, const Launches& launches) override;
  Status mark() override;
  StatusOr<std::vector<double>> read_marks() override;

  // For threads that load: streams and events of their own.
  const CudaDriver& driver() const { return driver_; }

 private:
  // A key that was used; `exec` is null until its second use.
  struct Graph {
    GraphKey key;
    bool is_new = true;
    CuGraphExec* exec = nullptr;
  };

  CudaDevice(const CudaDriver& driver, CuDeviceId id, CudaDeviceInfo info, mk_device properties)
      : driver_(driver), id_(id), info_(std::move(info)), properties_(properties) {}
  Status begin();
  Graph& find_graph(const GraphKey& key);
  Status capture(Graph& graph, const Launches& launches);

  const CudaDriver& driver_;
  const CuDeviceId id_;
  const CudaDeviceInfo info_;
  const mk_device properties_;
  CuContext* context_ = nullptr;
  CuStream* stream_ = nullptr;
  std::list<Graph> graphs_;  // latest use first
  std::unique_ptr<CudaMarks> marks_;  // from the first mark on
};

}  // namespace moesaic
