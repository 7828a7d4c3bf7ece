// The Node-API edge: the functions of binding.ts, same names, same order. Arguments are converted, our code is called, its
// Status becomes an Error whose name is the code. Loads in any number of worker threads; what they share is thread-safe.
#include <napi.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "binder.h"
#include "comm_bench.h"
#include "compute_device.h"
#include "convert.h"
#include "cuda_device.h"
#include "device.h"
#include "engine.h"
#include "engine_handle.h"
#include "file_bandwidth.h"
#include "kernel_survey.h"
#include "packages.h"
#include "reader.h"
#include "text.h"

namespace moesaic {
namespace {

template <typename T>
T value_or_throw(Napi::Env env, StatusOr<T> result) {
  if (!result.ok()) throw to_error(env, result.status());
  return std::move(result.value());
}

void ok_or_throw(Napi::Env env, const Status& status) {
  if (!status.ok()) throw to_error(env, status);
}

// ---- machine --------------------------------------------------------------------------------------------------------------

Napi::Value device_properties(const Napi::CallbackInfo& info) { return from_device(info.Env(), probe_device()); }

Napi::Value cuda_devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const StatusOr<std::vector<CudaDeviceInfo>> devices = list_cuda_devices();
  Napi::Object object = Napi::Object::New(env);
  object.Set("missing", devices.ok() ? env.Null() : Napi::String::New(env, devices.status().message()));
  Napi::Array list = Napi::Array::New(env);
  for (uint32_t i = 0; devices.ok() && i < devices.value().size(); ++i) {
    const CudaDeviceInfo& gpu = devices.value()[i];
    Napi::Object device = Napi::Object::New(env);
    device.Set("name", gpu.name);
    device.Set("computeCapability", gpu.compute_capability);
    device.Set("numMultiprocessors", gpu.num_multiprocessors);
    device.Set("memoryBytes", static_cast<double>(gpu.memory_bytes));
    list.Set(i, device);
  }
  object.Set("devices", list);
  return object;
}

// Blocking work on a thread of its own; a value of T becomes the promise's by `convert`.
template <typename T>
class Measurement final : public Napi::AsyncWorker {
 public:
  using Work = std::function<StatusOr<T>()>;
  using Convert = std::function<Napi::Value(Napi::Env, const T&)>;

  static Napi::Value start(Napi::Env env, Work work, Convert convert) {
    auto* worker = new Measurement(env, std::move(work), std::move(convert));
    const Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    return promise;
  }

 protected:
  void Execute() override { result_ = work_(); }
  void OnOK() override {
    if (result_.ok()) return deferred_.Resolve(convert_(Env(), result_.value()));
    deferred_.Reject(to_error(Env(), result_.status()).Value());
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Measurement(Napi::Env env, Work work, Convert convert)
      : AsyncWorker(env), deferred_(env), work_(std::move(work)), convert_(std::move(convert)) {}

  Napi::Promise::Deferred deferred_;
  const Work work_;
  const Convert convert_;
  StatusOr<T> result_ = Status(Code::kInternal, "nothing was measured");
};

Napi::Value measure_read(const Napi::CallbackInfo& info) {
  const auto num_threads = static_cast<int32_t>(to_integer(info[0], "numThreads", 1, 1024));
  const int64_t bytes = to_integer(info[1], "bytes", 1 << 20, kMaxSafeInteger);
  const auto repeats = static_cast<int32_t>(to_integer(info[2], "repeats", 1, 1000));
  const auto work = [=]() -> StatusOr<double> {
    const double bandwidth = measure_read_bandwidth(num_threads, bytes, repeats);
    if (bandwidth > 0) return bandwidth;
    return Status(Code::kResourceExhausted, text("cannot allocate ", bytes, " bytes to measure reads"));
  };
  return Measurement<double>::start(info.Env(), work,
                                    [](Napi::Env env, double value) { return Napi::Number::New(env, value); });
}

Napi::Value measure_one_copy(const Napi::CallbackInfo& info) {
  const int64_t bytes = to_integer(info[0], "bytes", 1, int64_t{1} << 30);
  const auto calls = static_cast<int32_t>(to_integer(info[1], "calls", 1, 1'000'000));
  const auto work = [=]() -> StatusOr<std::vector<double>> { return measure_copy(bytes, calls); };
  return Measurement<std::vector<double>>::start(info.Env(), work, from_doubles);
}

Napi::Value measure_one_socket(const Napi::CallbackInfo& info) {
  const int64_t bytes = to_integer(info[0], "bytes", 1, int64_t{1} << 30);
  const auto calls = static_cast<int32_t>(to_integer(info[1], "calls", 1, 1'000'000));
  return Measurement<std::vector<double>>::start(info.Env(), [=] { return measure_socket(bytes, calls); }, from_doubles);
}

Napi::Value measure_gpu_copy(const Napi::CallbackInfo& info) {
  const int64_t bytes = to_integer(info[0], "bytes", 1 << 20, kMaxSafeInteger);
  const auto repeats = static_cast<int32_t>(to_integer(info[1], "repeats", 1, 1000));
  const auto work = [=] { return measure_cuda_copy(bytes, repeats); };
  return Measurement<double>::start(info.Env(), work,
                                    [](Napi::Env env, double value) { return Napi::Number::New(env, value); });
}

Napi::Value measure_host_to_device(const Napi::CallbackInfo& info) {
  const int64_t bytes = to_integer(info[0], "bytes", 1 << 20, kMaxSafeInteger);
  const auto repeats = static_cast<int32_t>(to_integer(info[1], "repeats", 1, 1000));
  const auto work = [=] { return measure_host_to_cuda(bytes, repeats); };
  return Measurement<double>::start(info.Env(), work, [](Napi::Env env, double value) { return Napi::Number::New(env, value); });
}

Napi::Value measure_files(const Napi::CallbackInfo& info) {
  const std::vector<LoadPlan::File> files = to_files(Reader(info[0], "files"));
  const auto num_threads = static_cast<int32_t>(to_integer(info[1], "numThreads", 1, 1024));
  const auto work = [=] { return measure_file_reads(files, num_threads); };
  return Measurement<double>::start(info.Env(), work, [](Napi::Env env, double value) { return Napi::Number::New(env, value); });
}

Napi::Value measure_ranks(const Napi::CallbackInfo& info) {
  const std::shared_ptr<DataPlaneListener> listener = DataPlaneHandle::unwrap(info[0]).listener(info.Env());
  const auto rank = static_cast<int32_t>(to_integer(info[1], "rank", 0, 1023));
  const ConnectOptions options = to_connect_options(info[2]);
  const std::vector<CollectiveRun> runs = to_collective_runs(info[3]);
  return Measurement<std::vector<CollectiveTimes>>::start(
      info.Env(), [=] { return measure_collectives(rank, options, *listener, runs); }, from_collective_times);
}

// ---- kernels --------------------------------------------------------------------------------------------------------------

Napi::Value open_kernel_package(const Napi::CallbackInfo& info) {
  const std::string path = to_string(info[0], "path");
  return from_package(info.Env(), *value_or_throw(info.Env(), open_package(path)));
}

// ---- engine ---------------------------------------------------------------------------------------------------------------

Napi::Value describe_program(const Napi::CallbackInfo& info) {
  const RankProgram program = to_program(info[0]);
  const EngineOptions options = to_options(info[1]);
  const mk_device device = value_or_throw(info.Env(), ComputeDevice::describe(program.precision, options));
  return from_bound_program(info.Env(), program, value_or_throw(info.Env(), bind_program(program, options, device)));
}

Napi::Value survey_program(const Napi::CallbackInfo& info) {
  const RankProgram program = to_program(info[0]);
  const EngineOptions options = to_options(info[1]);
  const mk_device device = value_or_throw(info.Env(), ComputeDevice::describe(program.precision, options));
  return from_survey(info.Env(), value_or_throw(info.Env(), survey_kernels(program, options, device)));
}

Napi::Value open_engine(const Napi::CallbackInfo& info) {
  RankProgram program = to_program(info[0]);
  const EngineOptions options = to_options(info[1]);
  return EngineHandle::wrap(info.Env(), value_or_throw(info.Env(), Engine::open(std::move(program), options)));
}

Napi::Value open_data_plane(const Napi::CallbackInfo& info) {
  const std::string bind = to_string(info[0], "bind");
  return DataPlaneHandle::wrap(info.Env(), value_or_throw(info.Env(), listen_data_plane(bind)));
}

Napi::Value data_plane_addresses(const Napi::CallbackInfo& info) {
  return from_strings(info.Env(), DataPlaneHandle::unwrap(info[0]).listener(info.Env())->addresses());
}

void close_data_plane(const Napi::CallbackInfo& info) { DataPlaneHandle::unwrap(info[0]).close(); }

Napi::Value connect_engine(const Napi::CallbackInfo& info) {
  return EngineHandle::unwrap(info[0])->connect(info.Env(), info[1], info[2]);
}

Napi::Value load_weights(const Napi::CallbackInfo& info) {
  return EngineHandle::unwrap(info[0])->load(info.Env(), info[1], info[2]);
}

Napi::Value load_dummy_weights(const Napi::CallbackInfo& info) {
  return EngineHandle::unwrap(info[0])->load_dummy(info.Env(), info[1], info[2]);
}

Napi::Value step(const Napi::CallbackInfo& info) {
  return EngineHandle::unwrap(info[0])->step(info.Env(), info[1], info[2], false);
}

Napi::Value profile_step(const Napi::CallbackInfo& info) {
  return EngineHandle::unwrap(info[0])->step(info.Env(), info[1], info.Env().Undefined(), true);
}

void end_grants(const Napi::CallbackInfo& info) {
  const std::shared_ptr<EngineHandle> handle = EngineHandle::unwrap(info[0]);
  handle->open_engine(info.Env()).executor().grants().end(to_integer(info[1], "stepId", 0, kMaxSafeInteger));
}

Napi::Value follow_lead(const Napi::CallbackInfo& info) { return EngineHandle::unwrap(info[0])->follow(info.Env()); }

Napi::Value end_epoch(const Napi::CallbackInfo& info) { return EngineHandle::unwrap(info[0])->end_epoch(info.Env()); }

void abort_engine(const Napi::CallbackInfo& info) {
  EngineHandle::unwrap(info[0])->abort(to_string(info[1], "reason"));
}

Napi::Value collective_stats(const Napi::CallbackInfo& info) {
  const std::shared_ptr<EngineHandle> handle = EngineHandle::unwrap(info[0]);
  return from_collective_stats(info.Env(), handle->open_engine(info.Env()).executor().collective_stats());
}

Napi::Value progress(const Napi::CallbackInfo& info) {
  const std::shared_ptr<EngineHandle> handle = EngineHandle::unwrap(info[0]);
  return from_progress(info.Env(), handle->open_engine(info.Env()).executor().progress());
}

Napi::Value step_times(const Napi::CallbackInfo& info) {
  const std::shared_ptr<EngineHandle> handle = EngineHandle::unwrap(info[0]);
  const int64_t after = to_integer(info[1], "afterStepId", -1, kMaxSafeInteger);
  return from_step_times(info.Env(), handle->open_engine(info.Env()).executor().work().steps_after(after));
}

Napi::Value expert_tokens(const Napi::CallbackInfo& info) {
  const std::shared_ptr<EngineHandle> handle = EngineHandle::unwrap(info[0]);
  const std::vector<uint64_t> counts = handle->open_engine(info.Env()).executor().work().expert_tokens();
  return from_doubles(info.Env(), std::vector<double>(counts.begin(), counts.end()));
}

void close_engine(const Napi::CallbackInfo& info) { EngineHandle::unwrap(info[0])->close(); }

// ---- debugging ------------------------------------------------------------------------------------------------------------

napi_typedarray_type array_type(mk_dtype dtype) {
  if (dtype == MK_I32) return napi_int32_array;
  return dtype == MK_U8 ? napi_uint8_array : napi_float32_array;
}

void write_buffer(const Napi::CallbackInfo& info) {
  const std::shared_ptr<EngineHandle> handle = EngineHandle::unwrap(info[0]);
  const int32_t index = handle->find_idle_buffer(info.Env(), to_string(info[1], "name"));
  Executor& executor = handle->open_engine(info.Env()).executor();
  const mk_buffer& buffer = executor.buffer(index);
  const Reader values(info[2], "values");
  const napi_typedarray_type type = array_type(executor.program().buffers[index].dtype);
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != type)
    values.expected("a typed array of the buffer's dtype");
  const auto array = info[2].As<Napi::TypedArray>();
  const size_t count = array.ElementLength();
  if (count % buffer.cols != 0 || count / buffer.cols > static_cast<size_t>(buffer.max_rows))
    values.fail(text("expected up to ", buffer.max_rows, " whole rows of ", buffer.cols, ", got ", count, " elements"));
  if (count == 0) return;
  const std::byte* data = static_cast<std::byte*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  ok_or_throw(info.Env(), executor.write_buffer(index, data, static_cast<int64_t>(array.ByteLength())));
}

Napi::Value read_buffer(const Napi::CallbackInfo& info) {
  const std::shared_ptr<EngineHandle> handle = EngineHandle::unwrap(info[0]);
  const int32_t index = handle->find_idle_buffer(info.Env(), to_string(info[1], "name"));
  Executor& executor = handle->open_engine(info.Env()).executor();
  const mk_buffer& buffer = executor.buffer(index);
  const auto count = static_cast<size_t>(to_integer(info[2], "rows", 0, buffer.max_rows)) * buffer.cols;
  const auto copy = [&](auto array) -> Napi::Value {
    if (count > 0) ok_or_throw(info.Env(), executor.read_buffer(index, array.Data(), static_cast<int64_t>(array.ByteLength())));
    return array;
  };
  switch (executor.program().buffers[index].dtype) {
    case MK_I32:
      return copy(Napi::Int32Array::New(info.Env(), count));
    case MK_U8:
      return copy(Napi::Uint8Array::New(info.Env(), count));
    default:
      return copy(Napi::Float32Array::New(info.Env(), count));
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, auto function) { exports.Set(name, Napi::Function::New(env, function, name)); };
  add("deviceProperties", device_properties);
  add("cudaDevices", cuda_devices);
  add("measureReadBandwidth", measure_read);
  add("measureGpuCopy", measure_gpu_copy);
  add("measureHostToDevice", measure_host_to_device);
  add("measureFileReads", measure_files);
  add("measureCopy", measure_one_copy);
  add("measureSocket", measure_one_socket);
  add("measureCollectives", measure_ranks);
  add("openPackage", open_kernel_package);
  add("describeProgram", describe_program);
  add("surveyKernels", survey_program);
  add("openEngine", open_engine);
  add("listenDataPlane", open_data_plane);
  add("dataPlaneAddresses", data_plane_addresses);
  add("closeDataPlane", close_data_plane);
  add("connectEngine", connect_engine);
  add("loadWeights", load_weights);
  add("loadDummyWeights", load_dummy_weights);
  add("step", step);
  add("endGrants", end_grants);
  add("profileStep", profile_step);
  add("followLead", follow_lead);
  add("endEpoch", end_epoch);
  add("abortEngine", abort_engine);
  add("collectiveStats", collective_stats);
  add("progress", progress);
  add("stepTimes", step_times);
  add("expertTokens", expert_tokens);
  add("closeEngine", close_engine);
  add("writeBuffer", write_buffer);
  add("readBuffer", read_buffer);
  return exports;
}

}  // namespace
}  // namespace moesaic

static Napi::Object init_addon(Napi::Env env, Napi::Object exports) { return moesaic::init(env, exports); }
NODE_API_MODULE(moesaic, init_addon)
