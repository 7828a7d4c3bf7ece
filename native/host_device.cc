#include "host_device.h"

#include <cstring>
#include <utility>

#include "pieces.h"

namespace moesaic {

mk_device describe_host(int32_t num_threads) {
  mk_device device{};
  device.struct_size = sizeof(mk_device);
  device.kind = MK_DEVICE_CPU;
  device.cpu_features = probe_device().cpu_features;
  device.num_units = num_threads;
  device.deterministic = 1;
  return device;
}

HostDevice::HostDevice(int32_t num_threads, std::atomic<uint64_t>* ticks)
    : info_(probe_device()), pool_(num_threads, ticks), properties_(describe_host(num_threads)) {}

Status HostDevice::upload(void* device, const void* host, int64_t bytes) {
  std::memcpy(device, host, static_cast<size_t>(bytes));
  return {};
}

Status HostDevice::download(void* host, const void* device, int64_t bytes) {
  std::memcpy(host, device, static_cast<size_t>(bytes));
  return {};
}

StatusOr<std::unique_ptr<PieceStager>> HostDevice::make_stager(StagingBytes bytes) { return make_host_stager(bytes); }

Status HostDevice::mark() {
  marks_.push_back(std::chrono::steady_clock::now());
  return {};
}

StatusOr<std::vector<double>> HostDevice::read_marks() {
  const auto marks = std::exchange(marks_, {});
  std::vector<double> times;
  for (size_t i = 0; i + 1 < marks.size(); ++i)
    times.push_back(std::chrono::duration<double, std::micro>(marks[i + 1] - marks[i]).count());
  return times;
}

}  // namespace moesaic
