#include "connect.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>
#include <span>
#include <utility>

#include "comm/mix.h"
#include "text.h"

namespace moesaic {
namespace {

// What every rank tells the others about its program: all fields but the vocabulary's must be equal.
struct Greeting {
  int32_t hidden_size, num_global_experts, experts_per_token, global_vocab_size;
  int32_t max_batched_tokens, max_sequences, max_seq_len, block_size, num_blocks;
  int32_t num_kv_groups, has_ops, has_sharded_ops;
  uint64_t layout;  // digest of groups, token owners and who holds which expert
  int32_t vocab_begin, vocab_size;
};
// The vocabulary's two come last.
constexpr size_t kSharedBytes = offsetof(Greeting, vocab_begin);

uint64_t mix_ranks(uint64_t digest, const std::vector<int32_t>& ranks) {
  digest = mix(digest, ranks.size());
  for (const int32_t rank : ranks) digest = mix(digest, static_cast<uint64_t>(rank));
  return digest;
}

uint64_t layout_digest(const RankProgram& program) {
  uint64_t digest = mix_ranks(0, program.token_owners);
  for (const std::vector<int32_t>& ranks : program.groups) digest = mix_ranks(digest, ranks);
  for (const std::vector<int32_t>& ranks : program.dims.expert_ranks) digest = mix_ranks(digest, ranks);
  return digest;
}

Greeting greeting_of(const RankProgram& program) {
  const ProgramDims& dims = program.dims;
  const ProgramLimits& limits = program.limits;
  return {dims.hidden_size, dims.num_global_experts, dims.experts_per_token, dims.global_vocab_size,
          limits.max_batched_tokens, limits.max_sequences, limits.max_seq_len, limits.block_size, limits.num_blocks,
          static_cast<int32_t>(program.kv_groups.size()), program.ops.empty() ? 0 : 1, program.has_sharded_ops ? 1 : 0,
          layout_digest(program),
          dims.vocab_begin, dims.vocab_size};
}

Status differ(int32_t rank, const char* what) {
  return Status(Code::kFailedPrecondition,
                text("rank ", rank, "'s program ", what, "; all ranks of an epoch need programs of one plan"));
}

// Shards lie one after the other in rank order, or every rank holds the whole.
Status check_vocabularies(const std::vector<Greeting>& greetings) {
  int32_t end = 0;
  const bool is_cut = greetings.front().vocab_size != greetings.front().global_vocab_size;
  for (size_t rank = 0; rank < greetings.size(); ++rank) {
    const Greeting& greeting = greetings[rank];
    const int32_t begin = is_cut ? end : 0;
    const bool fits = greeting.vocab_size >= 0 && greeting.vocab_size <= greeting.global_vocab_size - begin;
    if (greeting.vocab_begin != begin || !fits || (!is_cut && greeting.vocab_size != greeting.global_vocab_size))
      return differ(static_cast<int32_t>(rank), "has other rows of the vocabulary");
    end = begin + greeting.vocab_size;
  }
  if (end != greetings.front().global_vocab_size)
    return differ(static_cast<int32_t>(greetings.size()) - 1, "does not end the vocabulary");
  return {};
}

Status greet(const RankProgram& program, Communicator& communicator, std::vector<int32_t>& vocab_sizes) {
  const size_t world_size = static_cast<size_t>(communicator.world_size());
  const Greeting own = greeting_of(program);
  std::vector<Greeting> greetings(world_size);
  std::vector<int64_t> begins;
  for (size_t rank = 0; rank <= world_size; ++rank) begins.push_back(static_cast<int64_t>(rank * sizeof(Greeting)));
  Status status = communicator.all_gather(0, std::as_bytes(std::span(&own, 1)), begins,
                                          std::as_writable_bytes(std::span(greetings)));
  if (!status.ok()) return status;
  for (size_t rank = 0; rank < world_size; ++rank)
    if (std::memcmp(&greetings[rank], &own, kSharedBytes) != 0)
      return differ(static_cast<int32_t>(rank), "has other sizes, limits or groups");
  for (const Greeting& greeting : greetings) vocab_sizes.push_back(greeting.vocab_size);
  return check_vocabularies(greetings);
}

// A rank runs no collective of the groups of others.
Status add_groups(const RankProgram& program, Communicator& communicator, std::vector<GroupId>& ids) {
  for (const std::vector<int32_t>& group : program.groups) {
    ids.push_back(-1);
    if (index_of(group, program.rank) < 0) continue;
    StatusOr<GroupId> id = communicator.add_group(group);
    if (!id.ok()) return id.status();
    ids.back() = id.value();
  }
  return {};
}

std::vector<int32_t> on_own_host(const std::vector<int32_t>& ranks, const RankProgram& program,
                                 const std::vector<PeerAddress>& peers) {
  std::vector<int32_t> here;
  for (const int32_t rank : ranks)
    if (peers[rank].host_id == peers[program.rank].host_id) here.push_back(rank);
  return here;
}

// Whoever holds columns of the same rows: members of a group of the program, or ranks between which an expert is cut.
Status add_host_groups(const RankProgram& program, const std::vector<PeerAddress>& peers, Communicator& communicator,
                       RankLayout& layout) {
  std::vector<std::vector<int32_t>> candidates = program.groups;
  candidates.insert(candidates.end(), program.dims.expert_ranks.begin(), program.dims.expert_ranks.end());
  std::set<std::vector<int32_t>> seen;
  for (const std::vector<int32_t>& ranks : candidates) {
    const std::vector<int32_t> here = on_own_host(ranks, program, peers);
    if (here.size() < 2 || index_of(here, program.rank) < 0 || !seen.insert(here).second) continue;
    StatusOr<GroupId> id = communicator.add_group(here);
    if (!id.ok()) return id.status();
    layout.host_groups.emplace_back(here, id.value());
  }
  return {};
}

bool is_one_host(const std::vector<PeerAddress>& peers) {
  return std::all_of(peers.begin(), peers.end(),
                     [&](const PeerAddress& peer) { return peer.host_id == peers.front().host_id; });
}

}  // namespace

StatusOr<std::unique_ptr<Communicator>> connect_ranks(const RankProgram& program, const ConnectOptions& options,
                                                      DataPlaneListener& listener, const std::atomic<bool>& cancelled) {
  if (options.peers.size() != static_cast<size_t>(program.world_size))
    return Status(Code::kInvalidArgument,
                  text("options.peers: expected the ", program.world_size, " ranks of the program's world, got ",
                       options.peers.size()));
  const CommunicatorOptions communicator_options{program.rank, options.peers,       options.epoch,
                                                 options.key,  options.deadline_ms, &cancelled};
  const bool uses_shm =
      options.transport == Transport::kShm || (options.transport == Transport::kAuto && is_one_host(options.peers));
  return uses_shm ? connect_shm(communicator_options) : connect_tcp(communicator_options, listener);
}

StatusOr<RankLayout> meet_ranks(const RankProgram& program, const std::vector<PeerAddress>& peers, Communicator& communicator) {
  RankLayout layout;
  Status status = add_groups(program, communicator, layout.group_ids);
  if (status.ok()) status = add_host_groups(program, peers, communicator, layout);
  if (status.ok()) status = greet(program, communicator, layout.vocab_sizes);
  if (status.ok()) return layout;
  communicator.abort(status.message());
  return status;
}

}  // namespace moesaic
