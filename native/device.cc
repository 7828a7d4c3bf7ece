#include "device.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>
#include <thread>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace moesaic {
namespace {

// One place in the cgroup tree that holds this process, as a folder: limits of its parents up to `mount` apply as well.
struct Cgroup {
  std::string mount;
  std::string path;  // below mount: "" or "/a/b"
};

std::string cpu_name();
uint32_t cpu_features();
int32_t count_cores();
int64_t memory_limit_bytes();

}  // namespace

DeviceInfo probe_device() {
  DeviceInfo info;
  info.name = cpu_name();
  info.num_cores = count_cores();
  info.cpu_features = cpu_features();
  info.features = feature_names(info.cpu_features);
  info.memory_bytes = memory_limit_bytes();
  return info;
}

std::vector<std::string> feature_names(uint32_t features) {
  std::vector<std::string> names;
  if (features & MK_CPU_AVX2) names.emplace_back("avx2");
  if (features & MK_CPU_AVX512) names.emplace_back("avx512");
  if (features & MK_CPU_AVX512_VNNI) names.emplace_back("avx512_vnni");
  if (features & MK_CPU_AVX512_BF16) names.emplace_back("avx512_bf16");
  return names;
}

namespace {

// ---- processor -----------------------------------------------------------------------------------------------------

#if defined(__x86_64__)

std::string cpu_name() {
  constexpr unsigned kBrandLeaf = 0x80000002;
  std::array<unsigned, 12> words{};
  for (unsigned i = 0; i < 3; ++i) {
    unsigned* part = &words[4 * i];
    if (__get_cpuid(kBrandLeaf + i, &part[0], &part[1], &part[2], &part[3]) == 0) return "x86-64";
  }
  std::array<char, sizeof(words) + 1> text{};
  std::memcpy(text.data(), words.data(), sizeof(words));
  std::string name(text.data());
  name.erase(0, std::min(name.find_first_not_of(' '), name.size()));
  name.erase(name.find_last_not_of(' ') + 1);
  return name.empty() ? "x86-64" : name;
}

// The compiler's runtime asks both cpuid and xgetbv: a register file that the OS does not save counts as absent.
uint32_t cpu_features() {
  uint32_t features = 0;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    features |= MK_CPU_AVX2;
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    features |= MK_CPU_AVX512;
  }
  if (__builtin_cpu_supports("avx512vnni")) features |= MK_CPU_AVX512_VNNI;
  if (__builtin_cpu_supports("avx512bf16")) features |= MK_CPU_AVX512_BF16;
  return features;
}

#else

std::string cpu_name() { return "CPU"; }
uint32_t cpu_features() { return 0; }

#endif

// ---- cgroups -------------------------------------------------------------------------------------------------------

bool contains_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == word) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// The path of this process in the hierarchy of a v1 controller, or of v2 when `controller` is "".
std::string cgroup_path(std::string_view controller) {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {  // hierarchy-id:controllers:path
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    const bool wanted = controller.empty() ? controllers.empty() : contains_word(controllers, controller);
    if (wanted) return line.substr(second + 1);
  }
  return "";
}

// A container may see only the part of the tree below `root`; a path outside of it has its limits at the mount itself.
std::string path_below(const std::string& root, const std::string& path) {
  if (root == "/") return path == "/" ? "" : path;
  const bool begins_alike = path.compare(0, root.size(), root) == 0;
  const bool inside = begins_alike && (path.size() == root.size() || path[root.size()] == '/');
  return inside ? path.substr(root.size()) : "";
}

// Where this process is in the hierarchy of a v1 controller, or of v2 when `controller` is ""; mount "" when not mounted.
Cgroup find_cgroup(std::string_view controller) {
  std::ifstream file("/proc/self/mountinfo");
  std::string line;
  while (std::getline(file, line)) {  // id parent major:minor root mount options [fields] - type source super-options
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::string skipped, root, mount, type, source, super_options;
    std::istringstream(line.substr(0, dash)) >> skipped >> skipped >> skipped >> root >> mount;
    std::istringstream(line.substr(dash + 3)) >> type >> source >> super_options;
    const bool is_v1 = type == "cgroup" && contains_word(super_options, controller);
    const bool wanted = controller.empty() ? type == "cgroup2" : is_v1;
    if (wanted) return Cgroup{mount, path_below(root, cgroup_path(controller))};
  }
  return Cgroup{};
}

// Calls visit(folder) for the cgroup of this process and its parents up to the mount.
template <typename Visit>
void for_each_parent(const Cgroup& cgroup, const Visit& visit) {
  if (cgroup.mount.empty()) return;
  std::string path = cgroup.path;
  while (!path.empty()) {
    visit(cgroup.mount + path);
    path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  visit(cgroup.mount);
}

// The whitespace-separated numbers at the start of a small file, at most two; "max" ends them.
std::vector<int64_t> read_numbers(const std::string& path) {
  std::ifstream file(path);
  std::vector<int64_t> numbers;
  std::string word;
  while (numbers.size() < 2 && file >> word) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size()) break;
    numbers.push_back(number);
  }
  return numbers;
}

// ---- cores ---------------------------------------------------------------------------------------------------------

int32_t cores_by_affinity() {
  // Machines may have more CPUs than a cpu_set_t has bits; the kernel refuses a set that is too small.
  for (int num_cpus = CPU_SETSIZE; num_cpus <= 1 << 20; num_cpus *= 4) {
    cpu_set_t* set = CPU_ALLOC(num_cpus);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(num_cpus);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return std::max(count, 1);
  }
  return static_cast<int32_t>(std::max(std::thread::hardware_concurrency(), 1u));
}

void limit_cores(int32_t* num_cores, int64_t quota_us, int64_t period_us) {
  if (quota_us <= 0 || period_us <= 0) return;
  const int64_t rounded_up = (quota_us - 1) / period_us + 1;
  *num_cores = static_cast<int32_t>(std::min<int64_t>(*num_cores, rounded_up));
}

int32_t count_cores() {
  int32_t num_cores = cores_by_affinity();
  for_each_parent(find_cgroup(""), [&](const std::string& folder) {
    const std::vector<int64_t> max = read_numbers(folder + "/cpu.max");
    if (max.size() == 2) limit_cores(&num_cores, max[0], max[1]);
  });
  for_each_parent(find_cgroup("cpu"), [&](const std::string& folder) {
    const std::vector<int64_t> quota = read_numbers(folder + "/cpu.cfs_quota_us");
    const std::vector<int64_t> period = read_numbers(folder + "/cpu.cfs_period_us");
    if (!quota.empty() && !period.empty()) limit_cores(&num_cores, quota[0], period[0]);
  });
  return num_cores;
}

// ---- memory --------------------------------------------------------------------------------------------------------

int64_t physical_bytes() {
  struct sysinfo info;
  if (sysinfo(&info) != 0) return std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(info.totalram) * info.mem_unit;
}

int64_t address_space_bytes() {
  rlimit limit{};
  const bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  constexpr auto kMost = std::numeric_limits<int64_t>::max();
  return limited ? static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, kMost)) : kMost;
}

int64_t memory_limit_bytes() {
  int64_t bytes = std::min(physical_bytes(), address_space_bytes());
  const auto limit_by = [&](const std::string& path) {
    const std::vector<int64_t> limit = read_numbers(path);
    if (!limit.empty() && limit[0] > 0) bytes = std::min(bytes, limit[0]);
  };
  for_each_parent(find_cgroup(""), [&](const std::string& folder) { limit_by(folder + "/memory.max"); });
  for_each_parent(find_cgroup("memory"),
                  [&](const std::string& folder) { limit_by(folder + "/memory.limit_in_bytes"); });
  return bytes;
}

}  // namespace
}  // namespace moesaic
