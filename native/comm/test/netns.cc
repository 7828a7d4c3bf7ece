// Ranks in network namespaces of their own: every packet takes a millisecond, and links can be cut.
#include <sys/socket.h>

#include "model.h"
#include "packet_network.h"

namespace moesaic::test {
namespace {

constexpr int32_t kNumRanks = 4;
constexpr int32_t kDelayUs = 1000;
constexpr uint16_t kPort = 4000;

std::string address_of(int32_t rank) { return text(host_address(rank), ":", kPort); }

Fd enter_or_skip(int32_t rank) {
  StatusOr<Fd> interface = enter_network(rank);
  if (!interface.ok()) throw Skip{interface.status().message()};
  return std::move(interface.value());
}

struct Distant {
  int32_t deadline_ms;
  std::function<void(Communicator&)> body;
  std::function<void(Ranks&, PacketNetwork&)> meanwhile;
};

// Four ranks in four namespaces run the body, while the test may look on and cut links.
void run_distant(const Distant& distant) {
  int pair[2];
  expect(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0, "no socket pair");
  const Fd here(pair[0]), there(pair[1]);
  // The transport is named shm only so that no listeners are made before the namespaces are.
  Ranks ranks({Transport::kShm, kNumRanks, distant.deadline_ms}, [&](CommunicatorOptions options, DataPlaneListener*) {
    send_file(there.get(), options.rank, enter_or_skip(options.rank).get());
    for (PeerAddress& peer : options.peers) peer.addresses = {address_of(peer.rank)};
    const auto listener = listen_data_plane(address_of(options.rank));
    if (!listener.ok()) fail(listener.status().message());
    const auto communicator = connect_tcp(options, *listener.value());
    if (!communicator.ok()) fail(communicator.status().message());
    distant.body(*communicator.value());
  });
  std::vector<Fd> interfaces(kNumRanks);
  for (int32_t i = 0; i < kNumRanks; ++i) {
    int32_t rank = 0;
    Fd file = receive_file(here.get(), &rank);
    if (!file.is_open()) ranks.wait();
    expect(file.is_open(), "no interface came");
    interfaces[static_cast<size_t>(rank)] = std::move(file);
  }
  PacketNetwork network(std::move(interfaces), kDelayUs);
  if (distant.meanwhile) distant.meanwhile(ranks, network);
  ranks.wait();
}

void call_until_cut(Communicator& communicator, size_t num_floats) {
  std::vector<float> values(num_floats, 0.0f);
  Status status;
  own_report().stage = 1;
  while (status.ok()) status = communicator.all_reduce(0, values);
  report_status(status);
}

std::string message_of(Ranks& ranks, int32_t rank) { return ranks.report(rank).text; }

bool names(const std::string& message, int32_t rank) { return message.find(text("rank ", rank)) != std::string::npos; }

void expect_timely(Ranks& ranks, int64_t cut_us, int32_t deadline_ms) {
  for (int32_t rank = 0; rank < kNumRanks; ++rank) {
    const int64_t took_ms = (ranks.report(rank).at_us - cut_us) / 1000;
    expect(took_ms < deadline_ms + 300, text("rank ", rank, " ended after ", took_ms, " ms: ", message_of(ranks, rank)));
    expect(ranks.report(rank).code == static_cast<int32_t>(Code::kUnavailable), message_of(ranks, rank));
  }
}

}  // namespace

MOESAIC_TEST("four namespaces, 1 ms apart: mixed calls give the model's bits, and take the time that they must") {
  run_distant({20'000,
               [](Communicator& communicator) {
                 const TestGroup world{{0, 1, 2, 3}, 0};
                 Random random(5);
                 for (uint64_t call = 1; call <= 40; ++call) check_any(communicator, world, random, call);
                 const int64_t began_us = now_us();
                 for (uint64_t call = 100; call < 120; ++call) check_all_reduce(communicator, world, call, 10);
                 const int64_t took_us = now_us() - began_us;
                 expect(took_us >= 20 * kDelayUs, text("20 calls took ", took_us, " us: there was no delay"));
                 if (communicator.rank() == 0)
                   remark(text("all_reduce tcp, 4 ranks 1 ms apart, 40 bytes: ", took_us / 20, " us"));
               },
               {}});
}

MOESAIC_TEST("four namespaces: a cut link ends every rank's call within the deadline, and all name the link") {
  constexpr int32_t kDeadlineMs = 1000;
  for (const size_t num_floats : {100u, 100'000u}) {
    run_distant({kDeadlineMs, [&](Communicator& communicator) { call_until_cut(communicator, num_floats); },
                 [&](Ranks& ranks, PacketNetwork& network) {
                   ranks.wait_for_stage(1);
                   sleep_ms(200);
                   const int64_t cut_us = now_us();
                   network.cut(1, 3);
                   ranks.wait();
                   expect_timely(ranks, cut_us, kDeadlineMs);
                   for (int32_t rank = 0; rank < kNumRanks; ++rank) {
                     const std::string message = message_of(ranks, rank);
                     expect((rank == 1 || names(message, 1)) && (rank == 3 || names(message, 3)),
                            text("rank ", rank, " does not name the link: ", message));
                   }
                   remark(message_of(ranks, 0));
                 }});
  }
}

MOESAIC_TEST("four namespaces: a rank that is cut off altogether is named by all others") {
  constexpr int32_t kDeadlineMs = 1000;
  run_distant({kDeadlineMs, [](Communicator& communicator) { call_until_cut(communicator, 5000); },
               [&](Ranks& ranks, PacketNetwork& network) {
                 ranks.wait_for_stage(1);
                 sleep_ms(200);
                 const int64_t cut_us = now_us();
                 for (const int32_t other : {0, 1, 3}) network.cut(2, other);
                 ranks.wait();
                 expect_timely(ranks, cut_us, kDeadlineMs);
                 for (const int32_t rank : {0, 1, 3})
                   expect(names(message_of(ranks, rank), 2), text("rank ", rank, ": ", message_of(ranks, rank)));
               }});
}

}  // namespace moesaic::test
