// What the tests of the cpu package share: the instruction sets that this machine has.
#pragma once

#include <algorithm>
#include <vector>

#include "harness.h"

namespace moesaic::test {

// Feature sets that make the package choose its AVX2 and its AVX-512 kernels, as far as they run here.
inline std::vector<uint32_t> instruction_sets() {
  std::vector<uint32_t> sets;
  if ((host_features() & MK_CPU_AVX2) != 0) sets.push_back(MK_CPU_AVX2);
  if ((host_features() & MK_CPU_AVX512) != 0) sets.push_back(MK_CPU_AVX2 | MK_CPU_AVX512);
  expect(!sets.empty(), "this machine has no AVX2: the cpu package cannot run");
  return sets;
}

// Rows [first, first + count) on their own.
template <class T>
Tensor<T> rows_of(const Tensor<T>& from, int32_t first, int32_t count) {
  Tensor<T> rows(count, from.cols());
  std::copy_n(&from.at(first, 0), rows.size(), rows.data());
  return rows;
}

}  // namespace moesaic::test
