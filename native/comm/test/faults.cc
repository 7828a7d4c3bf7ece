// What happens when ranks die, stop, disagree or give up.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "../shm_mailboxes.h"
#include "../tcp_connect.h"
#include "model.h"

namespace moesaic::test {
namespace {

std::unique_ptr<Communicator> must_connect(Transport transport, const CommunicatorOptions& options,
                                           DataPlaneListener* listener) {
  StatusOr<std::unique_ptr<Communicator>> communicator = connect(transport, options, listener);
  if (!communicator.ok()) fail(communicator.status().message());
  return std::move(communicator.value());
}

Status one_call(Communicator& communicator) {
  std::vector<float> values(1000, 1.0f);
  return communicator.all_reduce(0, values);
}

// All-reduces until one fails, and reports how it did; then every later call must fail in the same way at once.
void call_until_it_fails(Communicator& communicator) {
  own_report().stage = 1;
  Status status;
  while (status.ok()) status = one_call(communicator);
  report_status(status);
  const int64_t began_us = now_us();
  expect_code(one_call(communicator), status.code(), status.message());
  expect(now_us() - began_us < 50'000, "a call after the end waited");
}

void run_until_failure(Transport transport, const CommunicatorOptions& options, DataPlaneListener* listener) {
  const std::unique_ptr<Communicator> communicator = must_connect(transport, options, listener);
  call_until_it_fails(*communicator);
}

void expect_report(Ranks& ranks, int32_t rank, Code code, const std::string& part, int64_t since_us, int64_t within_ms) {
  const Report& report = ranks.report(rank);
  expect_code(Status(static_cast<Code>(report.code), report.text), code, part);
  const int64_t took_ms = (report.at_us - since_us) / 1000;
  expect(took_ms <= within_ms, text("rank ", rank, " took ", took_ms, " ms to fail, expected ", within_ms, ": ", report.text));
}

// Connects one rank of `world` alone and gives back how that failed.
Status connect_alone(const World& world, int32_t rank) {
  Ranks ranks(world, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
    if (options.rank != rank) return;
    const auto communicator = connect(world.transport, options, listener);
    if (!communicator.ok()) report_status(communicator.status());
  });
  ranks.wait();
  return Status(static_cast<Code>(ranks.report(rank).code), ranks.report(rank).text);
}

Fd dial(const std::string& host_port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(host_port.substr(host_port.rfind(':') + 1))));
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  expect(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0, "cannot dial");
  return socket;
}

}  // namespace

MOESAIC_TEST("a killed rank is named by all others within a second, long before the deadline") {
  for_both([](Transport transport) {
    Ranks ranks({transport, 4}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      run_until_failure(transport, options, listener);
    });
    ranks.wait_for_stage(1);
    sleep_ms(50);
    const int64_t killed_us = now_us();
    ranks.signal(2, SIGKILL);
    ranks.wait({2});
    for (const int32_t rank : {0, 1, 3}) expect_report(ranks, rank, Code::kUnavailable, "rank 2", killed_us, 1000);
    expect_no_shared_memory_left();
  });
}

MOESAIC_TEST("a rank killed outside of any call is named by the next") {
  for_both([](Transport transport) {
    Ranks ranks({transport, 3}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      const std::unique_ptr<Communicator> communicator = must_connect(transport, options, listener);
      expect_ok(one_call(*communicator), "the first call");
      own_report().stage = 1;
      while (options.rank == 0) sleep_ms(1000);
      sleep_ms(200);
      call_until_it_fails(*communicator);
    });
    ranks.wait_for_stage(1);
    const int64_t killed_us = now_us();
    ranks.signal(0, SIGKILL);
    ranks.wait({0});
    for (const int32_t rank : {1, 2}) expect_report(ranks, rank, Code::kUnavailable, "rank 0", killed_us, 1200);
  });
}

MOESAIC_TEST("a stopped rank is named by all others at the deadline") {
  for_both([](Transport transport) {
    Ranks ranks({transport, 4, 500}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      run_until_failure(transport, options, listener);
    });
    ranks.wait_for_stage(1);
    sleep_ms(50);
    const int64_t stopped_us = now_us();
    ranks.signal(1, SIGSTOP);
    ranks.wait({1});
    for (const int32_t rank : {0, 2, 3}) {
      expect_report(ranks, rank, Code::kUnavailable, "rank 1", stopped_us, 1000);
      expect(ranks.report(rank).at_us - stopped_us > 400'000, "it failed before the deadline");
    }
    ranks.signal(1, SIGCONT);
    ranks.wait();
    expect(ranks.report(1).code != 0, "the rank that was stopped went on alone");
  });
}

// Rank 2 waits for rank 1, which waits for rank 0, which does not come: the one to blame is rank 0.
MOESAIC_TEST("who waits for a rank that waits itself names the one behind it") {
  for_both([](Transport transport) {
    Ranks ranks({transport, 3, 600}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      const std::unique_ptr<Communicator> communicator = must_connect(transport, options, listener);
      float value = 1;
      Status status;
      if (options.rank < 2) expect(communicator->add_group({0, 1}).ok(), "no group");
      const GroupId pair_of_2 = options.rank > 0 ? communicator->add_group({1, 2}).value() : 0;
      if (options.rank == 0) sleep_ms(1500);
      if (options.rank == 1) status = communicator->all_reduce(1, std::span(&value, 1));
      if (options.rank == 2) status = communicator->all_reduce(pair_of_2, std::span(&value, 1));
      report_status(status);
    });
    ranks.wait();
    expect_report(ranks, 1, Code::kUnavailable, "rank 0", 0, INT64_MAX);
    expect_report(ranks, 2, Code::kUnavailable, "rank 0", 0, INT64_MAX);
  });
}

// Where a part goes is not known before the sizes of all have come: ranks 0 and 2 have each other's, and wait for rank 1.
MOESAIC_TEST("all_to_all: who has sent its part is not blamed for a rank that has not") {
  for_both([](Transport transport) {
    Ranks ranks({transport, 3, 600}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      const std::unique_ptr<Communicator> communicator = must_connect(transport, options, listener);
      if (options.rank == 1) return sleep_ms(1500);
      std::vector<std::byte> bytes(3), recv(3);
      std::vector<int64_t> recv_begins(4);
      report_status(communicator->all_to_all(0, bytes, std::vector<int64_t>{0, 1, 2, 3}, recv, recv_begins));
    });
    ranks.wait();
    for (const int32_t rank : {0, 2}) {
      expect_report(ranks, rank, Code::kUnavailable, "rank 1 ", 0, INT64_MAX);
      const std::string message = ranks.report(rank).text;
      expect(message.find("rank 0 (") == std::string::npos && message.find("rank 2 (") == std::string::npos, message);
    }
  });
}

MOESAIC_TEST("abort from another thread ends a running call, here and on the peers, with the reason") {
  for_both([](Transport transport) {
    Ranks ranks({transport, 3}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      const std::unique_ptr<Communicator> communicator = must_connect(transport, options, listener);
      std::thread aborter;
      if (options.rank == 1)
        aborter = std::thread([&] {
          sleep_ms(100);
          own_report().stage = 2;
          communicator->abort("the coordinator is gone");
        });
      call_until_it_fails(*communicator);
      if (aborter.joinable()) aborter.join();
    });
    ranks.wait_for_stage(1);
    while (ranks.report(1).stage < 2) sleep_ms(1);
    const int64_t aborted_us = now_us();
    ranks.wait();
    expect_report(ranks, 1, Code::kCancelled, "aborted: the coordinator is gone", aborted_us, 500);
    for (const int32_t rank : {0, 2})
      expect_report(ranks, rank, Code::kCancelled, "rank 1 aborted: the coordinator is gone", aborted_us, 500);
  });
}

// Rank 1 waits for rank 2, which is outside of all calls, as is rank 0 when it aborts.
MOESAIC_TEST("abort outside of any call reaches a peer that waits for somebody else") {
  for_both([](Transport transport) {
    Ranks ranks({transport, 3}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      const std::unique_ptr<Communicator> communicator = must_connect(transport, options, listener);
      own_report().stage = 1;
      float value = 0;
      if (options.rank == 1) {
        expect(communicator->add_group({1, 2}).ok(), "no group");
        return report_status(communicator->all_reduce(1, std::span(&value, 1)));
      }
      sleep_ms(options.rank == 0 ? 100 : 400);
      own_report().at_us = now_us();
      if (options.rank == 0) communicator->abort("enough");
      const Status next = one_call(*communicator);
      expect_code(next, Code::kCancelled, options.rank == 0 ? "aborted: enough" : "rank 0 aborted: enough");
      sleep_ms(300);
    });
    ranks.wait();
    expect_report(ranks, 1, Code::kCancelled, "rank 0 aborted: enough", ranks.report(0).at_us, 200);
  });
}

// Rank 0 has sent its part of a second all_to_all before it aborts: the notice is behind bytes that rank 1 has not asked for.
MOESAIC_TEST("abort is heard behind data that nobody has asked for yet") {
  for_both([](Transport transport) {
    Ranks ranks({transport, 3}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      const std::unique_ptr<Communicator> communicator = must_connect(transport, options, listener);
      std::vector<std::byte> bytes(3000), recv(9000);
      std::vector<int64_t> recv_begins(4);
      std::thread aborter;
      if (options.rank == 0)
        aborter = std::thread([&] {
          sleep_ms(100);
          own_report().at_us = now_us();
          communicator->abort("enough");
        });
      if (options.rank == 2) sleep_ms(400);
      const Status status = communicator->all_to_all(0, bytes, std::vector<int64_t>{0, 1000, 2000, 3000}, recv, recv_begins);
      if (options.rank == 1) report_status(status);
      expect_code(status, Code::kCancelled, "aborted: enough");
      if (aborter.joinable()) aborter.join();
      if (options.rank == 0) sleep_ms(400);
    });
    ranks.wait();
    expect_report(ranks, 1, Code::kCancelled, "rank 0 aborted: enough", ranks.report(0).at_us, 200);
  });
}

MOESAIC_TEST("ranks whose calls differ refuse to mix them up, and say which they are at") {
  for_both([](Transport transport) {
    run_world({transport, 2}, [](Communicator& communicator) {
      std::vector<float> values(4);
      std::vector<std::byte> bytes(16);
      const bool is_first = communicator.rank() == 0;
      expect_ok(communicator.all_reduce(0, values), "all_reduce");
      const Status status = is_first
                                ? communicator.all_reduce(0, values)
                                : communicator.all_gather(0, std::span(bytes).first(8), std::vector<int64_t>{0, 8, 16}, bytes);
      expect(!status.ok(), "the call went well");
      const std::string message = status.message();
      expect(message.find("all_reduce #2") != std::string::npos && message.find("all_gather #2") != std::string::npos,
             text("expected both calls in: ", message));
    });
  });
}

MOESAIC_TEST("ranks that bring different sizes refuse") {
  for_both([](Transport transport) {
    run_world({transport, 2}, [](Communicator& communicator) {
      std::vector<float> values(communicator.rank() == 0 ? 4 : 5);
      expect(!communicator.all_reduce(0, values).ok(), "the call went well");
      const std::string message = communicator.all_reduce(0, values).message();
      expect(message.find("16") != std::string::npos && message.find("20") != std::string::npos,
             text("expected both sizes in: ", message));
    });
  });
}

MOESAIC_TEST("a rank that leaves a call out is found out by the next") {
  for_both([](Transport transport) {
    run_world({transport, 2, 500}, [](Communicator& communicator) {
      std::vector<std::byte> data(1);
      if (communicator.rank() == 0)
        expect_ok(communicator.broadcast(0, 0, data, nullptr, Patience::kWhileItLives), "broadcast");
      std::vector<float> values(1);
      const Status status = communicator.all_reduce(0, values);
      if (communicator.rank() == 1)
        return expect_code(status, Code::kInternal, "is at broadcast #1, this rank at all_reduce #1");
      expect(!status.ok(), "the call went well");
    });
  });
}

MOESAIC_TEST("a rank that does not come is named when all should be connected") {
  for_both([](Transport transport) {
    Ranks ranks({transport, 4, 400}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      if (options.rank == 2) return;
      report_status(connect(transport, options, listener).status());
    });
    ranks.wait();
    for (const int32_t rank : {0, 1, 3}) {
      const Report& report = ranks.report(rank);
      expect(report.code == static_cast<int32_t>(Code::kUnavailable), text("rank ", rank, ": ", report.text));
      // The first to notice leaves, so the others may name that one.
      expect(std::strstr(report.text, "rank ") != nullptr, report.text);
    }
    expect_code(Status(Code::kUnavailable, ranks.report(0).text), Code::kUnavailable,
                transport == Transport::kTcp ? "rank 2" : "");
    expect_no_shared_memory_left();
  });
}

MOESAIC_TEST("a rank killed while the others attach leaves no shared memory behind") {
  for (const int32_t victim : {0, 1}) {
    Ranks ranks({Transport::kShm, 3, 400}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      if (options.rank == 2) return;
      own_report().stage = 1;
      report_status(connect(Transport::kShm, options, listener).status());
    });
    while (ranks.report(0).stage < 1 || ranks.report(1).stage < 1) sleep_ms(1);
    sleep_ms(100);
    ranks.signal(victim, SIGKILL);
    ranks.wait({victim});
    expect_report(ranks, 1 - victim, Code::kUnavailable, text("rank ", victim, " left"), 0, INT64_MAX);
    expect_no_shared_memory_left();
  }
}

MOESAIC_TEST("a peer of another epoch or with another key is refused, and both sides say why") {
  for_both([](Transport transport) {
    for (const bool is_other_epoch : {true, false}) {
      Ranks ranks({transport, 2, 400}, [&](CommunicatorOptions options, DataPlaneListener* listener) {
        if (options.rank == 1 && is_other_epoch) ++options.epoch;
        if (options.rank == 1 && !is_other_epoch) options.key[31] ^= std::byte{1};
        report_status(connect(transport, options, listener).status());
      });
      ranks.wait();
      const std::string why = transport == Transport::kShm ? "" : is_other_epoch ? "epoch" : "key";
      expect_report(ranks, 0, Code::kUnavailable, why, 0, INT64_MAX);
      expect_report(ranks, 1, Code::kUnavailable, why, 0, INT64_MAX);
      expect_no_shared_memory_left();
    }
  });
}

MOESAIC_TEST("two processes that both are rank 1 are told so") {
  Ranks ranks({Transport::kShm, 3, 400}, [&](CommunicatorOptions options, DataPlaneListener* listener) {
    if (options.rank == 2) options.rank = 1;
    report_status(connect(Transport::kShm, options, listener).status());
  });
  ranks.wait();
  const std::string both = text(ranks.report(1).text, ranks.report(2).text);
  expect(both.find("another process is rank 1") != std::string::npos, both);
  expect_no_shared_memory_left();
}

// Strangers that say nothing, that say nonsense, and that leave at once, at every door.
MOESAIC_TEST("tcp: strangers at the door keep nobody out") {
  Ranks ranks({Transport::kTcp, 3, 5000}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
    std::vector<Fd> strangers;
    for (const PeerAddress& peer : options.peers)
      for (int i = 0; i < 10; ++i) {
        strangers.push_back(dial(peer.addresses.front()));
        const std::string nonsense(i % 3 * 100, 'x');
        expect(::send(strangers.back().get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL) >= 0, "cannot send");
        if (i % 4 == 0) strangers.pop_back();
      }
    const int64_t began_us = now_us();
    const std::unique_ptr<Communicator> communicator = must_connect(Transport::kTcp, options, listener);
    expect(now_us() - began_us < 3'000'000, "connecting took long");
    expect_ok(one_call(*communicator), "all_reduce");
  });
  ranks.wait();
}

// Rank 1 has the key and goes mad: what it sends instead of its part must be an error that names it, whatever it is.
MOESAIC_TEST("tcp: a peer that sends nonsense is an error that names it") {
  struct Nonsense {
    Code code;
    std::string part;
    std::function<void(FrameHeader&)> spoil;
  };
  const std::vector<Nonsense> all = {
      {Code::kUnavailable, "sent bytes that are no frame during all_to_all #1", [](FrameHeader& frame) { ++frame.magic; }},
      {Code::kUnavailable, "sent bytes that are no frame", [](FrameHeader& frame) { frame.type = static_cast<FrameType>(9); }},
      {Code::kUnavailable, "sent bytes that are no frame",
       [](FrameHeader& frame) {
         frame.type = FrameType::kNotice;
         frame.bytes = uint64_t{1} << 40;
       }},
      {Code::kResourceExhausted, "more than the 2 bytes", [](FrameHeader& frame) { frame.bytes = UINT64_MAX; }},
      {Code::kInternal, "is at an unknown call #1", [](FrameHeader& frame) { frame.call.kind = static_cast<CallKind>(77); }},
      {Code::kInternal, "of a group that this rank is not in", [](FrameHeader& frame) { ++frame.call.group; }},
      {Code::kInternal, "is at all_to_all #7", [](FrameHeader& frame) { frame.call.seq = 7; }},
      {Code::kUnavailable, "closed the link during all_to_all #1, 0 of 1 bytes", [](FrameHeader&) {}},
  };
  for (const Nonsense& nonsense : all) {
    Ranks ranks({Transport::kTcp, 2, 2000}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      if (options.rank == 1) {
        auto links = connect_links(options, dynamic_cast<TcpListener&>(*listener));
        if (!links.ok()) fail(links.status().message());
        FrameHeader frame;
        frame.call = CallKey{Groups(1, 2).find(0)->key, 1, CallKind::kAllToAll};
        frame.bytes = 1;
        nonsense.spoil(frame);
        expect(::send(links.value()[0]->fd(), &frame, sizeof(frame), MSG_NOSIGNAL) == sizeof(frame), "cannot send");
        return;
      }
      const std::unique_ptr<Communicator> communicator = must_connect(Transport::kTcp, options, listener);
      std::vector<std::byte> bytes(2), recv(2);
      std::vector<int64_t> recv_begins(3);
      report_status(communicator->all_to_all(0, bytes, std::vector<int64_t>{0, 1, 2}, recv, recv_begins));
    });
    ranks.wait();
    expect_report(ranks, 0, nonsense.code, nonsense.part, 0, INT64_MAX);
    const std::string message = ranks.report(0).text;
    expect(nonsense.code == Code::kResourceExhausted || message.find("rank 1 (127.0.0.1:") != std::string::npos, message);
  }
}

// The same in shared memory, where sizes are read from what the peer wrote.
MOESAIC_TEST("shm: sizes that make no sense are refused before a byte is copied") {
  for (const int64_t bytes : {int64_t{-8}, int64_t{3}, INT64_MIN, INT64_MAX}) {
    Ranks ranks({Transport::kShm, 2, 2000}, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
      if (options.rank == 0) {
        const std::unique_ptr<Communicator> communicator = must_connect(Transport::kShm, options, listener);
        std::vector<std::byte> send(2), recv(2);
        std::vector<int64_t> recv_begins(3);
        return report_status(communicator->all_to_all(0, send, std::vector<int64_t>{0, 1, 2}, recv, recv_begins));
      }
      auto segment = ShmSegment::open(options);
      if (!segment.ok()) fail(segment.status().message());
      Groups groups(1, 2);
      Ending ending(1);
      ShmMailboxes mailboxes(options, *segment.value(), groups, ending);
      const Call call{CallKey{groups.find(0)->key, 1, CallKind::kAllToAll}, groups.find(0)};
      Slot slot;
      expect_ok(mailboxes.claim(call, &slot), "claim");
      slot.header->chunk = 0;
      slot.header->num_chunks = 1;
      slot.header->part_bytes[0] = bytes;
      mailboxes.publish(call, slot);
      sleep_ms(200);
    });
    ranks.wait();
    expect_report(ranks, 0, Code::kResourceExhausted, "recv holds 2", 0, INT64_MAX);
  }
}

MOESAIC_TEST("tcp: a listener serves one epoch after the other") {
  Ranks ranks({Transport::kTcp, 3}, [&](CommunicatorOptions options, DataPlaneListener* listener) {
    for (int i = 0; i < 5; ++i) {
      ++options.epoch;
      options.key[0] = static_cast<std::byte>(i);
      const std::unique_ptr<Communicator> communicator = must_connect(Transport::kTcp, options, listener);
      expect_ok(one_call(*communicator), "all_reduce");
    }
  });
  ranks.wait();
}

MOESAIC_TEST("tcp: an address that nobody serves is passed over for one that works") {
  Ranks ranks({Transport::kTcp, 2, 4000}, [&](CommunicatorOptions options, DataPlaneListener* listener) {
    for (PeerAddress& peer : options.peers)
      peer.addresses.insert(peer.addresses.begin(), {"127.0.0.1:1", "no such host:1", "nonsense"});
    const std::unique_ptr<Communicator> communicator = must_connect(Transport::kTcp, options, listener);
    expect_ok(one_call(*communicator), "all_reduce");
  });
  ranks.wait();
}

MOESAIC_TEST("tcp: wrong addresses to listen on are refused with the reason") {
  for (const char* wrong : {"", "nonsense", ":1", "1.2.3.4", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:5", "[]:5"})
    expect_code(listen_data_plane(wrong).status(), Code::kInvalidArgument, "is not host:port");
  const auto first = listen_data_plane("127.0.0.1:0");
  if (!first.ok()) fail(first.status().message());
  expect_code(listen_data_plane(first.value()->addresses().front()).status(), Code::kFailedPrecondition, "cannot listen on");
  const auto any = listen_data_plane("0.0.0.0:0");
  if (!any.ok()) fail(any.status().message());
  for (const std::string& address : any.value()->addresses()) expect(address.rfind("0.0.0.0", 0) != 0, address);
  expect(!any.value()->addresses().empty(), "no address");
}

MOESAIC_TEST("options that make no sense are refused") {
  const auto refuse = [](Code code, const std::string& part, const std::function<void(CommunicatorOptions&)>& spoil) {
    CommunicatorOptions options = options_of({Transport::kShm, 2}, 0);
    spoil(options);
    expect_code(connect_shm(options).status(), code, part);
  };
  refuse(Code::kInvalidArgument, "key", [](CommunicatorOptions& options) { options.key.pop_back(); });
  refuse(Code::kInvalidArgument, "deadline", [](CommunicatorOptions& options) { options.deadline_ms = 0; });
  refuse(Code::kInvalidArgument, "rank 2", [](CommunicatorOptions& options) { options.rank = 2; });
  refuse(Code::kInvalidArgument, "rank -1", [](CommunicatorOptions& options) { options.rank = -1; });
  refuse(Code::kInvalidArgument, "peers[0]",
         [](CommunicatorOptions& options) { std::swap(options.peers[0], options.peers[1]); });
  refuse(Code::kInvalidArgument, "0 peers", [](CommunicatorOptions& options) { options.peers.clear(); });
  refuse(Code::kFailedPrecondition, "use tcp", [](CommunicatorOptions& options) { options.peers[1].host_id = "there"; });
  expect_code(connect_alone({Transport::kShm, 70, 300}, 0), Code::kFailedPrecondition, "use tcp");
  expect_no_shared_memory_left();
}

MOESAIC_TEST("a rank alone at its door says whom it missed") {
  expect_code(connect_alone({Transport::kShm, 2, 200}, 0), Code::kUnavailable, "rank 1 did not attach within 200 ms");
  expect_code(connect_alone({Transport::kShm, 2, 200}, 1), Code::kUnavailable, "rank 0 did not appear within 200 ms");
  expect_code(connect_alone({Transport::kTcp, 2, 200}, 0), Code::kUnavailable, "rank 1 did not connect within 200 ms");
  expect_code(connect_alone({Transport::kTcp, 2, 200}, 1), Code::kUnavailable, "rank 0 could not be reached within 200 ms");
  expect_no_shared_memory_left();
}

}  // namespace moesaic::test
