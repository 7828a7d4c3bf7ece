#include "model.h"

#include <algorithm>
#include <cstring>

namespace moesaic::test {
namespace {

uint64_t seed_of(uint64_t call, int32_t rank) { return call * 1'000'003 + static_cast<uint64_t>(rank) * 7919 + 17; }

// Member m's part of a call is between nothing and `count` long, and often nothing.
size_t part_size(uint64_t call, size_t from, size_t to, size_t count) {
  Random random(call * 31 + from * 1009 + to * 9176 + 5);
  random.next();
  const uint64_t dice = random.below(4);
  if (dice == 0) return 0;
  return dice == 1 ? count : random.below(count + 1);
}

std::vector<float> sum_of(uint64_t call, const TestGroup& group, size_t count) {
  std::vector<float> sum = values_of(call, group.ranks[0], count);
  for (size_t m = 1; m < group.size(); ++m) {
    const std::vector<float> more = values_of(call, group.ranks[m], count);
    for (size_t i = 0; i < count; ++i) sum[i] += more[i];
  }
  return sum;
}

template <typename T>
void expect_same(const std::vector<T>& got, const std::vector<T>& wanted, size_t count, const std::string& what) {
  for (size_t i = 0; i < count; ++i)
    if (std::memcmp(&got[i], &wanted[i], sizeof(T)) != 0) fail(text(what, " differs from the model at ", i, " of ", count));
}

}  // namespace

uint64_t Random::next() {
  state_ ^= state_ << 13;
  state_ ^= state_ >> 7;
  state_ ^= state_ << 17;
  return state_ * 0x2545f4914f6cdd1du >> 11;
}

std::vector<float> values_of(uint64_t call, int32_t rank, size_t count) {
  Random random(seed_of(call, rank));
  std::vector<float> values(count);
  for (float& value : values) {
    const uint64_t bits = random.next();
    const auto scale = static_cast<float>(uint64_t{1} << (bits & 31));
    value = (static_cast<float>(bits >> 8 & 0xffffff) - 8388608.0f) * scale;
  }
  return values;
}

std::vector<std::byte> bytes_of(uint64_t call, int32_t rank, size_t count) {
  Random random(seed_of(call, rank));
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

size_t TestGroup::index_of(int32_t rank) const {
  return static_cast<size_t>(std::find(ranks.begin(), ranks.end(), rank) - ranks.begin());
}

void check_all_reduce(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count) {
  std::vector<float> values = values_of(call, communicator.rank(), count);
  expect_ok(communicator.all_reduce(group.id, values), "all_reduce");
  expect_same(values, sum_of(call, group, count), count, "all_reduce");
}

void check_reduce_scatter(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count) {
  constexpr int32_t kCols = 3;
  std::vector<int32_t> row_begins{0};
  for (size_t m = 0; m < group.size(); ++m)
    row_begins.push_back(row_begins.back() + static_cast<int32_t>(part_size(call, 0, m, count) / kCols));
  const size_t total = static_cast<size_t>(row_begins.back()) * kCols;
  const size_t own = group.index_of(communicator.rank());
  const size_t begin = static_cast<size_t>(row_begins[own]) * kCols;
  const size_t own_count = static_cast<size_t>(row_begins[own + 1]) * kCols - begin;
  const std::vector<float> values = values_of(call, communicator.rank(), total);
  std::vector<float> out(own_count);
  expect_ok(communicator.reduce_scatter(group.id, values, row_begins, kCols, out), "reduce_scatter");
  std::vector<float> wanted = sum_of(call, group, total);
  wanted.erase(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(begin));
  expect_same(out, wanted, own_count, "reduce_scatter");
}

void check_all_gather(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count) {
  std::vector<int64_t> begins{0};
  std::vector<std::byte> wanted;
  for (size_t m = 0; m < group.size(); ++m) {
    const std::vector<std::byte> part = bytes_of(call, group.ranks[m], part_size(call, m, m, count));
    wanted.insert(wanted.end(), part.begin(), part.end());
    begins.push_back(static_cast<int64_t>(wanted.size()));
  }
  const size_t own = group.index_of(communicator.rank());
  const auto own_bytes = static_cast<size_t>(begins[own + 1] - begins[own]);
  const std::vector<std::byte> separate = bytes_of(call, communicator.rank(), own_bytes);
  std::vector<std::byte> out(wanted.size());
  // Every other call finds the own part in its place already.
  std::span<const std::byte> given = separate;
  if (call % 2 == 0) {
    std::copy(separate.begin(), separate.end(), out.begin() + begins[own]);
    given = std::span(out).subspan(static_cast<size_t>(begins[own]), own_bytes);
  }
  expect_ok(communicator.all_gather(group.id, given, begins, out), "all_gather");
  expect_same(out, wanted, wanted.size(), "all_gather");
}

void check_all_to_all(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count) {
  const size_t own = group.index_of(communicator.rank());
  const auto parts_of = [&](size_t from, std::vector<int64_t>& begins) {
    begins.assign(1, 0);
    for (size_t to = 0; to < group.size(); ++to)
      begins.push_back(begins.back() + static_cast<int64_t>(part_size(call, from, to, count)));
    return bytes_of(call, group.ranks[from], static_cast<size_t>(begins.back()));
  };
  std::vector<int64_t> begins, wanted_begins{0};
  std::vector<std::byte> wanted;
  for (size_t from = 0; from < group.size(); ++from) {
    const std::vector<std::byte> sent = parts_of(from, begins);
    wanted.insert(wanted.end(), sent.begin() + begins[own], sent.begin() + begins[own + 1]);
    wanted_begins.push_back(static_cast<int64_t>(wanted.size()));
  }
  const std::vector<std::byte> send = parts_of(own, begins);
  std::vector<std::byte> recv(wanted.size() + call % 3);
  std::vector<int64_t> recv_begins(group.size() + 1);
  expect_ok(communicator.all_to_all(group.id, send, begins, recv, recv_begins), "all_to_all");
  expect_same(recv_begins, wanted_begins, wanted_begins.size(), "recv_begins");
  expect_same(recv, wanted, wanted.size(), "all_to_all");
}

void check_broadcast(Communicator& communicator, const TestGroup& group, uint64_t call, size_t count) {
  const int32_t root = group.ranks[call % group.size()];
  const std::vector<std::byte> wanted = bytes_of(call, root, count);
  std::vector<std::byte> data(count + (communicator.rank() == root ? 0 : 5));
  if (communicator.rank() == root) data = wanted;
  int64_t bytes = -1;
  expect_ok(communicator.broadcast(group.id, root, data, &bytes, Patience::kDeadline), "broadcast");
  expect(bytes == static_cast<int64_t>(count), text("broadcast says ", bytes, " bytes, expected ", count));
  expect_same(data, wanted, count, "broadcast");
}

void check_any(Communicator& communicator, const TestGroup& group, Random& random, uint64_t call) {
  constexpr size_t kSizes[] = {0, 1, 2, 7, 64, 1000, 4099, 16'385, 70'001};
  using Check = void (*)(Communicator&, const TestGroup&, uint64_t, size_t);
  constexpr Check kChecks[] = {check_all_reduce, check_reduce_scatter, check_all_gather, check_all_to_all, check_broadcast};
  const size_t size = kSizes[random.below(std::size(kSizes))];
  const Check check = kChecks[random.below(std::size(kChecks))];
  if (group.index_of(communicator.rank()) < group.size()) check(communicator, group, call, size);
}

}  // namespace moesaic::test
