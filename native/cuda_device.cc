#include "cuda_device.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "cuda_stager.h"
#include "text.h"

namespace moesaic {
namespace {

// Of kernels' code, printf buffers, local memory and graphs, which the driver takes beside the arenas.
constexpr int64_t kDriverReserveBytes = int64_t{512} << 20;
// Of a thread's stack. No kernel calls what is not inlined; some spill up to 48 bytes. For all threads that the GPU can have at
// once the driver's own 1 KB would take 264 MiB of an H100.
constexpr size_t kStackBytes = 128;
// Each takes about a megabyte of the device.
constexpr size_t kMaxGraphs = 48;

CuAddress address_of(const void* pointer) { return reinterpret_cast<CuAddress>(pointer); }

class DeviceMemory final : public ArenaMemory {
 public:
  DeviceMemory(const CudaDriver& driver, CuStream* stream, CuAddress address, int64_t bytes)
      : driver_(driver), stream_(stream), address_(address), bytes_(bytes) {}
  ~DeviceMemory() override { driver_.mem_free(address_); }

  Status clear() override {
    const CuResult result = driver_.mem_set_async(address_, 0, bytes_, stream_);
    if (Status status = driver_.check(result, "zeroing device memory"); !status.ok()) return status;
    return driver_.check(driver_.stream_synchronize(stream_), "zeroing device memory");
  }

 private:
  const CudaDriver& driver_;
  CuStream* stream_;
  CuAddress address_;
  int64_t bytes_;
};

class PinnedMemory final : public ArenaMemory {
 public:
  PinnedMemory(const CudaDriver& driver, void* data, int64_t bytes) : driver_(driver), data_(data), bytes_(bytes) {}
  ~PinnedMemory() override { driver_.mem_free_host(data_); }

  Status clear() override {
    std::fill_n(static_cast<std::byte*>(data_), bytes_, std::byte{0});
    return {};
  }

 private:
  const CudaDriver& driver_;
  void* data_;
  int64_t bytes_;
};

StatusOr<CudaDeviceInfo> read_info(const CudaDriver& driver, CuDeviceId id) {
  char name[256] = {};
  size_t memory_bytes = 0;
  int major = 0, minor = 0, num_multiprocessors = 0, shared_memory_bytes = 0;
  for (const CuResult result :
       {driver.device_get_name(name, sizeof(name) - 1, id), driver.device_total_mem(&memory_bytes, id),
        driver.device_get_attribute(&major, kCuComputeCapabilityMajor, id),
        driver.device_get_attribute(&minor, kCuComputeCapabilityMinor, id),
        driver.device_get_attribute(&num_multiprocessors, kCuMultiprocessorCount, id),
        driver.device_get_attribute(&shared_memory_bytes, kCuSharedMemoryPerBlockOptin, id)})
    if (Status status = driver.check(result, "asking a GPU for its properties"); !status.ok()) return status;
  return CudaDeviceInfo{name, 10 * major + minor, num_multiprocessors, shared_memory_bytes, static_cast<int64_t>(memory_bytes)};
}

StatusOr<int> count_devices(const CudaDriver& driver) {
  int count = 0;
  if (Status status = driver.check(driver.device_get_count(&count), "counting GPUs"); !status.ok()) return status;
  if (count > 0) return count;
  return Status(Code::kFailedPrecondition,
                "the CUDA driver sees no GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use device cpu");
}

// What one of several copies takes, queued after each other: the best of `repeats`, after one that warms up.
template <typename Copy>
StatusOr<double> seconds_of(CudaDevice& device, int32_t repeats, const Copy& copy) {
  using Clock = std::chrono::steady_clock;
  constexpr int32_t kCopies = 8;
  double best = std::numeric_limits<double>::infinity();
  for (int32_t repeat = 0; repeat <= repeats; ++repeat) {
    const Clock::time_point begin = Clock::now();
    for (int32_t i = 0; i < kCopies; ++i)
      if (Status status = copy(); !status.ok()) return status;
    if (Status status = device.finish(); !status.ok()) return status;
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (repeat > 0) best = std::min(best, seconds / kCopies);
  }
  return best;
}

}  // namespace

StatusOr<std::vector<CudaDeviceInfo>> list_cuda_devices() {
  StatusOr<const CudaDriver*> driver = CudaDriver::get();
  if (!driver.ok()) return driver.status();
  StatusOr<int> count = count_devices(*driver.value());
  if (!count.ok()) return count.status();
  std::vector<CudaDeviceInfo> devices;
  for (int index = 0; index < count.value(); ++index) {
    CuDeviceId id = 0;
    const CuResult result = driver.value()->device_get(&id, index);
    if (Status status = driver.value()->check(result, "opening a GPU"); !status.ok()) return status;
    StatusOr<CudaDeviceInfo> info = read_info(*driver.value(), id);
    if (!info.ok()) return info.status();
    devices.push_back(std::move(info.value()));
  }
  return devices;
}

StatusOr<double> measure_cuda_copy(int64_t bytes, int32_t repeats) {
  StatusOr<std::unique_ptr<CudaDevice>> device = CudaDevice::open_first(MK_EXACT, true);
  if (!device.ok()) return device.status();
  StatusOr<Arena> from = device.value()->allocate("memory to copy", bytes, false);
  if (!from.ok()) return from.status();
  StatusOr<Arena> to = device.value()->allocate("memory to copy", bytes, false);
  if (!to.ok()) return to.status();
  const auto copy = [&] { return device.value()->copy(to.value().data(), from.value().data(), bytes); };
  StatusOr<double> seconds = seconds_of(*device.value(), repeats, copy);
  if (!seconds.ok()) return seconds;
  return 2.0 * static_cast<double>(bytes) / seconds.value();
}

StatusOr<double> measure_host_to_cuda(int64_t bytes, int32_t repeats) {
  StatusOr<std::unique_ptr<CudaDevice>> device = CudaDevice::open_first(MK_EXACT, true);
  if (!device.ok()) return device.status();
  StatusOr<Arena> from = device.value()->allocate_host("host memory to copy", bytes);
  if (!from.ok()) return from.status();
  StatusOr<Arena> to = device.value()->allocate("memory to copy to", bytes, false);
  if (!to.ok()) return to.status();
  const auto copy = [&] { return device.value()->upload(to.value().data(), from.value().data(), bytes); };
  StatusOr<double> seconds = seconds_of(*device.value(), repeats, copy);
  if (!seconds.ok()) return seconds;
  return static_cast<double>(bytes) / seconds.value();
}

mk_device describe_cuda(const CudaDeviceInfo& info, mk_precision precision, bool is_deterministic) {
  mk_device device{};
  device.struct_size = sizeof(mk_device);
  device.kind = MK_DEVICE_CUDA;
  device.compute_capability = info.compute_capability;
  device.num_units = info.num_multiprocessors;
  device.shared_memory_bytes = info.shared_memory_bytes;
  device.precision = precision;
  device.deterministic = is_deterministic || precision == MK_EXACT ? 1 : 0;
  return device;
}

// A launcher that gives a rank one of several GPUs says so by CUDA_VISIBLE_DEVICES.
StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::open_first(mk_precision precision, bool is_deterministic) {
  StatusOr<const CudaDriver*> found = CudaDriver::get();
  if (!found.ok()) return found.status();
  const CudaDriver& driver = *found.value();
  StatusOr<int> count = count_devices(driver);
  if (!count.ok()) return count.status();
  CuDeviceId id = 0;
  if (Status status = driver.check(driver.device_get(&id, 0), "opening a GPU"); !status.ok()) return status;
  StatusOr<CudaDeviceInfo> info = read_info(driver, id);
  if (!info.ok()) return info.status();
  const mk_device properties = describe_cuda(info.value(), precision, is_deterministic);
  std::unique_ptr<CudaDevice> device(new CudaDevice(driver, id, std::move(info.value()), properties));
  if (Status status = device->begin(); !status.ok()) return status;
  return device;
}

// The context is the one that the kernels' runtime uses.
Status CudaDevice::begin() {
  if (Status status = driver_.check(driver_.primary_context_retain(&context_, id_), "opening the GPU's context"); !status.ok())
    return status;
  if (Status status = enter_thread(); !status.ok()) return status;
  if (Status status = driver_.check(driver_.context_set_limit(kCuLimitStackSize, kStackBytes), "limiting the stacks of threads");
      !status.ok())
    return status;
  return driver_.check(driver_.stream_create(&stream_, kCuStreamNonBlocking), "making a stream");
}

// The arenas are gone by now.
CudaDevice::~CudaDevice() {
  if (context_ == nullptr) return;
  driver_.context_set_current(context_);
  marks_.reset();
  for (const Graph& graph : graphs_)
    if (graph.exec != nullptr) driver_.graph_exec_destroy(graph.exec);
  if (stream_ != nullptr) driver_.stream_destroy(stream_);
  driver_.primary_context_release(id_);
}

StatusOr<int64_t> CudaDevice::memory_bytes() const {
  size_t free = 0, total = 0;
  const CuResult result = driver_.mem_get_info(&free, &total);
  if (Status status = driver_.check(result, "asking for the GPU's memory"); !status.ok()) return status;
  return std::max<int64_t>(static_cast<int64_t>(free) - kDriverReserveBytes, 0);
}

StatusOr<Arena> CudaDevice::allocate(const char* what, int64_t bytes, bool) {
  if (bytes == 0) return Arena();
  CuAddress address = 0;
  if (Status status = driver_.check(driver_.mem_alloc(&address, bytes), "allocating"); !status.ok())
    return Status(status.code(), text(what, " of ", bytes, " bytes on ", info_.name, ": ", status.message()));
  Arena arena(reinterpret_cast<std::byte*>(address), bytes,
              std::make_unique<DeviceMemory>(driver_, stream_, address, bytes));
  if (Status status = arena.clear(); !status.ok()) return status;
  return arena;
}

StatusOr<Arena> CudaDevice::allocate_host(const char* what, int64_t bytes) {
  if (bytes == 0) return Arena();
  void* data = nullptr;
  if (Status status = driver_.check(driver_.mem_host_alloc(&data, bytes, 0), "pinning host memory"); !status.ok())
    return Status(status.code(), text(what, " of ", bytes, " bytes: ", status.message()));
  Arena arena(static_cast<std::byte*>(data), bytes, std::make_unique<PinnedMemory>(driver_, data, bytes));
  if (Status status = arena.clear(); !status.ok()) return status;
  return arena;
}

Status CudaDevice::enter_thread() {
  return driver_.check(driver_.context_set_current(context_), "entering the GPU's context");
}

Status CudaDevice::upload(void* device, const void* host, int64_t bytes) {
  if (bytes == 0) return {};
  return driver_.check(driver_.copy_to_device_async(address_of(device), host, bytes, stream_), "copying to the GPU");
}

Status CudaDevice::download(void* host, const void* device, int64_t bytes) {
  if (bytes == 0) return {};
  return driver_.check(driver_.copy_to_host_async(host, address_of(device), bytes, stream_), "copying from the GPU");
}

Status CudaDevice::copy(void* to, const void* from, int64_t bytes) {
  return driver_.check(driver_.copy_on_device_async(address_of(to), address_of(from), bytes, stream_), "copying on the GPU");
}

Status CudaDevice::finish() {
  if (marks_ != nullptr) marks_->release();
  return driver_.check(driver_.stream_synchronize(stream_), "waiting for the GPU");
}

StatusOr<std::unique_ptr<PieceStager>> CudaDevice::make_stager(StagingBytes bytes) { return CudaStager::make(*this, bytes); }

// A key's first use is launched as it is, so that no first token waits for a capture; kernels are loaded by then as well, which
// a capture does not allow.
Status CudaDevice::run(const GraphKey* key, const Launches& launches) {
  if (key == nullptr) return launches();
  Graph& graph = find_graph(*key);
  if (std::exchange(graph.is_new, false)) return launches();
  if (graph.exec == nullptr)
    if (Status status = capture(graph, launches); !status.ok()) return status;
  return driver_.check(driver_.graph_launch(graph.exec, stream_), "launching a captured step");
}

Status CudaDevice::mark() {
  if (marks_ == nullptr) {
    StatusOr<Arena> word = allocate_host("the word that a stream waits for", sizeof(uint32_t));
    if (!word.ok()) return word.status();
    marks_ = std::make_unique<CudaMarks>(driver_, stream_, std::move(word.value()));
  }
  return marks_->add();
}

StatusOr<std::vector<double>> CudaDevice::read_marks() {
  return marks_ == nullptr ? std::vector<double>() : marks_->read();
}

// Moves the key to the front; forgets the one that was not used for longest.
CudaDevice::Graph& CudaDevice::find_graph(const GraphKey& key) {
  const auto found = std::find_if(graphs_.begin(), graphs_.end(), [&](const Graph& graph) { return graph.key == key; });
  if (found != graphs_.end()) {
    graphs_.splice(graphs_.begin(), graphs_, found);
    return graphs_.front();
  }
  graphs_.push_front({key});
  if (graphs_.size() > kMaxGraphs) {
    if (graphs_.back().exec != nullptr) driver_.graph_exec_destroy(graphs_.back().exec);
    graphs_.pop_back();
  }
  return graphs_.front();
}

Status CudaDevice::capture(Graph& graph, const Launches& launches) {
  if (Status status = driver_.check(driver_.stream_begin_capture(stream_, kCuCaptureThreadLocal), "beginning a capture");
      !status.ok())
    return status;
  Status launched = launches();
  CuGraph* captured = nullptr;
  Status ended = driver_.check(driver_.stream_end_capture(stream_, &captured), "ending a capture");
  if (launched.ok() && ended.ok())
    ended = driver_.check(driver_.graph_instantiate(&graph.exec, captured, 0), "instantiating a captured step");
  if (captured != nullptr) driver_.graph_destroy(captured);
  return launched.ok() ? ended : launched;
}

}  // namespace moesaic
