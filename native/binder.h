// Binder: chooses a kernel for every op and thereby the layout of every weight and the size of every arena.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "moesaic/kernel.h"
#include "packages.h"
#include "program.h"
#include "status.h"
#include "storage.h"

namespace moesaic {

struct EngineOptions {
  std::vector<std::string> packages;  // paths in order of preference
  int32_t num_threads = 1;
  mk_device_kind device = MK_DEVICE_CPU;
  bool is_deterministic = true;  // of a device that has to be told
};

// What was asked for an op before another kernel took it, and why it did not get it. No kernel: the package has none for the op.
struct Refusal {
  const KernelPackage* package;
  const mk_kernel* kernel;
  std::string reason;
};

// One kernel and the ops [first_op, first_op + num_ops) it computes; or one collective, which has no kernel.
struct BoundKernel {
  const KernelPackage* package = nullptr;
  const mk_kernel* kernel = nullptr;
  int32_t first_op = 0;
  int32_t num_ops = 1;
  size_t scratch = 0;  // index into KernelMemory::scratch_bytes
  bool logits_only = false;  // works on logits rows alone: nothing to do in a step that wants none
  std::vector<Refusal> refused;  // in the order they were asked
};

struct BoundWeight {
  const mk_packing* packing = nullptr;  // null for vectors
  mk_weight_desc desc{};
  int64_t offset = 0;  // in the weights arena
  int64_t bytes = 0;
};

// A program that can run: sizes are exactly what an engine takes.
struct BoundProgram {
  std::array<std::vector<BoundKernel>, kNumPlacements> kernels;  // of each op list
  BoundKernel begin_step;
  BoundKernel full_sample;  // sample over the whole vocabulary, of a program that holds a part of it
  std::vector<BoundWeight> weights;
  KernelMemory kernel_memory;
  int64_t weights_bytes = 0;
  int64_t kv_block_bytes = 0;
  int64_t kv_bytes = 0;
  int64_t workspace_bytes = 0;
  int64_t exchange_bytes = 0;  // of workspace_bytes: what collectives pack and unpack
};

// Checks the program, opens the packages, binds and sizes. Allocates no arena. Errors: as check_program and open_package, and
// unimplemented when an op has no kernel, with what each package said.
StatusOr<BoundProgram> bind_program(const RankProgram& program, const EngineOptions& options, const mk_device& device);

}  // namespace moesaic
