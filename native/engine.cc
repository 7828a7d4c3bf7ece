#include "engine.h"

#include <new>
#include <utility>

namespace moesaic {
namespace {

// Result columns grow in a step, and memory may be short: that ends the job, not the process.
Status run_job(EngineJob& job, Executor& executor, const std::atomic<bool>& cancelled) {
  try {
    return job.run(executor, cancelled);
  } catch (const std::bad_alloc&) {
    return Status(Code::kResourceExhausted, "the process is out of memory");
  }
}

}  // namespace

StatusOr<std::unique_ptr<Engine>> Engine::open(RankProgram program, const EngineOptions& options) {
  StatusOr<std::unique_ptr<Executor>> executor = Executor::open(std::move(program), options);
  if (!executor.ok()) return executor.status();
  return std::unique_ptr<Engine>(new Engine(std::move(executor.value())));
}

Engine::Engine(std::unique_ptr<Executor> executor) : executor_(std::move(executor)), thread_([this] { run(); }) {}

Engine::~Engine() { close(); }

void Engine::submit(std::unique_ptr<EngineJob> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Engine::close() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_one();
  executor_->abort("the engine was closed");
  thread_.join();
  executor_.reset();
}

void Engine::run() {
  // Fails only as every job will.
  static_cast<void>(executor_->enter_thread());
  while (std::unique_ptr<EngineJob> job = next_job()) {
    EngineJob& running = *job;
    Status status = run_job(running, *executor_, closing_);
    running.done(std::move(job), std::move(status));
  }
  cancel_waiting();
}

// Null when the engine closes.
std::unique_ptr<EngineJob> Engine::next_job() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
  if (closing_) return nullptr;
  std::unique_ptr<EngineJob> job = std::move(jobs_.front());
  jobs_.pop_front();
  return job;
}

void Engine::cancel_waiting() {
  const std::lock_guard lock(mutex_);
  for (std::unique_ptr<EngineJob>& job : jobs_) {
    EngineJob& waiting = *job;
    waiting.done(std::move(job), Status(Code::kCancelled, "the engine was closed before this was run"));
  }
  jobs_.clear();
}

}  // namespace moesaic
