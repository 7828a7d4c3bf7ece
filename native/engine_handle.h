// EngineHandle: an engine as JavaScript holds it. Results come back from the engine thread through one thread-safe function.
//
// Who owns what: the External owns a share of the handle, the thread-safe function another, so that promises are still
// settled after the External was collected. The engine dies with close(): called by the user, by the External's finalizer or
// when the environment (a process or worker thread) ends, whichever comes first. All members are used on the JavaScript thread.
#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "convert.h"
#include "engine.h"

namespace moesaic {

class EngineHandle;

// What the engine thread hands over to the JavaScript thread.
class Message {
 public:
  virtual ~Message() = default;
  // `self` is this message. Throws Napi::Error only for what a callback of the user's throws.
  virtual void deliver(Napi::Env env, EngineHandle& handle, std::unique_ptr<Message> self) = 0;
};

// A promise that is settled on the JavaScript thread.
class Pending {
 public:
  Napi::Value begin(Napi::Env env);
  void resolve(Napi::Env env, Napi::Value value);
  void reject(Napi::Env env, const Napi::Error& error);

 private:
  napi_deferred deferred_ = nullptr;
};

class ResultMessage;
class StepJob;

// The listening end of a data plane as JavaScript holds it. Engines that are connected over it keep a share.
class DataPlaneHandle {
 public:
  static Napi::Value wrap(Napi::Env env, std::unique_ptr<DataPlaneListener> listener);
  // The handle in an External. Throws invalid_argument for any other value.
  static DataPlaneHandle& unwrap(Napi::Value value);
  // Throws failed_precondition when it is closed.
  const std::shared_ptr<DataPlaneListener>& listener(Napi::Env env) const;
  void close() { listener_.reset(); }

 private:
  explicit DataPlaneHandle(std::unique_ptr<DataPlaneListener> listener) : listener_(std::move(listener)) {}
  std::shared_ptr<DataPlaneListener> listener_;
};

class EngineHandle {
 public:
  // An External around a new handle.
  static Napi::Value wrap(Napi::Env env, std::unique_ptr<Engine> engine);
  // The handle in an External. Throws invalid_argument for any other value.
  static std::shared_ptr<EngineHandle> unwrap(Napi::Value value);
  ~EngineHandle();

  // Throws failed_precondition when the engine is closed.
  Engine& open_engine(Napi::Env env) const;
  // The index of a buffer that nothing runs on. Throws invalid_argument or failed_precondition.
  int32_t find_idle_buffer(Napi::Env env, const std::string& name) const;

  // Profiled: with the times of its kernels. on_result: undefined, or called with each result of the plan's run.
  Napi::Value step(Napi::Env env, Napi::Value plan, Napi::Value on_result, bool is_profiled);
  Napi::Value load(Napi::Env env, Napi::Value plan, Napi::Value on_progress);
  Napi::Value load_dummy(Napi::Env env, Napi::Value seed, Napi::Value on_progress);
  Napi::Value connect(Napi::Env env, Napi::Value data_plane, Napi::Value options);
  Napi::Value follow(Napi::Env env);
  Napi::Value end_epoch(Napi::Env env);
  // Nothing when the engine is closed: its collectives are over.
  void abort(const std::string& reason);
  void close();

  // From jobs. post: any thread. settled: a promise was settled. recycle: keeps a step's memory for the next.
  void post(std::unique_ptr<Message> message);
  void settled(Napi::Env env);
  void recycle(std::unique_ptr<StepJob> job);
  void recycle(std::unique_ptr<ResultMessage> message);
  void post_result(const StepResult& result, const std::shared_ptr<Napi::FunctionReference>& on_result);

 private:
  static void call_js(Napi::Env env, Napi::Function, EngineHandle* handle, Message* message);
  using Tsfn = Napi::TypedThreadSafeFunction<EngineHandle, Message, call_js>;
  EngineHandle(std::unique_ptr<Engine> engine, napi_env env);
  static void close_at_exit(void* handle);
  Napi::Value submit(Napi::Env env, std::unique_ptr<EngineJob> job, Pending& pending);

  std::unique_ptr<Engine> engine_;
  const napi_env env_;
  const PlanLimits plan_limits_;  // a copy: reading a plan may run JavaScript, which may close the engine
  Tsfn results_;
  int64_t num_pending_ = 0;  // promises not settled yet; while there are any, the event loop stays alive
  std::vector<std::unique_ptr<StepJob>> idle_steps_;
  std::mutex idle_results_mutex_;
  std::vector<std::unique_ptr<ResultMessage>> idle_results_;  // guarded by the mutex
};

}  // namespace moesaic
