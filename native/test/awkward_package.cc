// awkward: a kernel package for the engine's own tests. It offers what real packages rarely do: a sequence that leaves out an
// intermediate, layouts that disagree about one weight, and a kernel that fails when it is launched.
#include <cstdio>

#include "moesaic/kernel.h"

namespace {

int32_t always(const mk_device*, const mk_op_instance*, int32_t) { return 1; }

int64_t packed_bytes(const mk_weight_desc* desc) {
  return (int64_t{desc->num_experts} * desc->rows * desc->cols * 2 + 63) / 64 * 64;
}

mk_status pack_nothing(const mk_pack_args*, mk_stream, mk_error*) { return MK_OK; }

mk_status fail(const void* const*, int32_t, void*, void*, mk_stream, mk_error* error) {
  std::snprintf(error->message, sizeof(error->message), "this kernel always fails");
  return MK_INVALID_ARGUMENT;
}

int64_t some_workspace(const mk_device*, const mk_op_instance*, int32_t) { return 1000; }
int64_t some_scratch(const mk_device*, const mk_op_instance*, int32_t) { return 100; }

const mk_packing kEmbedPacking = {sizeof(mk_packing), "awkward_embed", 3, packed_bytes, pack_nothing};
const mk_packing kLinearPacking = {sizeof(mk_packing), "awkward_linear", 5, packed_bytes, pack_nothing};

const mk_op kEmbed[] = {MK_OP_EMBED};
const mk_op kNormLinear[] = {MK_OP_RMS_NORM, MK_OP_LINEAR};
const mk_op kEncode[] = {MK_OP_MXFP4_ENCODE};

const mk_kernel kernels[] = {
    {sizeof(mk_kernel), "embed", kEmbed, 1, always, nullptr, nullptr, &kEmbedPacking, fail},
    {sizeof(mk_kernel), "norm_linear", kNormLinear, 2, always, some_workspace, some_scratch, &kLinearPacking, fail},
    {sizeof(mk_kernel), "encode", kEncode, 1, always, nullptr, nullptr, nullptr, fail},
};
const mk_kernel* const kKernels[] = {&kernels[0], &kernels[1], &kernels[2]};
// Built twice; the other build claims another version of the ABI.
#ifndef AWKWARD_ABI_VERSION
#define AWKWARD_ABI_VERSION MK_ABI_VERSION
#endif
const mk_package kPackage = {sizeof(mk_package), AWKWARD_ABI_VERSION, "awkward", "1.0.0", kKernels, 3};

}  // namespace

const mk_package* mk_get_package(uint32_t) { return &kPackage; }
