#include "world_engine.h"

namespace moesaic::test {
namespace {

// The ranks' own, or one that nobody dials.
std::shared_ptr<DataPlaneListener> share(DataPlaneListener* listener) {
  if (listener != nullptr) return {listener, [](DataPlaneListener*) {}};
  StatusOr<std::unique_ptr<DataPlaneListener>> made = listen_data_plane("127.0.0.1:0");
  if (!made.ok()) fail(made.status().message());
  return std::move(made.value());
}

}  // namespace

std::unique_ptr<Executor> join_world(const World& world, const CommunicatorOptions& options, DataPlaneListener* listener,
                                     const ProgramLimits& limits) {
  auto opened = Executor::open(world_program(options.rank, world.num_ranks, limits), reference_options());
  if (!opened.ok()) fail(opened.status().message());
  std::unique_ptr<Executor> engine = std::move(opened.value());
  expect_ok(connect_engine(*engine, world.transport, options, listener), "connect");
  const auto loaded = engine->load_dummy(7, std::atomic<bool>{false}, [](int64_t) {});
  if (!loaded.ok()) fail(loaded.status().message());
  return engine;
}

Status connect_engine(Executor& engine, Transport transport, const CommunicatorOptions& options, DataPlaneListener* listener) {
  const ConnectOptions connect{options.epoch, options.peers, options.key, options.deadline_ms,
                               transport == Transport::kShm ? moesaic::Transport::kShm : moesaic::Transport::kTcp};
  return engine.connect(connect, share(listener));
}

void for_all_ways(const std::function<void(Transport, Placement)>& test) {
  for (const Placement placement : {Placement::kReplicated, Placement::kSharded})
    for_both([&](Transport transport) { test(transport, placement); });
}

}  // namespace moesaic::test
