// offer: what package.cc lists. A kernel of this package runs where the CPU has its instruction set.
#pragma once

#include "moesaic/kernel.h"

namespace moesaic::cpu {

extern const mk_packing kPackingBf16, kPackingBf16Experts, kPackingMxfp4Experts, kPackingRowMajor;

extern const mk_kernel kBeginStep, kRopeTable, kEmbed, kRmsNorm, kRopeKvWrite, kCombine, kGatherRows, kMxfp4Decode,
    kMxfp4Encode, kAdd;
extern const mk_kernel kLinearAvx2, kLinearAvx512;
extern const mk_kernel kLinearRopeKvWriteAvx2, kLinearRopeKvWriteAvx512;
extern const mk_kernel kAttentionAvx2, kAttentionAvx512;
extern const mk_kernel kRouterAvx2, kRouterAvx512;
extern const mk_kernel kExpertsBf16Avx2, kExpertsBf16Avx512;
extern const mk_kernel kExpertsMxfp4Avx2, kExpertsMxfp4Avx512;

static inline bool has_features(const mk_device* device, uint32_t features) {
  return device->kind == MK_DEVICE_CPU && (device->cpu_features & features) == features;
}

// The args of part `index`, which the caller knows to be of this type.
template <typename Args>
static const Args& part(const mk_op_instance* parts, int index) {
  return *static_cast<const Args*>(parts[index].args);
}

}  // namespace moesaic::cpu
