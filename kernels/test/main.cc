// moesaic_kernel_tests LIBDIR [--bench] [--only TEXT]: tests the kernel packages of a folder, by TAP-like lines on
// stdout.
//   ok NAME | not ok NAME: what was wrong      last line: N passed, N failed      exit code 1 when one failed
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "harness.h"

namespace moesaic::test {

namespace {

std::string library_folder;

std::vector<Case>& all_cases() {
  static std::vector<Case> cases;
  return cases;
}

struct Options {
  const char* folder = nullptr;
  const char* only = "";
  bool bench = false;
};

bool parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--bench") == 0) {
      options->bench = true;
    } else if (std::strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
      options->only = argv[++i];
    } else if (argv[i][0] != '-' && options->folder == nullptr) {
      options->folder = argv[i];
    } else {
      return false;
    }
  }
  return options->folder != nullptr;
}

bool passes(const Case& test) {
  try {
    test.run();
    std::printf("ok %s\n", test.name);
    return true;
  } catch (const Failure& failure) {
    std::printf("not ok %s: %s\n", test.name, failure.message.c_str());
    return false;
  }
}

int run(const Options& options) {
  int num_passed = 0, num_failed = 0;
  for (const Case& test : all_cases()) {
    if (test.is_bench != options.bench || std::strstr(test.name, options.only) == nullptr) continue;
    ++(passes(test) ? num_passed : num_failed);
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", num_passed, num_failed);
  return num_failed == 0 ? 0 : 1;
}

const mk_package* open_package(const char* name) {
  const std::string path = library_folder + "/libmoesaic_kernels_" + name + ".so";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail("%s", dlerror());
  const auto get_package = reinterpret_cast<mk_get_package_fn>(dlsym(library, "mk_get_package"));
  if (get_package == nullptr) fail("%s has no mk_get_package", path.c_str());
  const mk_package* package = get_package(MK_ABI_VERSION);
  if (package == nullptr) fail("%s does not serve ABI version %u", path.c_str(), MK_ABI_VERSION);
  return package;
}

}  // namespace

Registration::Registration(const char* name, void (*run)(), bool is_bench) {
  all_cases().push_back({name, run, is_bench});
}

// Libraries stay open: kernels are used until the program ends.
const mk_package& package(const char* name) {
  static std::map<std::string, const mk_package*> packages;
  const mk_package*& opened = packages[name];
  if (opened == nullptr) opened = open_package(name);
  return *opened;
}

}  // namespace moesaic::test

int main(int argc, char** argv) {
  moesaic::test::Options options;
  if (!moesaic::test::parse(argc, argv, &options)) {
    std::fprintf(stderr, "usage: moesaic_kernel_tests LIBDIR [--bench] [--only TEXT]\n");
    return 2;
  }
  moesaic::test::library_folder = options.folder;
  return moesaic::test::run(options);
}
