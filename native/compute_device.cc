#include "compute_device.h"

#include "binder.h"
#include "cuda_device.h"
#include "host_device.h"

namespace moesaic {
namespace {

mk_precision as_kernel(Precision precision) { return precision == Precision::kFast ? MK_FAST : MK_EXACT; }

}  // namespace

StatusOr<std::unique_ptr<ComputeDevice>> ComputeDevice::open(Precision precision, const EngineOptions& options,
                                                             std::atomic<uint64_t>* ticks) {
  if (options.device == MK_DEVICE_CUDA) {
    StatusOr<std::unique_ptr<CudaDevice>> device = CudaDevice::open_first(as_kernel(precision), options.is_deterministic);
    if (!device.ok()) return device.status();
    return std::unique_ptr<ComputeDevice>(std::move(device.value()));
  }
  return std::unique_ptr<ComputeDevice>(std::make_unique<HostDevice>(options.num_threads, ticks));
}

StatusOr<mk_device> ComputeDevice::describe(Precision precision, const EngineOptions& options) {
  if (options.device != MK_DEVICE_CUDA) return describe_host(options.num_threads);
  StatusOr<std::vector<CudaDeviceInfo>> gpus = list_cuda_devices();
  if (!gpus.ok()) return gpus.status();
  return describe_cuda(gpus.value().front(), as_kernel(precision), options.is_deterministic);
}

}  // namespace moesaic
