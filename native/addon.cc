// The Node-API edge: the functions of binding.ts, same names, same order. Arguments are converted, our code is called, its
// Status becomes an Error whose name is the code. Loads in any number of worker threads; what they share is thread-safe.
#include <napi.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "binder.h"
#include "convert.h"
#include "device.h"
#include "engine.h"
#include "engine_handle.h"
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

// ---- machine --------------------------------------------------------------------------------------------------------------

Napi::Value device_properties(const Napi::CallbackInfo& info) { return from_device(info.Env(), probe_device()); }

class BandwidthWorker final : public Napi::AsyncWorker {
 public:
  BandwidthWorker(Napi::Env env, int32_t num_threads, int64_t bytes, int32_t repeats)
      : AsyncWorker(env), deferred_(env), num_threads_(num_threads), bytes_(bytes), repeats_(repeats) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { bandwidth_ = measure_read_bandwidth(num_threads_, bytes_, repeats_); }
  void OnOK() override {
    if (bandwidth_ > 0) return deferred_.Resolve(Napi::Number::New(Env(), bandwidth_));
    const Status status(Code::kResourceExhausted, text("cannot allocate ", bytes_, " bytes to measure reads"));
    deferred_.Reject(to_error(Env(), status).Value());
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  const int32_t num_threads_;
  const int64_t bytes_;
  const int32_t repeats_;
  double bandwidth_ = 0;
};

Napi::Value measure_bandwidth(const Napi::CallbackInfo& info) {
  const auto num_threads = static_cast<int32_t>(to_integer(info[0], "numThreads", 1, 1024));
  const int64_t bytes = to_integer(info[1], "bytes", 1 << 20, kMaxSafeInteger);
  const auto repeats = static_cast<int32_t>(to_integer(info[2], "repeats", 1, 1000));
  auto* worker = new BandwidthWorker(info.Env(), num_threads, bytes, repeats);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
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
  const uint32_t cpu_features = probe_device().cpu_features;
  return from_bound_program(info.Env(), program, value_or_throw(info.Env(), bind_program(program, options, cpu_features)));
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

Napi::Value step(const Napi::CallbackInfo& info) { return EngineHandle::unwrap(info[0])->step(info.Env(), info[1]); }

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
  if (count > 0)
    std::memcpy(buffer.data, static_cast<std::byte*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength());
}

Napi::Value read_buffer(const Napi::CallbackInfo& info) {
  const std::shared_ptr<EngineHandle> handle = EngineHandle::unwrap(info[0]);
  const int32_t index = handle->find_idle_buffer(info.Env(), to_string(info[1], "name"));
  Executor& executor = handle->open_engine(info.Env()).executor();
  const mk_buffer& buffer = executor.buffer(index);
  const auto count = static_cast<size_t>(to_integer(info[2], "rows", 0, buffer.max_rows)) * buffer.cols;
  const auto copy = [&](auto array) -> Napi::Value {
    if (count > 0) std::memcpy(array.Data(), buffer.data, array.ByteLength());
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
  add("measureReadBandwidth", measure_bandwidth);
  add("openPackage", open_kernel_package);
  add("describeProgram", describe_program);
  add("openEngine", open_engine);
  add("listenDataPlane", open_data_plane);
  add("dataPlaneAddresses", data_plane_addresses);
  add("closeDataPlane", close_data_plane);
  add("connectEngine", connect_engine);
  add("loadWeights", load_weights);
  add("loadDummyWeights", load_dummy_weights);
  add("step", step);
  add("followLead", follow_lead);
  add("endEpoch", end_epoch);
  add("abortEngine", abort_engine);
  add("collectiveStats", collective_stats);
  add("progress", progress);
  add("closeEngine", close_engine);
  add("writeBuffer", write_buffer);
  add("readBuffer", read_buffer);
  return exports;
}

}  // namespace
}  // namespace moesaic

static Napi::Object init_addon(Napi::Env env, Napi::Object exports) { return moesaic::init(env, exports); }
NODE_API_MODULE(moesaic, init_addon)
