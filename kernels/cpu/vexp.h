// vexp: exp of sixteen lanes. Over the F16 of whichever simd_*.h was included before.
//   x = n ln 2 + r with |r| <= ln 2 / 2, then the Taylor polynomial of degree 7 (its remainder is a tenth of an ulp) times 2^n.
//   At most 1 ulp over all float32 inputs (measured against float64); exp(0) is exactly 1, exp(-inf) exactly 0, NaN stays.
#pragma once

namespace moesaic::cpu::MK_ISA {
namespace {

MK_INLINE F16 exp(F16 x) {
  // Below -104 the result rounds to 0, above 89 to infinity; the clamp keeps n in range for scale_by_power.
  x = min(set1(89.0f), max(set1(-104.0f), x));
  const F16 n = round_to_integer(mul(x, set1(1.44269504f)));
  F16 r = fma(n, set1(-0.693147182f), x);
  r = fma(n, set1(1.90465421e-9f), r);
  F16 y = set1(1.0f / 5040);
  y = fma(y, r, set1(1.0f / 720));
  y = fma(y, r, set1(1.0f / 120));
  y = fma(y, r, set1(1.0f / 24));
  y = fma(y, r, set1(1.0f / 6));
  y = fma(y, r, set1(0.5f));
  y = fma(y, r, set1(1.0f));
  y = fma(y, r, set1(1.0f));
  return scale_by_power(y, n);
}

}  // namespace
}  // namespace moesaic::cpu::MK_ISA
