// Conversions between JavaScript and our structs. Part of the Node-API edge: they throw Napi::Error, whose name is
// invalid_argument and whose message begins with the path of the fault, such as `program.ops[3].weight`. Every number is
// checked for its range and every list for its length before anything is copied.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "binder.h"
#include "comm_bench.h"
#include "connect.h"
#include "device.h"
#include "executor.h"
#include "kernel_survey.h"
#include "loader.h"
#include "packages.h"
#include "program.h"
#include "status.h"
#include "step.h"

namespace moesaic {

class Reader;

// An Error whose name is the status's code.
Napi::Error to_error(Napi::Env env, const Status& status);

RankProgram to_program(Napi::Value value);
EngineOptions to_options(Napi::Value value);
LoadPlan to_load_plan(Napi::Value value);
std::vector<LoadPlan::File> to_files(const Reader& list);

// What the parts of a step plan must not exceed.
struct PlanLimits {
  explicit PlanLimits(const RankProgram& program)
      : program(program.limits),
        vocab_size(program.dims.global_vocab_size),
        num_kv_groups(static_cast<uint32_t>(program.kv_groups.size())),
        num_mask_words(static_cast<size_t>(max_mask_words(program))) {}
  ProgramLimits program;
  int32_t vocab_size;
  uint32_t num_kv_groups;
  size_t num_mask_words;
};
// Fills `plan`, whose memory is used again.
void to_step_plan(Napi::Value value, const PlanLimits& limits, StepPlan& plan);

ConnectOptions to_connect_options(Napi::Value value);
std::vector<CollectiveRun> to_collective_runs(Napi::Value value);

// An argument that is a string, or an integer in [min, max].
std::string to_string(Napi::Value value, const char* name);
int64_t to_integer(Napi::Value value, const char* name, int64_t min, int64_t max);

Napi::Object from_device(Napi::Env env, const DeviceInfo& device);
Napi::Object from_load_report(Napi::Env env, const LoadReport& report);
Napi::Object from_step_result(Napi::Env env, const StepResult& result);
Napi::Array from_collective_stats(Napi::Env env, const std::vector<CollectiveStats>& stats);
Napi::Array from_collective_times(Napi::Env env, const std::vector<CollectiveTimes>& all);
Napi::Float64Array from_doubles(Napi::Env env, const std::vector<double>& values);
Napi::Array from_strings(Napi::Env env, const std::vector<std::string>& strings);
Napi::Object from_progress(Napi::Env env, const EngineProgress& progress);
// Ended: microseconds before this call.
Napi::Array from_step_times(Napi::Env env, const std::vector<StepTime>& steps);

// What the kernels of a program are; in convert_kernels.cc.
Napi::Object from_package(Napi::Env env, const KernelPackage& package);
Napi::Object from_bound_program(Napi::Env env, const RankProgram& program, const BoundProgram& bound);
Napi::Array from_survey(Napi::Env env, const std::vector<SurveyedKernel>& surveyed);

// An array of convert(item).
template <typename Items, typename Convert>
Napi::Array array_of(Napi::Env env, const Items& items, Convert&& convert) {
  Napi::Array array = Napi::Array::New(env, items.size());
  uint32_t i = 0;
  for (const auto& item : items) {
    const Napi::HandleScope scope(env);
    array.Set(i++, convert(item));
  }
  return array;
}

inline double to_double(int64_t value) { return static_cast<double>(value); }

}  // namespace moesaic
