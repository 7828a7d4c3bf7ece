// The reference package: every op of kernel.h by the obvious loop. Always right, never fast; what the others are tested
// against and what runs where no other package has a kernel.
#include "kernels.h"

namespace moesaic::reference {

namespace {

const mk_kernel* const kKernels[] = {
    &rope_table_kernel,  &embed_kernel,  &rms_norm_kernel,     &linear_kernel,        &rope_kv_write_kernel,
    &attention_kernel,   &router_kernel, &experts_bf16_kernel, &experts_mxfp4_kernel, &combine_kernel,
    &gather_rows_kernel, &sample_kernel, &mxfp4_decode_kernel, &mxfp4_encode_kernel,  &add_kernel,
    &sample_shard_kernel, &begin_step_kernel};

const mk_package kPackage = {
    sizeof(mk_package), MK_ABI_VERSION, "reference", "0.1.0", kKernels, sizeof(kKernels) / sizeof(kKernels[0])};

}  // namespace

}  // namespace moesaic::reference

const mk_package* mk_get_package(uint32_t host_abi_version) {
  return host_abi_version == MK_ABI_VERSION ? &moesaic::reference::kPackage : nullptr;
}
