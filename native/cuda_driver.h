// CudaDriver: the part of the CUDA driver API that the engine uses, found in libcuda.so.1 at run time. Nothing of CUDA is
// needed to build the addon, and machines without a driver load it all the same.
// Types and values: CUDA Driver API reference, as of CUDA 12; none of them has changed since 11.3.
#pragma once

#include <cstddef>
#include <cstdint>

#include "status.h"

namespace moesaic {

using CuResult = int;  // 0: success
using CuDeviceId = int;
using CuAddress = unsigned long long;
struct CuContext;
struct CuStream;
struct CuEvent;
struct CuGraph;
struct CuGraphExec;

// Attributes of cuDeviceGetAttribute.
enum CuAttribute : int {
  kCuMultiprocessorCount = 16,
  kCuComputeCapabilityMajor = 75,
  kCuComputeCapabilityMinor = 76,
  kCuSharedMemoryPerBlockOptin = 97,
};

constexpr int kCuLimitStackSize = 0;
constexpr unsigned kCuStreamNonBlocking = 1;
constexpr unsigned kCuEventDisableTiming = 2;
constexpr int kCuCaptureThreadLocal = 1;
constexpr unsigned kCuWaitEqual = 1;

struct CudaDriver {
  // Opens the library once per process and initialises it. Error: failed_precondition with what is missing.
  static StatusOr<const CudaDriver*> get();

  // A failed call as a status: `what` was done, the driver's name and words for it.
  Status check(CuResult result, const char* what) const;

  CuResult (*init)(unsigned flags);
  CuResult (*get_version)(int* version);
  CuResult (*get_error_name)(CuResult result, const char** name);
  CuResult (*get_error_string)(CuResult result, const char** text);
  CuResult (*device_get_count)(int* count);
  CuResult (*device_get)(CuDeviceId* device, int ordinal);
  CuResult (*device_get_name)(char* name, int bytes, CuDeviceId device);
  CuResult (*device_get_attribute)(int* value, int attribute, CuDeviceId device);
  CuResult (*device_total_mem)(size_t* bytes, CuDeviceId device);
  CuResult (*primary_context_retain)(CuContext** context, CuDeviceId device);
  CuResult (*primary_context_release)(CuDeviceId device);
  CuResult (*context_set_current)(CuContext* context);
  CuResult (*context_set_limit)(int limit, size_t value);
  CuResult (*mem_get_info)(size_t* free, size_t* total);
  CuResult (*mem_alloc)(CuAddress* address, size_t bytes);
  CuResult (*mem_free)(CuAddress address);
  CuResult (*mem_host_alloc)(void** host, size_t bytes, unsigned flags);
  CuResult (*mem_free_host)(void* host);
  CuResult (*mem_set_async)(CuAddress address, unsigned char value, size_t bytes, CuStream* stream);
  CuResult (*copy_to_device_async)(CuAddress to, const void* from, size_t bytes, CuStream* stream);
  CuResult (*copy_to_host_async)(void* to, CuAddress from, size_t bytes, CuStream* stream);
  CuResult (*copy_on_device_async)(CuAddress to, CuAddress from, size_t bytes, CuStream* stream);
  CuResult (*stream_create)(CuStream** stream, unsigned flags);
  CuResult (*stream_destroy)(CuStream* stream);
  CuResult (*stream_synchronize)(CuStream* stream);
  CuResult (*stream_wait_value)(CuStream* stream, CuAddress address, uint32_t value, unsigned flags);
  CuResult (*stream_begin_capture)(CuStream* stream, int mode);
  CuResult (*stream_end_capture)(CuStream* stream, CuGraph** graph);
  CuResult (*event_create)(CuEvent** event, unsigned flags);
  CuResult (*event_destroy)(CuEvent* event);
  CuResult (*event_record)(CuEvent* event, CuStream* stream);
  CuResult (*event_synchronize)(CuEvent* event);
  CuResult (*event_elapsed_time)(float* ms, CuEvent* begin, CuEvent* end);
  CuResult (*graph_instantiate)(CuGraphExec** exec, CuGraph* graph, unsigned long long flags);
  CuResult (*graph_launch)(CuGraphExec* exec, CuStream* stream);
  CuResult (*graph_exec_destroy)(CuGraphExec* exec);
  CuResult (*graph_destroy)(CuGraph* graph);
};

}  // namespace moesaic
