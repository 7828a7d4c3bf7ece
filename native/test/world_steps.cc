// Whole engines, each in its process: what steps take, what large plans do, and how worlds end.
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>

#include "../host_device.h"
#include "world_allocations.h"
#include "world_engine.h"

namespace moesaic::test {
namespace {

// Lead and followers of one epoch: steps by `drive` on rank 0, which ends it in order.
using Drive = std::function<void(Executor&)>;

void run_epoch(Executor& engine, const Drive& drive) {
  if (engine.program().rank != 0) return expect_ok(engine.follow(), "follow");
  drive(engine);
  expect_ok(engine.end_epoch(), "end_epoch");
}

// 8 rows: a prompt each, as long as a step allows, then one token after the other.
std::vector<StepPlan> steps_of(const RankProgram& program, Placement placement) {
  std::vector<StepPlan> plans;
  const int32_t num_rows = program.limits.max_sequences;
  const int32_t prompt = program.limits.max_batched_tokens / num_rows;
  std::vector<Part> parts;
  const auto add = [&] { plans.push_back(world_step(program, static_cast<int64_t>(plans.size()) + 1, placement, parts)); };
  for (int32_t row = 0; row < num_rows; ++row) parts.push_back({row, 0, 1, true});
  add();
  for (int32_t row = 0; row < num_rows; ++row) parts[static_cast<size_t>(row)] = {row, 1, 1, false};
  add();
  for (int32_t row = 0; row < num_rows; ++row) parts[static_cast<size_t>(row)] = {row, 2, prompt, false};
  add();
  for (int32_t i = 0; i < 20; ++i) {
    for (Part& part : parts) part = {part.row, prompt + 2 + i, 1, false};
    add();
  }
  return plans;
}

int64_t resident_bytes() {
  int64_t total = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  const int got = std::fscanf(file, "%ld %ld", &total, &resident);
  std::fclose(file);
  expect(got == 2, "no /proc/self/statm");
  return resident * ::sysconf(_SC_PAGESIZE);
}

// Sanitizers keep memory that was freed for a while.
constexpr bool is_sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

// A job whose end the test waits for.
class StepJob final : public EngineJob {
 public:
  struct Outcome {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_done = false;
    Status status;
  };
  StepJob(Outcome& outcome, std::function<Status(Executor&)> work) : outcome_(outcome), work_(std::move(work)) {}
  Status run(Executor& executor, const std::atomic<bool>&) override { return work_(executor); }
  void done(std::unique_ptr<EngineJob>, Status status) override {
    const std::lock_guard lock(outcome_.mutex);
    outcome_.status = std::move(status);
    outcome_.is_done = true;
    outcome_.changed.notify_all();
  }

 private:
  Outcome& outcome_;
  const std::function<Status(Executor&)> work_;
};

// Runs `work` on the engine's thread.
Status run_on(Engine& engine, std::function<Status(Executor&)> work) {
  StepJob::Outcome outcome;
  engine.submit(std::make_unique<StepJob>(outcome, std::move(work)));
  std::unique_lock lock(outcome.mutex);
  outcome.changed.wait(lock, [&] { return outcome.is_done; });
  return outcome.status;
}

// Steps or follows on an engine thread until the epoch is lost, while another thread reads what may be read at any time.
void run_until_lost(const World& world, const CommunicatorOptions& options, DataPlaneListener* listener, Placement placement,
                    const std::function<void(Engine&)>& meanwhile) {
  auto opened = Engine::open(world_program(options.rank, world.num_ranks), reference_options());
  if (!opened.ok()) fail(opened.status().message());
  Engine& engine = *opened.value();
  expect_ok(run_on(engine, [&](Executor& it) { return connect_engine(it, world.transport, options, listener); }), "connect");
  expect_ok(run_on(engine, [](Executor& it) {
              return it.load_dummy(7, std::atomic<bool>{false}, [](int64_t) {}).ok() ? Status() : Status(Code::kInternal, "");
            }),
            "load");
  std::atomic<bool> is_over{false};
  std::thread reader([&] {
    while (!is_over) {
      engine.executor().progress();
      engine.executor().collective_stats();
      sleep_ms(1);
    }
  });
  own_report().stage = 1;
  std::thread other([&] { meanwhile(engine); });
  const std::vector<StepPlan> plans = steps_of(engine.executor().program(), placement);
  report_status(run_on(engine, [&](Executor& it) {
    if (options.rank != 0) return it.follow();
    StepResult result;
    for (const StepPlan& plan : plans)
      if (Status status = it.step(plan, result); !status.ok()) return status;
    // The last step again and again: its token is computed anew each time.
    while (true)
      if (Status status = it.step(plans.back(), result); !status.ok()) return status;
  }));
  is_over = true;
  reader.join();
  other.join();
}

void expect_lost(Ranks& ranks, int32_t rank, Code code, const std::string& part) {
  expect_code(Status(static_cast<Code>(ranks.report(rank).code), ranks.report(rank).text), code, part);
}

}  // namespace

// The first two steps are small; the third is the largest that the program allows.
MOESAIC_TEST("steps take nothing from the heap, however large they are, on any rank") {
  for_all_ways([](Transport transport, Placement placement) {
    const World world{transport, 3};
    Ranks ranks(world, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      const std::unique_ptr<Executor> engine = join_world(world, options, listener);
      const std::vector<StepPlan> plans = steps_of(engine->program(), placement);
      watch_steps(engine.get(), 3);
      run_epoch(*engine, [&](Executor& lead) {
        StepResult result;
        for (const StepPlan& plan : plans)
          if (Status status = lead.step(plan, result); !status.ok()) fail(status.message());
        if (result.token_ids.size() != 8) fail("expected 8 tokens");
      });
      watch_steps(nullptr, 0);
      // A rank that closes says so, and its peers keep the text: nobody closes while another still counts.
      own_report().stage = 1;
      for (int32_t rank = 0; rank < world.num_ranks; ++rank)
        while (ranks.report(rank).stage < 1) sleep_ms(1);
      const Allocations taken = allocations_of_steps();
      expect(engine->progress().step_id == static_cast<int64_t>(plans.size()), "it missed steps");
      expect(taken.count == 0, text(taken.count, " allocations of ", taken.bytes, " bytes while steps ran"));
    });
    ranks.wait();
  });
}

// What the workspace holds for collectives is part of what the engine takes, and grows with the step.
MOESAIC_TEST("what collectives pack is sized from the program") {
  const auto bytes_of = [](const RankProgram& program) {
    const StatusOr<BoundProgram> bound = bind_program(program, reference_options(), describe_host(1));
    if (!bound.ok()) fail(bound.status().message());
    expect(bound.value().exchange_bytes < bound.value().workspace_bytes, "the workspace does not hold it");
    return bound.value().exchange_bytes;
  };
  ProgramLimits large = kSmallLimits;
  large.max_batched_tokens *= 16;
  const int64_t small_bytes = bytes_of(world_program(0, 3));
  const int64_t large_bytes = bytes_of(world_program(0, 3, large));
  // At least the slots of each token of the step, at 32 floats.
  expect(small_bytes >= int64_t{64} * 2 * 32 * 4 && large_bytes >= int64_t{1024} * 2 * 32 * 4,
         text("only ", small_bytes, " and ", large_bytes, " bytes"));
}

// Tables of 30,000 blocks a row: the plan has hundreds of kilobytes, and what is behind its tables arrives as well.
MOESAIC_TEST("a plan of more than 64 KiB reaches all ranks whole") {
  for_all_ways([](Transport transport, Placement placement) {
    const World world{transport, 3};
    const ProgramLimits limits{64, 4, 30'000, 1, 130'000};
    Ranks ranks(world, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      const std::unique_ptr<Executor> engine = join_world(world, options, listener, limits);
      const RankProgram& program = engine->program();
      run_epoch(*engine, [&](Executor& lead) {
        StepResult result;
        std::vector<std::byte> message;
        for (int64_t step = 1; step <= 6; ++step) {
          const bool is_first = step % 2 == 1;
          const Part row_0{0, is_first ? 0 : 3, 3, is_first}, row_3{3, is_first ? 0 : 2, 2, is_first};
          StepPlan plan = world_step(program, step, placement, {row_0, row_3});
          // The rows that the next step begins again are given up behind the tables of others.
          if (is_first && step > 1) plan.finished_rows = {0, 3};
          encode_plan(plan, message);
          expect(!is_first || message.size() > 3 * kFirstBytes, text("the plan has only ", message.size(), " bytes"));
          expect_ok(lead.step(plan, result), text("step ", step));
        }
      });
      expect(engine->progress().step_id == 6, "it missed steps");
    });
    ranks.wait();
  });
}

MOESAIC_TEST("abort while an engine steps ends all, with the reason") {
  for_all_ways([](Transport transport, Placement placement) {
    const World world{transport, 4};
    Ranks ranks(world, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      run_until_lost(world, options, listener, placement, [&](Engine& engine) {
        sleep_ms(100);
        if (options.rank == 2) engine.executor().abort("the operator said so");
      });
    });
    ranks.wait();
    expect_lost(ranks, 2, Code::kCancelled, "aborted: the operator said so");
    for (const int32_t rank : {0, 1, 3}) expect_lost(ranks, rank, Code::kCancelled, "rank 2 aborted: the operator said so");
  });
}

MOESAIC_TEST("a process that is killed while engines step is named by all others") {
  for_all_ways([](Transport transport, Placement placement) {
    for (const int32_t victim : {0, 1}) {
      const World world{transport, 2 + 2 * victim, 5000};
      Ranks ranks(world, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
        run_until_lost(world, options, listener, placement, [](Engine&) {});
      });
      ranks.wait_for_stage(1);
      sleep_ms(50);
      ranks.signal(victim, SIGKILL);
      ranks.wait({victim});
      for (int32_t rank = 0; rank < world.num_ranks; ++rank)
        if (rank != victim) expect_lost(ranks, rank, Code::kUnavailable, text("rank ", victim));
    }
  });
}

MOESAIC_TEST("an engine that is closed while it waits for its peers stops waiting at once") {
  for_both([](Transport transport) {
    for (const int32_t alone : {0, 1}) {
      const World world{transport, 2, 30'000};
      Ranks ranks(world, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
        if (options.rank != alone) return;
        auto opened = Engine::open(world_program(alone, 2), reference_options());
        if (!opened.ok()) fail(opened.status().message());
        std::thread closer([&] {
          sleep_ms(100);
          own_report().at_us = now_us();
          opened.value()->executor().abort("changed its mind");
        });
        const Status status = run_on(
            *opened.value(), [&](Executor& it) { return connect_engine(it, transport, options, listener); });
        closer.join();
        expect_code(status, Code::kCancelled, "aborted: changed its mind");
        expect(now_us() - own_report().at_us < 2'000'000, "it went on waiting");
      });
      ranks.wait();
      expect_no_shared_memory_left();
    }
  });
}

// A peer that was stopped is there, takes what it is sent, and answers nothing.
MOESAIC_TEST("a rank that stops while engines step is named when the deadline is over") {
  for_both([](Transport transport) {
    const World world{transport, 3, 1500};
    Ranks ranks(world, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      run_until_lost(world, options, listener, Placement::kSharded, [](Engine&) {});
    });
    ranks.wait_for_stage(1);
    sleep_ms(50);
    const int64_t stopped_us = now_us();
    ranks.signal(1, SIGSTOP);
    ranks.wait({1});
    for (const int32_t rank : {0, 2}) {
      expect_lost(ranks, rank, Code::kUnavailable, "rank 1");
      expect(ranks.report(rank).at_us - stopped_us < 8'000'000, "long after the deadline");
    }
    ranks.signal(1, SIGCONT);
    ranks.wait();
  });
}

MOESAIC_TEST("100 epochs leave no file open and no memory behind") {
  for_both([](Transport transport) {
    const World world{transport, 2};
    Ranks ranks(world, [&](CommunicatorOptions options, DataPlaneListener* listener) {
      size_t num_files = 0;
      int64_t resident = 0;
      for (int32_t epoch = 0; epoch < 100; ++epoch) {
        ++options.epoch;
        options.key[0] = static_cast<std::byte>(epoch);
        {
          const std::unique_ptr<Executor> engine = join_world(world, options, listener);
          run_epoch(*engine, [&](Executor& lead) {
            StepResult result;
            expect_ok(lead.step(steps_of(lead.program(), Placement::kSharded).front(), result), "step");
          });
        }
        if (epoch == 20) num_files = count_open_files();
        if (epoch == 20) resident = resident_bytes();
      }
      expect(count_open_files() == num_files, text(num_files, " files were open, now ", count_open_files()));
      const int64_t grown = resident_bytes() - resident;
      expect(is_sanitized() || grown < 1 << 20, text("80 epochs took ", grown, " bytes"));
    });
    ranks.wait();
    expect_no_shared_memory_left();
  });
}

}  // namespace moesaic::test
