// CudaKernel: the mk_kernel of one op, made of what differs between ops. What a launch refuses is checked on the host, from the
// constants and bounds; device memory is never looked at.
#pragma once

#include <cuda_runtime.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <type_traits>

#include "moesaic/kernel.h"

namespace moesaic::cuda {

constexpr int32_t kLowestComputeCapability = 80;

inline mk_status refuse(mk_error* error, mk_status status, const char* format, ...) {
  if (error != nullptr) {
    va_list values;
    va_start(values, format);
    std::vsnprintf(error->message, sizeof(error->message), format, values);
    va_end(values);
  }
  return status;
}

// After every launch: an error of this or, being sticky, of an earlier kernel.
inline mk_status launched(mk_error* error) {
  const cudaError_t result = cudaGetLastError();
  if (result == cudaSuccess) return MK_OK;
  return refuse(error, MK_INTERNAL, "%s: %s", cudaGetErrorName(result), cudaGetErrorString(result));
}

inline cudaStream_t stream_of(mk_stream stream) { return static_cast<cudaStream_t>(const_cast<void*>(stream)); }

// Of the current device.
inline int32_t device_attribute(cudaDeviceAttr attribute, int32_t likely) {
  int device = 0, value = 0;
  const bool is_known = cudaGetDevice(&device) == cudaSuccess && cudaDeviceGetAttribute(&value, attribute, device) == cudaSuccess;
  return is_known && value > 0 ? value : likely;
}

// For sizes of grids.
inline int32_t num_multiprocessors() { return device_attribute(cudaDevAttrMultiProcessorCount, 132); }

// That a block may have; compute capability 8.6 and 8.9 have the least.
inline int32_t most_shared_bytes() { return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, 99 * 1024); }

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// kShapes(args, device)                 whether the constants fit and this kernel wants them; looks at no pointer
// kRun(args, workspace, scratch, stream, error)  queues the work: status
// kWorkspaceBytes(args, device), kScratchBytes(args, device): leave them out for none
template <mk_op kOp, class Args, auto kShapes, auto kRun, auto kWorkspaceBytes = nullptr, auto kScratchBytes = nullptr>
struct CudaKernel {
  static constexpr bool kHasWorkspace = !std::is_null_pointer_v<std::remove_cv_t<decltype(kWorkspaceBytes)>>;
  static constexpr bool kHasScratch = !std::is_null_pointer_v<std::remove_cv_t<decltype(kScratchBytes)>>;
  static constexpr mk_op kOps[] = {kOp};

  static constexpr mk_kernel offer(const char* name, const mk_packing* packing = nullptr) {
    return {sizeof(mk_kernel), name, kOps, 1, supports, kHasWorkspace ? workspace_bytes : nullptr,
            kHasScratch ? scratch_bytes : nullptr, packing, launch};
  }

 private:
  static int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
    if (device == nullptr || device->kind != MK_DEVICE_CUDA || parts == nullptr) return 0;
    if (device->compute_capability < kLowestComputeCapability) return 0;
    if (num_parts != 1 || parts[0].op != kOp || parts[0].args == nullptr) return 0;
    const Args& args = *static_cast<const Args*>(parts[0].args);
    return args.struct_size >= sizeof(Args) && kShapes(args, *device) ? 1 : 0;
  }

  static int64_t workspace_bytes(const mk_device* device, const mk_op_instance* parts, int32_t) {
    if constexpr (kHasWorkspace) return kWorkspaceBytes(*static_cast<const Args*>(parts[0].args), *device);
    return 0;
  }

  static int64_t scratch_bytes(const mk_device* device, const mk_op_instance* parts, int32_t) {
    if constexpr (kHasScratch) return kScratchBytes(*static_cast<const Args*>(parts[0].args), *device);
    return 0;
  }

  static mk_status launch(const void* const* parts, int32_t num_parts, void* workspace, void* scratch, mk_stream stream,
                          mk_error* error) {
    if (parts == nullptr || num_parts != 1 || parts[0] == nullptr)
      return refuse(error, MK_INVALID_ARGUMENT, "%d parts, want 1", num_parts);
    const Args& args = *static_cast<const Args*>(parts[0]);
    if (args.struct_size < sizeof(Args))
      return refuse(error, MK_INVALID_ARGUMENT, "args have %u bytes, want %zu", args.struct_size, sizeof(Args));
    if ((kHasWorkspace && workspace == nullptr) || (kHasScratch && scratch == nullptr))
      return refuse(error, MK_RESOURCE_EXHAUSTED, "workspace or scratch is NULL");
    const mk_status status = kRun(args, workspace, scratch, stream_of(stream), error);
    return status == MK_OK ? launched(error) : status;
  }
};

}  // namespace moesaic::cuda
