// The cpu package: float32 activations and accumulation (precision exact) over AVX-512 or AVX2. Sampling, and what these
// kernels do not support, is left to the reference package.
#include "offer.h"

namespace moesaic::cpu {
namespace {

const mk_kernel* const kKernels[] = {
    // The wider vectors first: the engine takes the first that its CPU supports.
    &kLinearRopeKvWriteAvx512,
    &kLinearRopeKvWriteAvx2,
    &kLinearAvx512,
    &kLinearAvx2,
    &kAttentionAvx512,
    &kAttentionAvx2,
    &kRouterAvx512,
    &kRouterAvx2,
    &kExpertsMxfp4Avx512,
    &kExpertsMxfp4Avx2,
    &kExpertsBf16Avx512,
    &kExpertsBf16Avx2,
    &kBeginStep,
    &kRopeTable,
    &kEmbed,
    &kRmsNorm,
    &kRopeKvWrite,
    &kCombine,
    &kGatherRows,
    &kMxfp4Decode,
    &kMxfp4Encode,
    &kAdd,
};

const mk_package kPackage = {
    sizeof(mk_package), MK_ABI_VERSION, "cpu", "0.1.0", kKernels, sizeof(kKernels) / sizeof(kKernels[0])};

}  // namespace
}  // namespace moesaic::cpu

extern "C" const mk_package* mk_get_package(uint32_t host_abi_version) {
  return host_abi_version == MK_ABI_VERSION ? &moesaic::cpu::kPackage : nullptr;
}
