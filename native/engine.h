// Engine: an executor on a thread of its own. Jobs run one at a time in the order they were submitted.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "executor.h"
#include "status.h"

namespace moesaic {

// A piece of work for the engine thread. Whoever submits it gets it back through done, exactly once.
class EngineJob {
 public:
  virtual ~EngineJob() = default;
  // On the engine thread. Long work stops with kCancelled when `cancelled` becomes true.
  virtual Status run(Executor& executor, const std::atomic<bool>& cancelled) = 0;
  // After run, with its status; or without run, with kCancelled. On the engine thread. `self` is this job.
  virtual void done(std::unique_ptr<EngineJob> self, Status status) = 0;
};

class Engine {
 public:
  // Errors: as Executor::open.
  static StatusOr<std::unique_ptr<Engine>> open(RankProgram program, const EngineOptions& options);
  // Closes.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Any thread. Not after close.
  void submit(std::unique_ptr<EngineJob> job);
  // Lets the running step finish or, among several ranks, fail; cancels a running load and every waiting job, joins the
  // thread and frees the arenas.
  void close();

  Executor& executor() { return *executor_; }  // not after close

 private:
  explicit Engine(std::unique_ptr<Executor> executor);
  void run();
  std::unique_ptr<EngineJob> next_job();
  void cancel_waiting();

  std::unique_ptr<Executor> executor_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<EngineJob>> jobs_;  // guarded by mutex_
  std::atomic<bool> closing_{false};             // set under mutex_
  std::thread thread_;                           // last: it uses all of the above
};

}  // namespace moesaic
