// What collectives give, when nothing goes wrong.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "model.h"

namespace moesaic::test {
namespace {

TestGroup world_of(const Communicator& communicator) {
  std::vector<int32_t> ranks(static_cast<size_t>(communicator.world_size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return TestGroup{ranks, 0};
}

// Registers those groups that this rank is in.
std::vector<TestGroup> add_groups(Communicator& communicator, const std::vector<std::vector<int32_t>>& all) {
  std::vector<TestGroup> groups{world_of(communicator)};
  for (const std::vector<int32_t>& ranks : all) {
    groups.push_back(TestGroup{ranks, -1});
    if (groups.back().index_of(communicator.rank()) == ranks.size()) continue;
    StatusOr<GroupId> id = communicator.add_group(ranks);
    if (!id.ok()) fail(id.status().message());
    groups.back().id = id.value();
  }
  return groups;
}

std::vector<std::vector<int32_t>> some_groups(int32_t world_size) {
  std::vector<int32_t> even, high;
  for (int32_t rank = 0; rank < world_size; rank += 2) even.push_back(rank);
  for (int32_t rank = world_size / 2; rank < world_size; ++rank) high.push_back(rank);
  if (world_size == 1) return {};
  return {even, high, {0, world_size - 1}, {world_size / 2}};
}

double percentile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(part * static_cast<double>(values.size() - 1))];
}

// Microseconds per call, in order; measured by every rank.
std::vector<double> time_all_reduces(Communicator& communicator, size_t num_floats, int num_calls) {
  std::vector<float> values(num_floats, 1.0f);
  std::vector<double> times;
  for (int i = 0; i < num_calls; ++i) {
    const int64_t began_us = now_us();
    expect_ok(communicator.all_reduce(0, values), "all_reduce");
    times.push_back(static_cast<double>(now_us() - began_us));
    std::fill(values.begin(), values.end(), 1.0f);
  }
  return times;
}

std::string speed_line(Transport transport, int32_t num_ranks, size_t num_floats, const std::vector<double>& times) {
  const double p50 = percentile(times, 0.5);
  char line[160];
  std::snprintf(line, sizeof(line), "all_reduce %s, %d ranks, %zu bytes: p50 %.1f us, p99 %.1f us, %.2f GB/s of payload",
                name_of(transport), num_ranks, num_floats * sizeof(float), p50, percentile(times, 0.99),
                static_cast<double>(num_floats * sizeof(float)) / p50 / 1e3);
  return line;
}

}  // namespace

// Every rank makes the same random calls on several overlapping groups, and compares each result with a model that adds in rank
// order: so the bits are the same on all ranks and for both transports.
MOESAIC_TEST("mixed calls on overlapping groups give the model's bits, for 1 to 8 ranks") {
  for_both([](Transport transport) {
    for (int32_t num_ranks = 1; num_ranks <= 8; ++num_ranks)
      run_world({transport, num_ranks}, [&](Communicator& communicator) {
        const std::vector<TestGroup> groups = add_groups(communicator, some_groups(num_ranks));
        Random random(static_cast<uint64_t>(num_ranks) * 77 + 3);
        for (uint64_t call = 1; call <= 60; ++call) check_any(communicator, groups[random.below(groups.size())], random, call);
      });
  });
}

// Sizes around those of the slots, and well above what sockets buffer.
MOESAIC_TEST("data larger than any buffer arrives whole, while all ranks send at once") {
  for_both([](Transport transport) {
    for (const int32_t num_ranks : {2, 3, 4})
      run_world({transport, num_ranks}, [](Communicator& communicator) {
        const TestGroup world = world_of(communicator);
        uint64_t call = 1000;
        for (const size_t floats : {65'535u, 65'536u, 65'537u, 400'001u}) {
          check_all_reduce(communicator, world, ++call, floats);
          check_reduce_scatter(communicator, world, ++call, floats);
          check_all_gather(communicator, world, ++call, floats * sizeof(float));
          check_all_to_all(communicator, world, ++call, floats * sizeof(float));
          check_broadcast(communicator, world, ++call, floats * sizeof(float));
        }
        check_all_reduce(communicator, world, ++call, 4'000'003);
      });
  });
}

// 1e8 + 1 - 1e8 is 0 in rank order and 1 when rank 1 comes last; rank 0 does come last.
MOESAIC_TEST("sums are taken in rank order, whoever is late") {
  for_both([](Transport transport) {
    run_world({transport, 3}, [](Communicator& communicator) {
      constexpr float kValues[] = {1e8f, 1.0f, -1e8f};
      for (const int32_t late : {0, 1, 2}) {
        if (communicator.rank() == late) sleep_ms(20);
        float value = kValues[communicator.rank()];
        expect_ok(communicator.all_reduce(0, std::span(&value, 1)), "all_reduce");
        expect(value == 0.0f, text("rank ", late, " late: got ", value));
      }
    });
  });
}

MOESAIC_TEST("all_to_all: who gets nothing from anybody gets nothing") {
  for_both([](Transport transport) {
    run_world({transport, 3}, [](Communicator& communicator) {
      const std::vector<std::byte> send(7, std::byte{9});
      const std::vector<int64_t> send_begins = {0, 0, 7, 7};  // all to rank 1
      std::vector<std::byte> recv(21);
      std::vector<int64_t> recv_begins(4, -1);
      expect_ok(communicator.all_to_all(0, send, send_begins, recv, recv_begins), "all_to_all");
      const int64_t step = communicator.rank() == 1 ? 7 : 0;
      expect(recv_begins == std::vector<int64_t>({0, step, 2 * step, 3 * step}), "recv_begins are wrong");
    });
  });
}

MOESAIC_TEST("a recv that is too small is resource_exhausted, and the peers hear of it") {
  for_both([](Transport transport) {
    run_world({transport, 3}, [](Communicator& communicator) {
      const std::vector<std::byte> send(9);
      const std::vector<int64_t> send_begins = {0, 3, 6, 9};
      std::vector<std::byte> recv(communicator.rank() == 1 ? 8 : 9);
      std::vector<int64_t> recv_begins(4);
      const Status first = communicator.all_to_all(0, send, send_begins, recv, recv_begins);
      if (communicator.rank() == 1) return expect_code(first, Code::kResourceExhausted, "all_to_all #1: ");
      const Status next = communicator.all_to_all(0, send, send_begins, recv, recv_begins);
      expect_code(next, Code::kUnavailable, "rank 1 gave up: all_to_all #1: ");
    });
  });
}

MOESAIC_TEST("a broadcast that does not fit is resource_exhausted") {
  for_both([](Transport transport) {
    run_world({transport, 2}, [](Communicator& communicator) {
      std::vector<std::byte> data(communicator.rank() == 0 ? 10 : 9);
      const Status status = communicator.broadcast(0, 0, data, nullptr, Patience::kWhileItLives);
      if (communicator.rank() == 1) expect_code(status, Code::kResourceExhausted, "the root sends 10 bytes, data holds 9");
    });
  });
}

MOESAIC_TEST("stats count what this rank sent to others") {
  for_both([](Transport transport) {
    run_world({transport, 3}, [](Communicator& communicator) {
      const bool is_root = communicator.rank() == 0;
      std::vector<float> values(10, 1.0f), out(4);
      const std::vector<int32_t> row_begins = {0, 1, 3, 5};
      std::vector<std::byte> bytes(12), recv(12);
      const std::vector<int64_t> begins = {0, 4, 8, 12};
      std::vector<int64_t> recv_begins(4);
      expect_ok(communicator.all_reduce(0, values), "all_reduce");
      expect_ok(communicator.all_reduce(0, values), "all_reduce");
      expect_ok(communicator.reduce_scatter(0, values, row_begins, 2, out), "reduce_scatter");
      expect_ok(communicator.all_gather(0, std::span(recv).first(4), begins, bytes), "all_gather");
      expect_ok(communicator.all_to_all(0, bytes, begins, recv, recv_begins), "all_to_all");
      expect_ok(communicator.broadcast(0, 0, bytes, nullptr, Patience::kDeadline), "broadcast");
      // 40 bytes to two others, twice; rows of 8 bytes; 4 bytes to two others; all but 4 of 12 bytes; 12 bytes to two others.
      const uint64_t wanted[] = {160, is_root ? 32u : 24u, 8, 8, is_root ? 24u : 0u};
      const std::vector<CollectiveStats> stats = communicator.stats();
      expect(stats.size() == 5 && stats[0].calls == 2 && stats[1].calls == 1, "calls are wrong");
      for (size_t i = 0; i < 5; ++i)
        expect(stats[i].bytes == wanted[i], text(stats[i].name, ": ", stats[i].bytes, " bytes, expected ", wanted[i]));
    });
  });
}

MOESAIC_TEST("a wrong argument is invalid_argument and ends the epoch on all ranks") {
  using Call = Status (*)(Communicator&);
  static constexpr Call kCalls[] = {
      [](Communicator& it) { return it.all_reduce(7, {}); },
      [](Communicator& it) { return it.reduce_scatter(0, {}, std::vector<int32_t>{0, 0}, 1, {}); },
      [](Communicator& it) { return it.reduce_scatter(0, {}, std::vector<int32_t>{0, 1, 2}, 1, {}); },
      [](Communicator& it) { return it.reduce_scatter(0, {}, std::vector<int32_t>{0, 2, 1}, 0, {}); },
      [](Communicator& it) { return it.reduce_scatter(0, {}, std::vector<int32_t>{0, 0, 0}, -1, {}); },
      [](Communicator& it) { return it.reduce_scatter(0, std::vector<float>(2), std::vector<int32_t>{0, 1, 2}, 1, {}); },
      [](Communicator& it) { return it.all_gather(0, {}, std::vector<int64_t>{0, 1, 2}, {}); },
      [](Communicator& it) { return it.all_gather(0, std::vector<std::byte>(1), std::vector<int64_t>{0, 0, 0}, {}); },
      [](Communicator& it) { return it.all_gather(0, {}, std::vector<int64_t>{-1, 0, 0}, {}); },
      [](Communicator& it) { return it.all_to_all(0, {}, std::vector<int64_t>{0, 0, 1}, {}, {}); },
      [](Communicator& it) { return it.all_to_all(0, {}, std::vector<int64_t>{0, 0, 0}, {}, {}); },
      [](Communicator& it) { return it.broadcast(0, 2, {}, nullptr, Patience::kDeadline); },
      [](Communicator& it) { return it.broadcast(0, -1, {}, nullptr, Patience::kDeadline); },
  };
  for_both([](Transport transport) {
    for (const Call& call : kCalls)
      run_world({transport, 2}, [&](Communicator& communicator) {
        if (communicator.rank() == 0) return expect_code(call(communicator), Code::kInvalidArgument, "");
        float value = 0;
        expect_code(communicator.all_reduce(0, std::span(&value, 1)), Code::kUnavailable, "rank 0 gave up: ");
      });
  });
}

MOESAIC_TEST("a group that makes no sense is refused, a known one keeps its id") {
  run_world({Transport::kShm, 3}, [](Communicator& communicator) {
    if (communicator.rank() == 1) {
      for (const std::vector<int32_t>& wrong : {std::vector<int32_t>{}, {0, 2}, {1, 0}, {1, 1}, {1, 3}, {-1, 1}})
        expect_code(communicator.add_group(wrong).status(), Code::kInvalidArgument, "group of ranks ");
      expect(communicator.add_group({0, 1, 2}).value() == 0, "the world is group 0");
      const GroupId pair = communicator.add_group({0, 1}).value();
      expect(communicator.add_group({1}).value() != pair, "another group has another id");
      expect(communicator.add_group({0, 1}).value() == pair, "the same group keeps its id");
    }
    expect_ok(communicator.broadcast(0, 0, {}, nullptr, Patience::kDeadline), "broadcast");
    expect_code(communicator.add_group({0, 1, 2}).status(), Code::kFailedPrecondition, "before the first call");
  });
}

// The root of a broadcast waits for nobody while it has free slots, so it is often two calls ahead: a reader that finds the
// first slot empty and then the second one full must not take the second call for the first.
MOESAIC_TEST("a root that is ahead of its readers is read in order") {
  for_both([](Transport transport) {
    run_world({transport, 2}, [](Communicator& communicator) {
      for (uint64_t call = 1; call <= 30'000; ++call) {
        uint64_t value = communicator.rank() == 0 ? call : 0;
        const auto data = std::as_writable_bytes(std::span(&value, 1));
        expect_ok(communicator.broadcast(0, 0, data, nullptr, Patience::kDeadline), "broadcast");
        if (value != call) fail(text("call ", call, " brought ", value));
      }
    });
  });
}

MOESAIC_TEST("a rank may leave after its last call while others still read from it") {
  for_both([](Transport transport) {
    run_world({transport, 3}, [](Communicator& communicator) {
      if (communicator.rank() == 2) sleep_ms(50);
      check_broadcast(communicator, world_of(communicator), 3, 200'000);  // root 0, within the slots and the sockets' buffers
    });
  });
}

// On fewer cores than ranks, spinning would make each call take a time slice: seconds in all.
MOESAIC_TEST("8 ranks make 1,000 small all_reduces without spinning each other to death") {
  for_both([](Transport transport) {
    run_world({transport, 8}, [&](Communicator& communicator) {
      const int64_t began_us = now_us();
      const std::vector<double> times = time_all_reduces(communicator, 32, 1000);
      const int64_t took_ms = (now_us() - began_us) / 1000;
      if (communicator.rank() == 0) remark(speed_line(transport, 8, 32, times));
      expect(took_ms < 5000, text("1,000 calls took ", took_ms, " ms"));
    });
  });
}

MOESAIC_TEST("2 and 4 ranks make all_reduces of decode and prefill size") {
  for_both([](Transport transport) {
    for (const int32_t num_ranks : {2, 4})
      for (const size_t num_floats : {4u, 2880u, 92'160u, 1'474'560u})
        run_world({transport, num_ranks}, [&](Communicator& communicator) {
          const int num_calls = num_floats > 1'000'000 ? 20 : num_floats > 10'000 ? 200 : 2000;
          const std::vector<double> times = time_all_reduces(communicator, num_floats, num_calls);
          if (communicator.rank() == 0) remark(speed_line(transport, num_ranks, num_floats, times));
        });
  });
}

}  // namespace moesaic::test
