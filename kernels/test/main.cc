// moesaic_kernel_tests LIBDIR [--bench] [--only TEXT]: tests the kernel packages of a folder, by TAP-like lines on
// stdout.
//   ok NAME | not ok NAME: what was wrong      last line: N passed, N failed      exit code 1 when one failed
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "harness.h"

namespace moesaic::test {

namespace {

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

int run(const Options& options) {
  int num_passed = 0, num_failed = 0;
  for (const Case& test : all_cases()) {
    if (test.is_bench != options.bench || std::strstr(test.name, options.only) == nullptr) continue;
    ++(passes(test.name, test.run) ? num_passed : num_failed);
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", num_passed, num_failed);
  return num_failed == 0 ? 0 : 1;
}

}  // namespace

Registration::Registration(const char* name, void (*run)(), bool is_bench) {
  all_cases().push_back({name, run, is_bench});
}

}  // namespace moesaic::test

int main(int argc, char** argv) {
  moesaic::test::Options options;
  if (!moesaic::test::parse(argc, argv, &options)) {
    std::fprintf(stderr, "usage: moesaic_kernel_tests LIBDIR [--bench] [--only TEXT]\n");
    return 2;
  }
  moesaic::test::take_packages_from(options.folder);
  return moesaic::test::run(options);
}
