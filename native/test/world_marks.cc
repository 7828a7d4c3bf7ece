// CudaMarks against a driver that is made up: a GPU is not needed to see when a stream is held back and let go.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "../comm/test/harness.h"
#include "../cuda_marks.h"

namespace moesaic::test {
namespace {

// One stream, whose clock moves by a millisecond with each event. It can be waited for only while nothing holds it back.
struct FakeStream {
  const uint32_t* held_by = nullptr;
  float now_ms = 0;
  int num_holds = 0;
  int num_waits = 0;
  bool waited_while_held = false;
  std::vector<std::unique_ptr<float>> events;
};

FakeStream* stream = nullptr;

bool is_held() {
  return stream->held_by != nullptr &&
         std::atomic_ref(*const_cast<uint32_t*>(stream->held_by)).load(std::memory_order_seq_cst) == 0;
}

CudaDriver fake_driver() {
  CudaDriver driver{};
  driver.event_create = [](CuEvent** event, unsigned) {
    *event = reinterpret_cast<CuEvent*>(stream->events.emplace_back(std::make_unique<float>(0)).get());
    return 0;
  };
  driver.event_destroy = [](CuEvent*) { return 0; };
  driver.event_record = [](CuEvent* event, CuStream*) {
    *reinterpret_cast<float*>(event) = stream->now_ms += 1;
    return 0;
  };
  driver.event_elapsed_time = [](float* ms, CuEvent* begin, CuEvent* end) {
    *ms = *reinterpret_cast<float*>(end) - *reinterpret_cast<float*>(begin);
    return 0;
  };
  driver.stream_wait_value = [](CuStream*, CuAddress address, uint32_t, unsigned) {
    stream->held_by = reinterpret_cast<const uint32_t*>(address);
    ++stream->num_holds;
    return 0;
  };
  driver.stream_synchronize = [](CuStream*) {
    ++stream->num_waits;
    stream->waited_while_held = stream->waited_while_held || is_held();
    return 0;
  };
  return driver;
}

Arena word() {
  StatusOr<Arena> arena = Arena::map("a word", sizeof(uint32_t), false);
  expect(arena.ok(), "no memory for a word");
  return std::move(arena.value());
}

}  // namespace

MOESAIC_TEST("marks: each time is from one mark to the next, also across the ends of what is held back at a time") {
  FakeStream fake;
  stream = &fake;
  const CudaDriver driver = fake_driver();
  CudaMarks marks(driver, nullptr, word());
  for (int round = 0; round < 2; ++round) {
    fake.num_holds = 0;
    for (int i = 0; i < 100; ++i) {
      expect_ok(marks.add(), "a mark");
      expect(is_held(), "the stream runs while work is queued");
    }
    marks.release();
    expect(!is_held(), "the stream is held after it was let go");
    StatusOr<std::vector<double>> times = marks.read();
    expect(times.ok() && times.value().size() == 99, "wanted 99 times");
    for (const double us : times.value()) expect(us == 1e3, text("wanted 1000 us, got ", us));
    expect(fake.num_holds == 4, text("wanted 4 holds for 100 marks, got ", fake.num_holds));
  }
  expect(!fake.waited_while_held, "the host waited for a stream that waits for it");
  expect(fake.events.size() == 104, text("wanted the events of the first round again, there are ", fake.events.size()));
}

MOESAIC_TEST("marks: a stream that nobody lets go goes on by itself") {
  FakeStream fake;
  stream = &fake;
  const CudaDriver driver = fake_driver();
  CudaMarks marks(driver, nullptr, word());
  expect_ok(marks.add(), "a mark");
  for (int i = 0; i < 1000 && is_held(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  expect(!is_held(), "the stream was held for 10 s");
}

}  // namespace moesaic::test
