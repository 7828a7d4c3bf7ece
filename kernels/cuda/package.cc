// The cuda package: every op of kernel.h for NVIDIA GPUs from compute capability 8.0 on. Links the CUDA runtime statically and
// needs nothing else to load; without a driver each supports() says no.
#include "kernels.h"

namespace moesaic::cuda {
namespace {

const mk_kernel* const kKernels[] = {
    &begin_step_kernel,
    &rope_table_kernel,
    &embed_kernel,
    &rms_norm_kernel,
    &add_kernel,
    &linear_fast_kernel,
    &linear_deterministic_kernel,
    &linear_exact_kernel,
    &rope_kv_write_kernel,
    &attention_fast_kernel,
    &attention_exact_kernel,
    &router_kernel,
    &experts_bf16_fast_kernel,
    &experts_bf16_deterministic_kernel,
    &experts_bf16_exact_kernel,
    &experts_mxfp4_fast_kernel,
    &experts_mxfp4_deterministic_kernel,
    &experts_mxfp4_exact_kernel,
    &combine_kernel,
    &gather_rows_kernel,
    &sample_kernel,
    &sample_shard_kernel,
    &mxfp4_decode_kernel,
    &mxfp4_encode_kernel,
};

const mk_package kPackage = {
    sizeof(mk_package), MK_ABI_VERSION, "cuda", "0.1.0", kKernels, sizeof(kKernels) / sizeof(kKernels[0])};

}  // namespace
}  // namespace moesaic::cuda

const mk_package* mk_get_package(uint32_t host_abi_version) {
  return host_abi_version == MK_ABI_VERSION ? &moesaic::cuda::kPackage : nullptr;
}
