// experts, fast, weights as MXFP4 in layout cuda_mxfp4_mma16 (e2m1.cuh): half a byte a weight, decoded in registers.
#include "experts_fast.cuh"
#include "kernels.h"
#include "packing.h"

namespace moesaic::cuda {

extern const mk_kernel experts_mxfp4_deterministic_kernel;

namespace {

struct Mxfp4Weights {
  static constexpr bool kHasTiles = true;
  using Queue = Mxfp4Queue;
  using PairedQueue = Mxfp4Queue;
  using Stage = Mxfp4Stage;
  using PairedStage = Mxfp4Stage;
};

}  // namespace

const mk_kernel experts_mxfp4_fast_kernel =
    offer_fast_experts<Mxfp4Weights, MK_MXFP4, false>("experts_mxfp4_fast", &mxfp4_mma16);
const mk_kernel experts_mxfp4_deterministic_kernel =
    offer_fast_experts<Mxfp4Weights, MK_MXFP4, true>("experts_mxfp4_deterministic", &mxfp4_mma16);

}  // namespace moesaic::cuda
