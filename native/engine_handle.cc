#include "engine_handle.h"

#include <utility>

#include "convert.h"
#include "reader.h"
#include "text.h"

namespace moesaic {
namespace {

constexpr napi_type_tag kEngineTag = {0x6d6f657361696331, 0x9a3f5b7cd2e84610};
// Run-ahead keeps a few plans under way; more than that is not worth keeping memory for.
constexpr size_t kMaxIdleSteps = 4;

constexpr napi_type_tag kDataPlaneTag = {0x6d6f657361696332, 0x5b1c0de4a7713f98};

// Resolves with make(), or rejects: with the status, or with what went wrong in making the value.
template <typename Make>
void settle(Napi::Env env, Pending& pending, const Status& status, Make&& make) {
  if (!status.ok()) return pending.reject(env, to_error(env, status));
  try {
    pending.resolve(env, make());
  } catch (const Napi::Error& error) {
    pending.reject(env, error);
  }
}

// A count of bytes for the user's callback.
class ProgressMessage final : public Message {
 public:
  ProgressMessage(std::shared_ptr<Napi::FunctionReference> callback, int64_t bytes_done)
      : callback_(std::move(callback)), bytes_done_(bytes_done) {}

  void deliver(Napi::Env env, EngineHandle&, std::unique_ptr<Message>) override {
    callback_->Call({Napi::Number::New(env, static_cast<double>(bytes_done_))});
  }

 private:
  std::shared_ptr<Napi::FunctionReference> callback_;
  int64_t bytes_done_;
};

// Loads weights, from a plan or made up.
class LoadJob final : public EngineJob, public Message {
 public:
  LoadJob(EngineHandle& handle, Napi::Function on_progress)
      : handle_(handle), on_progress_(std::make_shared<Napi::FunctionReference>(Napi::Persistent(on_progress))) {}

  Pending pending;
  LoadPlan plan;
  bool is_dummy = false;
  uint64_t seed = 0;

  Status run(Executor& executor, const std::atomic<bool>& cancelled) override {
    const LoadProgress progress = [this](int64_t bytes_done) {
      handle_.post(std::make_unique<ProgressMessage>(on_progress_, bytes_done));
    };
    StatusOr<LoadReport> report =
        is_dummy ? executor.load_dummy(seed, cancelled, progress) : executor.load(plan, cancelled, progress);
    if (!report.ok()) return report.status();
    report_ = report.value();
    return {};
  }

  void done(std::unique_ptr<EngineJob> self, Status status) override {
    status_ = std::move(status);
    self.release();
    handle_.post(std::unique_ptr<Message>(this));
  }

  void deliver(Napi::Env env, EngineHandle& handle, std::unique_ptr<Message>) override {
    handle.settled(env);
    settle(env, pending, status_, [&] { return from_load_report(env, report_); });
  }

 private:
  EngineHandle& handle_;
  std::shared_ptr<Napi::FunctionReference> on_progress_;  // shared with messages; all of them die on the JavaScript thread
  LoadReport report_;
  Status status_;
};

// Work among the ranks, which gives nothing back.
class RanksJob final : public EngineJob, public Message {
 public:
  RanksJob(EngineHandle& handle, std::function<Status(Executor&)> work) : handle_(handle), work_(std::move(work)) {}

  Pending pending;

  Status run(Executor& executor, const std::atomic<bool>&) override { return work_(executor); }

  void done(std::unique_ptr<EngineJob> self, Status status) override {
    status_ = std::move(status);
    self.release();
    handle_.post(std::unique_ptr<Message>(this));
  }

  void deliver(Napi::Env env, EngineHandle& handle, std::unique_ptr<Message>) override {
    handle.settled(env);
    settle(env, pending, status_, [&] { return env.Undefined(); });
  }

 private:
  EngineHandle& handle_;
  const std::function<Status(Executor&)> work_;
  Status status_;
};

}  // namespace

// The result of a step whose run goes on.
class ResultMessage final : public Message {
 public:
  StepResult result;
  std::shared_ptr<Napi::FunctionReference> on_result;

  void deliver(Napi::Env env, EngineHandle& handle, std::unique_ptr<Message> self) override {
    const std::shared_ptr<Napi::FunctionReference> callback = std::move(on_result);
    const Napi::Object value = from_step_result(env, result);
    self.release();
    handle.recycle(std::unique_ptr<ResultMessage>(this));
    callback->Call({value});
  }
};

class StepJob final : public EngineJob, public Message {
 public:
  explicit StepJob(EngineHandle& handle) : handle_(handle) {}

  Pending pending;
  StepPlan plan;
  bool is_profiled = false;
  std::shared_ptr<Napi::FunctionReference> on_result;  // may be null; dies on the JavaScript thread

  Status run(Executor& executor, const std::atomic<bool>&) override {
    is_void_ = executor.grants().is_void(plan);
    if (is_void_) return {};
    if (is_profiled) return executor.profile_step(plan, result_, kernel_us_);
    for (;; advance(plan)) {
      if (Status status = executor.step(plan, result_); !status.ok() || !result_.runs_on) return status;
      if (on_result != nullptr) handle_.post_result(result_, on_result);
    }
  }

  void done(std::unique_ptr<EngineJob> self, Status status) override {
    status_ = std::move(status);
    self.release();
    handle_.post(std::unique_ptr<Message>(this));
  }

  void deliver(Napi::Env env, EngineHandle& handle, std::unique_ptr<Message> self) override {
    handle.settled(env);
    const std::shared_ptr<Napi::FunctionReference> callback = std::move(on_result);
    settle(env, pending, status_, [&] { return value(env, callback.get()); });
    self.release();
    handle.recycle(std::unique_ptr<StepJob>(this));
  }

 private:
  Napi::Value value(Napi::Env env, const Napi::FunctionReference* callback) const {
    if (is_void_) return env.Null();
    const Napi::Object result = from_step_result(env, result_);
    if (callback != nullptr) callback->Call({result});
    if (!is_profiled) return result;
    Napi::Object profiled = Napi::Object::New(env);
    profiled.Set("result", result);
    profiled.Set("kernelUs", from_doubles(env, kernel_us_));
    return profiled;
  }

  EngineHandle& handle_;
  StepResult result_;
  std::vector<double> kernel_us_;
  bool is_void_ = false;
  Status status_;
};

Napi::Value Pending::begin(Napi::Env env) {
  napi_value promise = nullptr;
  if (napi_create_promise(env, &deferred_, &promise) != napi_ok) throw Napi::Error::New(env);
  return Napi::Value(env, promise);
}

void Pending::resolve(Napi::Env env, Napi::Value value) { napi_resolve_deferred(env, deferred_, value); }
void Pending::reject(Napi::Env env, const Napi::Error& error) { napi_reject_deferred(env, deferred_, error.Value()); }

EngineHandle::EngineHandle(std::unique_ptr<Engine> engine, napi_env env)
    : engine_(std::move(engine)), env_(env), plan_limits_(engine_->executor().program()) {}

EngineHandle::~EngineHandle() = default;

Napi::Value EngineHandle::wrap(Napi::Env env, std::unique_ptr<Engine> engine) {
  using Share = std::shared_ptr<EngineHandle>;
  const Share handle(new EngineHandle(std::move(engine), env));
  handle->results_ = Tsfn::New(env, "moesaic engine", 0, 1, handle.get(),
                               [](Napi::Env, Share* share, EngineHandle*) { delete share; }, new Share(handle));
  handle->results_.Unref(env);
  // Registered after the function's own hook, so it runs before: no thread uses a function that is gone.
  napi_add_env_cleanup_hook(env, close_at_exit, handle.get());

  const auto finalize = [](Napi::Env, Share* share) {
    (*share)->close();
    delete share;
  };
  Napi::External<Share> external = Napi::External<Share>::New(env, new Share(handle), finalize);
  external.TypeTag(&kEngineTag);
  return external;
}

std::shared_ptr<EngineHandle> EngineHandle::unwrap(Napi::Value value) {
  if (!value.IsExternal() || !value.As<Napi::External<void>>().CheckTypeTag(&kEngineTag))
    Reader(value, "engine").expected("an engine made by openEngine");
  return *value.As<Napi::External<std::shared_ptr<EngineHandle>>>().Data();
}

Engine& EngineHandle::open_engine(Napi::Env env) const {
  if (engine_ == nullptr) throw to_error(env, Status(Code::kFailedPrecondition, "the engine is closed; open another"));
  return *engine_;
}

int32_t EngineHandle::find_idle_buffer(Napi::Env env, const std::string& name) const {
  const std::vector<BufferSpec>& buffers = open_engine(env).executor().program().buffers;
  if (num_pending_ > 0)
    throw to_error(env, Status(Code::kFailedPrecondition, "a step is under way; await it before touching buffers"));
  for (size_t i = 0; i < buffers.size(); ++i)
    if (buffers[i].name == name) return static_cast<int32_t>(i);
  throw to_error(env, Status(Code::kInvalidArgument, text("name: the program has no buffer \"", name, "\"")));
}

Napi::Value EngineHandle::step(Napi::Env env, Napi::Value plan, Napi::Value on_result, bool is_profiled) {
  open_engine(env);
  if (!on_result.IsUndefined() && !on_result.IsFunction()) Reader(on_result, "onResult").expected("a function");
  std::unique_ptr<StepJob> job;
  if (idle_steps_.empty()) {
    job = std::make_unique<StepJob>(*this);
  } else {
    job = std::move(idle_steps_.back());
    idle_steps_.pop_back();
  }
  to_step_plan(plan, plan_limits_, job->plan);
  job->is_profiled = is_profiled;
  if (on_result.IsFunction())
    job->on_result = std::make_shared<Napi::FunctionReference>(Napi::Persistent(on_result.As<Napi::Function>()));
  Pending& pending = job->pending;
  return submit(env, std::move(job), pending);
}

Napi::Value EngineHandle::load(Napi::Env env, Napi::Value plan, Napi::Value on_progress) {
  if (!on_progress.IsFunction()) Reader(on_progress, "onProgress").expected("a function");
  auto job = std::make_unique<LoadJob>(*this, on_progress.As<Napi::Function>());
  job->plan = to_load_plan(plan);
  Pending& pending = job->pending;
  return submit(env, std::move(job), pending);
}

Napi::Value EngineHandle::load_dummy(Napi::Env env, Napi::Value seed, Napi::Value on_progress) {
  if (!on_progress.IsFunction()) Reader(on_progress, "onProgress").expected("a function");
  auto job = std::make_unique<LoadJob>(*this, on_progress.As<Napi::Function>());
  job->is_dummy = true;
  job->seed = static_cast<uint64_t>(to_integer(seed, "seed", 0, kMaxSafeInteger));
  Pending& pending = job->pending;
  return submit(env, std::move(job), pending);
}

Napi::Value EngineHandle::connect(Napi::Env env, Napi::Value data_plane, Napi::Value options) {
  const std::shared_ptr<DataPlaneListener> listener = DataPlaneHandle::unwrap(data_plane).listener(env);
  const ConnectOptions connect_options = to_connect_options(options);
  auto job = std::make_unique<RanksJob>(
      *this, [listener, connect_options](Executor& executor) { return executor.connect(connect_options, listener); });
  Pending& pending = job->pending;
  return submit(env, std::move(job), pending);
}

Napi::Value EngineHandle::follow(Napi::Env env) {
  auto job = std::make_unique<RanksJob>(*this, [](Executor& executor) { return executor.follow(); });
  Pending& pending = job->pending;
  return submit(env, std::move(job), pending);
}

Napi::Value EngineHandle::end_epoch(Napi::Env env) {
  auto job = std::make_unique<RanksJob>(*this, [](Executor& executor) { return executor.end_epoch(); });
  Pending& pending = job->pending;
  return submit(env, std::move(job), pending);
}

void EngineHandle::abort(const std::string& reason) {
  if (engine_ != nullptr) engine_->executor().abort(reason);
}

// Reading the arguments may have run JavaScript, which may have closed the engine.
Napi::Value EngineHandle::submit(Napi::Env env, std::unique_ptr<EngineJob> job, Pending& pending) {
  Engine& engine = open_engine(env);
  const Napi::Value promise = pending.begin(env);
  if (num_pending_++ == 0) results_.Ref(env);
  engine.submit(std::move(job));
  return promise;
}

void EngineHandle::settled(Napi::Env env) {
  if (--num_pending_ == 0) results_.Unref(env);
}

void EngineHandle::recycle(std::unique_ptr<StepJob> job) {
  if (engine_ != nullptr && idle_steps_.size() < kMaxIdleSteps) idle_steps_.push_back(std::move(job));
}

void EngineHandle::recycle(std::unique_ptr<ResultMessage> message) {
  const std::lock_guard lock(idle_results_mutex_);
  if (idle_results_.size() < kMaxGrantedSteps) idle_results_.push_back(std::move(message));
}

// On the engine thread. In the steady state of a run it takes memory that a result before it used.
void EngineHandle::post_result(const StepResult& result, const std::shared_ptr<Napi::FunctionReference>& on_result) {
  std::unique_ptr<ResultMessage> message;
  {
    const std::lock_guard lock(idle_results_mutex_);
    if (!idle_results_.empty()) {
      message = std::move(idle_results_.back());
      idle_results_.pop_back();
    }
  }
  if (message == nullptr) message = std::make_unique<ResultMessage>();
  message->result = result;
  message->on_result = on_result;
  post(std::move(message));
}

// The queue has no bound, so this never waits: a full queue would deadlock with close(), which waits for the engine thread.
void EngineHandle::post(std::unique_ptr<Message> message) {
  if (results_.NonBlockingCall(message.get()) == napi_ok) message.release();
}

void EngineHandle::call_js(Napi::Env env, Napi::Function, EngineHandle* handle, Message* message) {
  std::unique_ptr<Message> owned(message);
  // The environment is ending: nobody is left to hear it.
  if (static_cast<napi_env>(env) == nullptr) return;
  message->deliver(env, *handle, std::move(owned));
}

void EngineHandle::close() {
  if (engine_ == nullptr) return;
  engine_->close();
  engine_.reset();
  idle_steps_.clear();
  idle_results_.clear();
  napi_remove_env_cleanup_hook(env_, close_at_exit, this);
  results_.Release();
}

Napi::Value DataPlaneHandle::wrap(Napi::Env env, std::unique_ptr<DataPlaneListener> listener) {
  const auto finalize = [](Napi::Env, DataPlaneHandle* handle) { delete handle; };
  auto external = Napi::External<DataPlaneHandle>::New(env, new DataPlaneHandle(std::move(listener)), finalize);
  external.TypeTag(&kDataPlaneTag);
  return external;
}

DataPlaneHandle& DataPlaneHandle::unwrap(Napi::Value value) {
  if (!value.IsExternal() || !value.As<Napi::External<void>>().CheckTypeTag(&kDataPlaneTag))
    Reader(value, "dataPlane").expected("a data plane made by listenDataPlane");
  return *value.As<Napi::External<DataPlaneHandle>>().Data();
}

const std::shared_ptr<DataPlaneListener>& DataPlaneHandle::listener(Napi::Env env) const {
  if (listener_ == nullptr) throw to_error(env, Status(Code::kFailedPrecondition, "the data plane is closed; open another"));
  return listener_;
}

void EngineHandle::close_at_exit(void* handle) { static_cast<EngineHandle*>(handle)->close(); }

}  // namespace moesaic
