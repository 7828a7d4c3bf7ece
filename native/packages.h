// Kernel packages: shared libraries opened once per process and never closed, since kernels may be in use on any thread.
#pragma once

#include <string>
#include <vector>

#include "moesaic/kernel.h"
#include "status.h"

namespace moesaic {

struct KernelPackage {
  std::string path;
  std::string name;
  std::string version;
  std::vector<const mk_kernel*> kernels;  // in the package's order of preference, longer sequences first
};

// Opens the library, checks its ABI version and every table in it, and remembers it by path. `path` is absolute. Any thread.
// Errors: not_found, failed_precondition (not a kernel package, or of another ABI version).
StatusOr<const KernelPackage*> open_package(const std::string& path);
StatusOr<std::vector<const KernelPackage*>> open_packages(const std::vector<std::string>& paths);

}  // namespace moesaic
