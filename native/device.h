// What this machine offers: CPU features, cores, memory that may be used, and how fast memory reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moesaic/kernel.h"

namespace moesaic {

struct DeviceInfo {
  std::string name;                   // such as "AMD EPYC 9354"
  int32_t num_cores = 1;              // cores this process may run on (affinity, cgroup quota rounded up)
  uint32_t cpu_features = 0;          // MK_CPU_*
  std::vector<std::string> features;  // the same by name: "avx2", "avx512", "avx512_vnni", "avx512_bf16"
  int64_t memory_bytes = 0;           // min(physical, cgroup v1 and v2 limits of this process, RLIMIT_AS)
};

DeviceInfo probe_device();

// As DeviceInfo names them.
std::vector<std::string> feature_names(uint32_t features);

// Best of `repeats` passes of sequential reads by num_threads threads, bytes per second. Touches the memory first. Blocks.
// Returns 0 when `bytes` cannot be allocated.
double measure_read_bandwidth(int32_t num_threads, int64_t bytes, int32_t repeats);

}  // namespace moesaic
