// What the kernels of packages could do for a program, whichever of them would get its ops.
#pragma once

#include <string>
#include <vector>

#include "binder.h"
#include "packages.h"
#include "program.h"
#include "status.h"

namespace moesaic {

struct SurveyedKernel {
  // Of several places in a program that counts which says most of the kernel: the last of these.
  enum class State { kUnused, kUnsupported, kOtherDevice, kRefused, kRuns };
  const KernelPackage* package;
  const mk_kernel* kernel;
  State state = State::kUnused;  // no op of the program is of its kind
  std::string reason;  // unless it runs
};

// Asks every kernel of options.packages, in their order, about every place in the program where its ops stand. Errors: as
// check_program and open_package.
StatusOr<std::vector<SurveyedKernel>> survey_kernels(const RankProgram& program, const EngineOptions& options,
                                                     const mk_device& device);

}  // namespace moesaic
