// PlainKernel: the mk_kernel of one op, made of what differs between ops.
#pragma once

#include <cstdint>
#include <type_traits>

#include "check.h"
#include "moesaic/kernel.h"

namespace moesaic::reference {

// Runs fn(index, thread) for every index in [0, count). Which thread gets an index is not defined.
template <class Fn>
void for_each(const mk_cpu_stream& stream, int64_t count, const Fn& fn) {
  if (count == 0) return;
  const auto range = [](void* arg, int64_t begin, int64_t end, int32_t thread) {
    for (int64_t i = begin; i < end; ++i) (*static_cast<const Fn*>(arg))(i, thread);
  };
  stream.parallel_for(stream.pool, count, 1, range, const_cast<Fn*>(&fn));
}

// kShapes(check, args)              whether the constants fit; looks at no pointer. Shared by supports and launch.
// kValues(check, args)              whether what only a launch knows fits: pointers, counts, ids. Called after kShapes.
// kRun(args, stream, workspace)     the work, on checked arguments.
// kThreadBytes(args)                workspace per thread; leave it out for none.
template <mk_op kOp, class Args, auto kShapes, auto kValues, auto kRun, auto kThreadBytes = nullptr>
struct PlainKernel {
  static constexpr bool kHasWorkspace = !std::is_null_pointer_v<std::remove_cv_t<decltype(kThreadBytes)>>;
  static constexpr mk_op kOps[] = {kOp};

  static constexpr mk_kernel offer(const char* name, const mk_packing* packing = nullptr) {
    return {sizeof(mk_kernel), name,    kOps,  1, supports, kHasWorkspace ? workspace_bytes : nullptr,
            nullptr,           packing, launch};
  }

 private:
  static int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
    if (device == nullptr || device->kind != MK_DEVICE_CPU || parts == nullptr) return 0;
    if (num_parts != 1 || parts[0].op != kOp || parts[0].args == nullptr) return 0;
    const Args& args = *static_cast<const Args*>(parts[0].args);
    Check check(kOp, nullptr);
    return args.struct_size >= sizeof(Args) && kShapes(check, args) ? 1 : 0;
  }

  static int64_t workspace_bytes(const mk_device* device, const mk_op_instance* parts, int32_t) {
    if constexpr (kHasWorkspace) {
      return device->num_units * kThreadBytes(*static_cast<const Args*>(parts[0].args));
    } else {
      return 0;
    }
  }

  static mk_status launch(const void* const* parts, int32_t num_parts, void* workspace, void*, mk_stream stream,
                          mk_error* error) {
    Check check(kOp, error);
    if (!check.that(parts != nullptr && num_parts == 1 && parts[0] != nullptr, "%d parts, want 1", num_parts)) {
      return check.status();
    }
    const Args& args = *static_cast<const Args*>(parts[0]);
    const auto* cpu = static_cast<const mk_cpu_stream*>(stream);
    const bool valid =
        check.that(args.struct_size >= sizeof(Args), "args have %u bytes, want %zu", args.struct_size, sizeof(Args)) &&
        check.pointer("stream", stream) &&
        check.that(cpu->struct_size >= sizeof(mk_cpu_stream) && cpu->parallel_for != nullptr, "stream is incomplete") &&
        check.that_or(MK_RESOURCE_EXHAUSTED, !kHasWorkspace || workspace != nullptr, "workspace is NULL") &&
        kShapes(check, args) && kValues(check, args);
    if (!valid) return check.status();
    kRun(args, *cpu, workspace);
    return MK_OK;
  }
};

// The part of the workspace that belongs to one thread, `thread_bytes` long.
inline void* thread_slice(void* workspace, int32_t thread, int64_t thread_bytes) {
  return static_cast<char*>(workspace) + thread * thread_bytes;
}

}  // namespace moesaic::reference
