#include "device_reason.h"

#include <algorithm>
#include <utility>

#include "device.h"
#include "text.h"

namespace moesaic {
namespace {

// Asks a kernel about the same parts on devices that differ.
class Question {
 public:
  Question(const mk_kernel& kernel, const mk_op_instance* parts, int32_t num_parts)
      : kernel_(kernel), parts_(parts), num_parts_(num_parts) {}

  bool supports(const mk_device& device) const { return kernel_.supports(&device, parts_, num_parts_) != 0; }

  // In any precision, with and without deterministic.
  bool supports_somehow(mk_device device) const {
    for (const mk_precision precision : {MK_EXACT, MK_FAST})
      for (const int32_t deterministic : {0, 1}) {
        device.precision = precision;
        device.deterministic = deterministic;
        if (supports(device)) return true;
      }
    return false;
  }

 private:
  const mk_kernel& kernel_;
  const mk_op_instance* parts_;
  const int32_t num_parts_;
};

constexpr uint32_t kAllCpuFeatures = MK_CPU_AVX2 | MK_CPU_AVX512 | MK_CPU_AVX512_VNNI | MK_CPU_AVX512_BF16;
constexpr int64_t kMostSharedBytes = 227 * 1024;  // compute capability 9.0

// The most capable device of a kind that kernels know.
mk_device best_of(mk_device_kind kind) {
  mk_device device{};
  device.struct_size = sizeof(mk_device);
  device.kind = kind;
  device.num_units = kind == MK_DEVICE_CUDA ? 132 : 1;
  if (kind == MK_DEVICE_CPU) device.cpu_features = kAllCpuFeatures;
  if (kind == MK_DEVICE_CUDA) device.compute_capability = 90;
  if (kind == MK_DEVICE_CUDA) device.shared_memory_bytes = kMostSharedBytes;
  return device;
}

// The instruction set that is missing, or "".
std::string missing_feature(const Question& question, const mk_device& device) {
  for (uint32_t feature = 1; feature <= kAllCpuFeatures; feature <<= 1) {
    mk_device other = device;
    other.cpu_features |= feature;
    if (!question.supports(other)) continue;
    return text("wants ", feature_names(feature).front(), ", which this processor lacks");
  }
  mk_device other = device;
  other.cpu_features = kAllCpuFeatures;
  return question.supports(other) ? "wants instruction sets that this processor lacks" : "";
}

// The lowest compute capability that would do, or "".
std::string missing_capability(const Question& question, const mk_device& device) {
  for (const int32_t capability : {75, 80, 86, 89, 90, 100, 120}) {
    mk_device other = device;
    other.compute_capability = capability;
    if (capability <= device.compute_capability || !question.supports(other)) continue;
    return text("wants compute capability ", capability / 10, ".", capability % 10, ", this GPU has ",
                device.compute_capability / 10, ".", device.compute_capability % 10);
  }
  return "";
}

std::string missing_hardware(const Question& question, const mk_device& device) {
  if (device.kind == MK_DEVICE_CPU) return missing_feature(question, device);
  if (std::string reason = missing_capability(question, device); !reason.empty()) return reason;
  mk_device other = device;
  other.shared_memory_bytes = std::max(device.shared_memory_bytes, kMostSharedBytes);
  return question.supports(other) ? "wants more shared memory per thread block than this GPU has" : "";
}

std::string other_setting(const Question& question, const mk_device& device) {
  mk_device other = device;
  other.deterministic = device.deterministic == 0 ? 1 : 0;
  if (question.supports(other))
    return other.deterministic != 0 ? "is for deterministic: true"
                                    : "is for deterministic: false: the order of its sums depends on how many rows there are";
  other.precision = device.precision == MK_EXACT ? MK_FAST : MK_EXACT;
  for (other.deterministic = 0; other.deterministic < 2; ++other.deterministic)
    if (question.supports(other)) return text("is for precision ", other.precision == MK_EXACT ? "exact" : "fast");
  return "";
}

}  // namespace

DeviceReason device_reason(const mk_kernel& kernel, const mk_device& device, const mk_op_instance* parts, int32_t num_parts) {
  using Kind = DeviceReason::Kind;
  const Question question(kernel, parts, num_parts);
  if (question.supports(device)) return {};
  if (std::string reason = missing_hardware(question, device); !reason.empty()) return {Kind::kDevice, std::move(reason)};
  if (std::string reason = other_setting(question, device); !reason.empty()) return {Kind::kDevice, std::move(reason)};
  const bool is_cpu = device.kind == MK_DEVICE_CPU;
  if (question.supports_somehow(best_of(is_cpu ? MK_DEVICE_CUDA : MK_DEVICE_CPU)))
    return {Kind::kOtherDevice, is_cpu ? "is for GPUs" : "is for CPUs"};
  return {Kind::kShapes, "does not support these shapes or dtypes"};
}

}  // namespace moesaic
