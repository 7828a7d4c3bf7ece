// Why a kernel does not support ops on a device. A package's supports() says yes or no; which property of the device it minds is
// found by asking again with another one.
#pragma once

#include <cstdint>
#include <string>

#include "moesaic/kernel.h"

namespace moesaic {

struct DeviceReason {
  enum class Kind { kSupports, kDevice, kOtherDevice, kShapes };
  Kind kind = Kind::kSupports;
  std::string text;  // goes on after the kernel's name, such as "wants avx512"; "" where it supports the parts
};

// What a kernel says of the parts on the device. kDevice: it minds what the device has or is told to be.
DeviceReason device_reason(const mk_kernel& kernel, const mk_device& device, const mk_op_instance* parts, int32_t num_parts);

}  // namespace moesaic
