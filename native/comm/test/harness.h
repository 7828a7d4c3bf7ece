// What a communicator test is made of: ranks that are processes, as in life, and reports that they leave for the test.
//   MOESAIC_TEST("shm and tcp: ...") {
//     for_both([](Transport transport) {
//       run_world({transport, 4}, [](Communicator& communicator) { ... expect(...) ... });
//     });
//   }
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../../communicator.h"
#include "../../text.h"

namespace moesaic::test {

// ---- tests

struct Case {
  const char* name;
  void (*run)();
};

std::vector<Case>& all_cases();

struct Registration {
  Registration(const char* name, void (*run)());
};

#define MOESAIC_JOIN2(a, b) a##b
#define MOESAIC_JOIN(a, b) MOESAIC_JOIN2(a, b)
#define MOESAIC_TEST(name)                                                                                             \
  static void MOESAIC_JOIN(case_, __LINE__)();                                                                         \
  static const moesaic::test::Registration MOESAIC_JOIN(registration_, __LINE__)(name, MOESAIC_JOIN(case_, __LINE__)); \
  static void MOESAIC_JOIN(case_, __LINE__)()

struct Failure {
  std::string message;
};
struct Skip {
  std::string reason;
};

[[noreturn]] void fail(const std::string& message);
void expect(bool holds, const std::string& message);
void expect_ok(const Status& status, const std::string& what);
void expect_code(const Status& status, Code code, const std::string& part_of_message);
// A line among the results that is no result.
void remark(const std::string& line);

int64_t now_us();
void sleep_ms(int32_t milliseconds);
// Of this process.
size_t count_open_files();

// ---- worlds

enum class Transport { kShm, kTcp };
const char* name_of(Transport transport);
void for_both(const std::function<void(Transport)>& test);

struct World {
  Transport transport = Transport::kShm;
  int32_t num_ranks = 2;
  int32_t deadline_ms = 20'000;
};

// Options of every rank; for tcp the addresses are those of `listeners`.
CommunicatorOptions options_of(const World& world, int32_t rank);

using Body = std::function<void(Communicator&)>;
// The whole of a rank's process: connects by itself, or not at all.
using Process = std::function<void(const CommunicatorOptions&, DataPlaneListener*)>;

StatusOr<std::unique_ptr<Communicator>> connect(Transport transport, const CommunicatorOptions& options,
                                                DataPlaneListener* listener);

// What a rank leaves to the test. Lies in memory that all share.
struct Report {
  char failure[1024];  // of an expectation; empty: all held
  char text[1024];     // whatever the rank wants to tell
  int64_t at_us;       // and when
  int32_t code;
  std::atomic<int32_t> stage;  // the rank counts up what it has reached
};

class Ranks {
 public:
  // Starts one process per rank.
  Ranks(const World& world, const Process& process);
  // Ends those that still run.
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  Report& report(int32_t rank) { return reports_[rank]; }
  void signal(int32_t rank, int signal);
  // Until all living ranks have got as far as this.
  void wait_for_stage(int32_t stage);
  // Until all but these have ended; fails with what they report, when they crash, or when they take a minute.
  void wait(const std::vector<int32_t>& but = {});

 private:
  void start(int32_t rank, const Process& process);

  const World world_;
  Report* reports_;
  std::vector<pid_t> pids_;
  std::vector<std::unique_ptr<DataPlaneListener>> listeners_;
};

// In a rank's process: its own report.
Report& own_report();
void report_status(const Status& status);

// All ranks connect, run the body, and close; nothing may be left: no file descriptor, no shared memory.
void run_world(const World& world, const Body& body);
// Of the world that was started last.
void expect_no_shared_memory_left();

}  // namespace moesaic::test
