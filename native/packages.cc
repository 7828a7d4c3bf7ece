#include "packages.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "text.h"

namespace moesaic {
namespace {

constexpr int32_t kMaxKernels = 4096;
constexpr int32_t kMaxOpsPerKernel = 64;

Status refuse(const std::string& path, const std::string& why) {
  return Status(Code::kFailedPrecondition, text("kernel package ", path, ": ", why));
}

// What is wrong with a kernel's table, or "".
std::string kernel_fault(const mk_kernel* kernel) {
  if (kernel == nullptr || kernel->struct_size < sizeof(mk_kernel)) return "is missing or too small";
  if (kernel->name == nullptr || kernel->ops == nullptr) return "has no name or no ops";
  if (kernel->num_ops < 1 || kernel->num_ops > kMaxOpsPerKernel) return text("has ", kernel->num_ops, " ops");
  for (int32_t i = 0; i < kernel->num_ops; ++i)
    if (kernel->ops[i] < 0 || kernel->ops[i] >= MK_OP_COUNT) return text("has an unknown op ", int{kernel->ops[i]});
  if (kernel->supports == nullptr || kernel->launch == nullptr) return "lacks supports or launch";
  const mk_packing* packing = kernel->packing;
  if (packing == nullptr) return "";
  if (packing->struct_size < sizeof(mk_packing) || packing->layout_id == nullptr || packing->row_granule < 1 ||
      packing->packed_bytes == nullptr || packing->pack == nullptr)
    return "has an incomplete packing";
  return "";
}

StatusOr<KernelPackage> describe(const std::string& path, const mk_package* table) {
  if (table == nullptr) return refuse(path, text("does not serve kernel ABI version ", MK_ABI_VERSION));
  if (table->abi_version != MK_ABI_VERSION)
    return refuse(path, text("was built for kernel ABI version ", table->abi_version, ", this engine wants ", MK_ABI_VERSION));
  if (table->struct_size < sizeof(mk_package) || table->name == nullptr || table->version == nullptr ||
      table->kernels == nullptr || table->num_kernels < 1 || table->num_kernels > kMaxKernels)
    return refuse(path, "its table of kernels is incomplete");

  KernelPackage package{path, table->name, table->version, {}};
  for (int32_t i = 0; i < table->num_kernels; ++i) {
    const std::string fault = kernel_fault(table->kernels[i]);
    if (!fault.empty()) return refuse(path, text("kernel ", i, " ", fault));
    package.kernels.push_back(table->kernels[i]);
  }
  std::stable_sort(package.kernels.begin(), package.kernels.end(),
                   [](const mk_kernel* a, const mk_kernel* b) { return a->num_ops > b->num_ops; });
  return package;
}

StatusOr<KernelPackage> load(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_LOCAL | RTLD_NOW);
  if (library == nullptr) return refuse(path, text("cannot be loaded: ", dlerror()));
  const auto get_package = reinterpret_cast<mk_get_package_fn>(dlsym(library, "mk_get_package"));
  if (get_package == nullptr) {
    dlclose(library);
    return refuse(path, "exports no mk_get_package: not a kernel package");
  }
  StatusOr<KernelPackage> package = describe(path, get_package(MK_ABI_VERSION));
  if (!package.ok()) dlclose(library);
  return package;
}

}  // namespace

StatusOr<const KernelPackage*> open_package(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<const KernelPackage>> packages;
  // A bare name would be looked up in the system's library folders.
  if (path.empty() || path[0] != '/')
    return Status(Code::kInvalidArgument, text("kernel package \"", path, "\": expected an absolute path"));

  const std::lock_guard lock(mutex);
  if (const auto found = packages.find(path); found != packages.end()) return found->second.get();
  struct stat file{};
  if (stat(path.c_str(), &file) != 0) return Status(Code::kNotFound, text("kernel package ", path, ": no such file"));
  if (!S_ISREG(file.st_mode)) return refuse(path, "is not a file");
  StatusOr<KernelPackage> package = load(path);
  if (!package.ok()) return package.status();
  auto& entry = packages[path] = std::make_unique<const KernelPackage>(std::move(package.value()));
  return entry.get();
}

StatusOr<std::vector<const KernelPackage*>> open_packages(const std::vector<std::string>& paths) {
  std::vector<const KernelPackage*> packages;
  for (const std::string& path : paths) {
    StatusOr<const KernelPackage*> package = open_package(path);
    if (!package.ok()) return package.status();
    packages.push_back(package.value());
  }
  return packages;
}

}  // namespace moesaic
