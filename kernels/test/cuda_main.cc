// moesaic_cuda_tests LIBDIR [--unit] [--filter TEXT] [--list] [--bench]: compares the cuda package of a folder with the
// reference package beside it, by TAP-like lines on stdout.
//   ok NAME | not ok NAME: what was wrong      last line: N passed, N failed      exit code 1 when one failed
// --unit keeps to shapes that are small enough for compute-sanitizer. Without a GPU it says so and ends with exit code 0.
#include <cstdio>
#include <cstring>

#include "cuda_harness.h"

namespace moesaic::test {

namespace {

struct Options {
  const char* folder = nullptr;
  const char* filter = "";
  bool is_unit = false;
  bool is_list = false;
  bool is_bench = false;
};

bool parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--unit") == 0) {
      options->is_unit = true;
    } else if (std::strcmp(argv[i], "--list") == 0) {
      options->is_list = true;
    } else if (std::strcmp(argv[i], "--bench") == 0) {
      options->is_bench = true;
    } else if (std::strcmp(argv[i], "--filter") == 0 && i + 1 < argc) {
      options->filter = argv[++i];
    } else if (argv[i][0] != '-' && options->folder == nullptr) {
      options->folder = argv[i];
    } else {
      return false;
    }
  }
  return options->folder != nullptr;
}

CudaCases all_cases() {
  CudaCases cases;
  add_row_cases(&cases);
  add_matrix_cases(&cases);
  add_attention_cases(&cases);
  add_sample_cases(&cases);
  return cases;
}

// After an error of the device nothing can be said of the cases to come.
bool is_device_alive() { return cudaDeviceSynchronize() == cudaSuccess; }

int run(const Options& options) {
  int num_passed = 0, num_failed = 0;
  for (const CudaCase& test : all_cases()) {
    if ((options.is_unit && !test.is_unit) || test.name.find(options.filter) == std::string::npos) continue;
    if (options.is_list) {
      std::printf("%s\n", test.name.c_str());
      continue;
    }
    ++(passes(test.name.c_str(), test.run) ? num_passed : num_failed);
    std::fflush(stdout);
    if (is_device_alive()) continue;
    std::printf("the device failed in that case: the rest was not run\n");
    break;
  }
  if (!options.is_list) std::printf("%d passed, %d failed\n", num_passed, num_failed);
  return num_failed == 0 ? 0 : 1;
}

}  // namespace

int main_of(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, &options)) {
    std::fprintf(stderr, "usage: moesaic_cuda_tests LIBDIR [--unit] [--filter TEXT] [--list] [--bench]\n");
    return 2;
  }
  take_packages_from(options.folder);
  const Gpu gpu = first_gpu(kModes[0]);
  if (gpu.name.empty() && !options.is_list) {
    std::printf("skipped: cuda kernels: no GPU\n0 passed, 0 failed\n");
    return 0;
  }
  if (!options.is_bench) return run(options);
  try {
    run_benches(options.filter);
    return 0;
  } catch (const Failure& failure) {
    std::printf("not ok bench: %s\n", failure.message.c_str());
    return 1;
  }
}

}  // namespace moesaic::test

int main(int argc, char** argv) { return moesaic::test::main_of(argc, argv); }
