#include "cuda_driver.h"

#include <dlfcn.h>

#include <string>

#include "text.h"

namespace moesaic {
namespace {

constexpr int kLowestVersion = 12000;

// Finds every function, or says which one is not there.
Status find_functions(void* library, CudaDriver& driver) {
  Status status;
  const auto find = [&](auto& function, const char* name) {
    void* symbol = dlsym(library, name);
    if (symbol == nullptr && status.ok())
      status = Status(Code::kFailedPrecondition,
                      text("the CUDA driver has no ", name, ": it is too old; install driver 525 or newer"));
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
  };
  find(driver.init, "cuInit");
  find(driver.get_version, "cuDriverGetVersion");
  find(driver.get_error_name, "cuGetErrorName");
  find(driver.get_error_string, "cuGetErrorString");
  find(driver.device_get_count, "cuDeviceGetCount");
  find(driver.device_get, "cuDeviceGet");
  find(driver.device_get_name, "cuDeviceGetName");
  find(driver.device_get_attribute, "cuDeviceGetAttribute");
  find(driver.device_total_mem, "cuDeviceTotalMem_v2");
  find(driver.primary_context_retain, "cuDevicePrimaryCtxRetain");
  find(driver.primary_context_release, "cuDevicePrimaryCtxRelease_v2");
  find(driver.context_set_current, "cuCtxSetCurrent");
  find(driver.context_set_limit, "cuCtxSetLimit");
  find(driver.mem_get_info, "cuMemGetInfo_v2");
  find(driver.mem_alloc, "cuMemAlloc_v2");
  find(driver.mem_free, "cuMemFree_v2");
  find(driver.mem_host_alloc, "cuMemHostAlloc");
  find(driver.mem_free_host, "cuMemFreeHost");
  find(driver.mem_set_async, "cuMemsetD8Async");
  find(driver.copy_to_device_async, "cuMemcpyHtoDAsync_v2");
  find(driver.copy_to_host_async, "cuMemcpyDtoHAsync_v2");
  find(driver.copy_on_device_async, "cuMemcpyDtoDAsync_v2");
  find(driver.stream_create, "cuStreamCreate");
  find(driver.stream_destroy, "cuStreamDestroy_v2");
  find(driver.stream_synchronize, "cuStreamSynchronize");
  find(driver.stream_wait_value, "cuStreamWaitValue32_v2");
  find(driver.stream_begin_capture, "cuStreamBeginCapture_v2");
  find(driver.stream_end_capture, "cuStreamEndCapture");
  find(driver.event_create, "cuEventCreate");
  find(driver.event_destroy, "cuEventDestroy_v2");
  find(driver.event_record, "cuEventRecord");
  find(driver.event_synchronize, "cuEventSynchronize");
  find(driver.event_elapsed_time, "cuEventElapsedTime");
  find(driver.graph_instantiate, "cuGraphInstantiateWithFlags");
  find(driver.graph_launch, "cuGraphLaunch");
  find(driver.graph_exec_destroy, "cuGraphExecDestroy");
  find(driver.graph_destroy, "cuGraphDestroy");
  return status;
}

StatusOr<CudaDriver> open_driver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return Status(Code::kFailedPrecondition,
                  "there is no CUDA driver (libcuda.so.1) on this machine; install NVIDIA's driver, or use device cpu");
  CudaDriver driver{};
  if (Status status = find_functions(library, driver); !status.ok()) return status;
  if (Status status = driver.check(driver.init(0), "starting the CUDA driver"); !status.ok())
    return Status(Code::kFailedPrecondition, status.message());
  int version = 0;
  if (Status status = driver.check(driver.get_version(&version), "asking the driver's version"); !status.ok()) return status;
  if (version < kLowestVersion)
    return Status(Code::kFailedPrecondition, text("the CUDA driver serves CUDA ", version / 1000, ".", version % 1000 / 10,
                                                  ", wanted is 12.0; install driver 525 or newer"));
  return driver;
}

}  // namespace

StatusOr<const CudaDriver*> CudaDriver::get() {
  // A machine does not get a driver while a process runs.
  static const StatusOr<CudaDriver> driver = open_driver();
  if (!driver.ok()) return driver.status();
  return &driver.value();
}

Status CudaDriver::check(CuResult result, const char* what) const {
  if (result == 0) return {};
  const char* name = nullptr;
  const char* words = nullptr;
  get_error_name(result, &name);
  get_error_string(result, &words);
  constexpr CuResult kOutOfMemory = 2;
  const Code code = result == kOutOfMemory ? Code::kResourceExhausted : Code::kInternal;
  return Status(code, text(what, " failed: ", words == nullptr ? "unknown error" : words, " (",
                           name == nullptr ? "?" : name, ", ", result, ")"));
}

}  // namespace moesaic
