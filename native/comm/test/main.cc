// moesaic_comm_tests [--only TEXT], and likewise moesaic_world_tests: TAP-like lines on stdout.
//   ok NAME | not ok NAME # what was wrong | skipped NAME # why | # remark
//   last line: N passed, N failed      exit code 1 when one failed
#include <cstdio>
#include <cstring>

#include "harness.h"

namespace moesaic::test {

namespace {

struct Totals {
  int passed = 0;
  int failed = 0;
};

void run(const Case& test, Totals& totals) {
  try {
    test.run();
    std::printf("ok %s\n", test.name);
    ++totals.passed;
  } catch (const Failure& failure) {
    std::printf("not ok %s # %s\n", test.name, failure.message.c_str());
    ++totals.failed;
  } catch (const Skip& skip) {
    std::printf("skipped %s # %s\n", test.name, skip.reason.c_str());
  }
  std::fflush(stdout);
}

}  // namespace
}  // namespace moesaic::test

int main(int argc, char** argv) {
  using namespace moesaic::test;
  const char* only = argc == 3 && std::strcmp(argv[1], "--only") == 0 ? argv[2] : "";
  if (argc != 1 && (argc != 3 || only != argv[2])) {
    std::fprintf(stderr, "usage: %s [--only TEXT]\n", argv[0]);
    return 2;
  }
  Totals totals;
  for (const Case& test : all_cases())
    if (std::strstr(test.name, only) != nullptr) run(test, totals);
  std::printf("%d passed, %d failed\n", totals.passed, totals.failed);
  return totals.failed == 0 ? 0 : 1;
}
