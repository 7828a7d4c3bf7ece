// What `moesaic bench comm` measures: collectives among ranks, and what bounds them: a copy in memory, a plain socket.
#pragma once

#include <cstdint>
#include <vector>

#include "connect.h"
#include "status.h"

namespace moesaic {

enum class BenchCollective { kAllReduce, kReduceScatter, kAllGather, kAllToAll, kBroadcast };

// `calls` of one collective on float32 rows: what is summed, what is gathered, what a rank sends to all, what rank 0 spreads.
struct CollectiveRun {
  BenchCollective collective = BenchCollective::kAllReduce;
  int32_t rows = 1;
  int32_t cols = 1;
  int32_t calls = 1;
  int32_t late_us = 0;  // how much later than the others rank 0 begins: they sleep by then and must be woken
};

// Of each call, by the machine's monotonic clock, which all its processes share; microseconds.
struct CollectiveTimes {
  std::vector<double> began_us, ended_us;
  double sent_bytes = 0;  // by this rank to others, of one call
};

// Joins the ranks of `options` as `rank`, does the runs, all ranks the same, and leaves. Blocks. Every result is compared with
// what it has to be: kInternal when it is another.
StatusOr<std::vector<CollectiveTimes>> measure_collectives(int32_t rank, const ConnectOptions& options,
                                                           DataPlaneListener& listener,
                                                           const std::vector<CollectiveRun>& runs);

// Microseconds that one thread takes to copy `bytes` from memory to memory, of each of `calls`. Blocks.
std::vector<double> measure_copy(int64_t bytes, int32_t calls);

// Microseconds that `bytes` take through one plain tcp connection of the loopback interface, half of each of `calls` round
// trips. Blocks.
StatusOr<std::vector<double>> measure_socket(int64_t bytes, int32_t calls);

}  // namespace moesaic
