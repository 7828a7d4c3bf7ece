// experts, fast, weights as bf16 in layout rowmajor_bf16.
#include "experts_fast.cuh"
#include "kernels.h"
#include "packing.h"

namespace moesaic::cuda {

extern const mk_kernel experts_bf16_deterministic_kernel;

namespace {

struct Bf16Weights {
  static constexpr bool kHasTiles = false;
  using Queue = Bf16Queue<false>;
  using PairedQueue = Bf16Queue<true>;
  using Stage = Bf16Stage<false>;
  using PairedStage = Bf16Stage<true>;
};

}  // namespace

const mk_kernel experts_bf16_fast_kernel =
    offer_fast_experts<Bf16Weights, MK_BF16, false>("experts_bf16_fast", &rowmajor_bf16);
const mk_kernel experts_bf16_deterministic_kernel =
    offer_fast_experts<Bf16Weights, MK_BF16, true>("experts_bf16_deterministic", &rowmajor_bf16);

}  // namespace moesaic::cuda
