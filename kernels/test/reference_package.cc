// The reference package as a whole: what it offers, what its layouts refuse.
#include <string>

#include "harness.h"

using namespace moesaic::test;

namespace {

const mk_kernel& kernel_named(const char* name) {
  const mk_package& reference = package("reference");
  for (int32_t i = 0; i < reference.num_kernels; ++i) {
    if (std::string(reference.kernels[i]->name) == name) return *reference.kernels[i];
  }
  fail("no kernel is named %s", name);
}

int64_t packed_bytes(const char* kernel, const mk_weight_desc& desc) {
  return kernel_named(kernel).packing->packed_bytes(&desc);
}

mk_weight_desc desc(mk_dtype source, mk_dtype stored, int32_t num_experts, int32_t rows, int32_t cols) {
  return {sizeof(mk_weight_desc), MK_SLOT_WEIGHT, source, stored, num_experts, rows, cols};
}

}  // namespace

MOESAIC_TEST("reference package: has a plain kernel for every op") {
  const mk_package& reference = package("reference");
  for (int op = 0; op < MK_OP_COUNT; ++op) {
    bool found = false;
    for (int32_t i = 0; i < reference.num_kernels; ++i) {
      found = found || (reference.kernels[i]->num_ops == 1 && reference.kernels[i]->ops[0] == op);
    }
    expect(found, "op %d has no kernel", op);
  }
}

MOESAIC_TEST("reference package: packed bytes are those of the layout, rounded up to 64") {
  expect(packed_bytes("linear_bf16", desc(MK_BF16, MK_BF16, 1, 3, 11)) == 128, "3 x 11 bf16 is not 66 -> 128 bytes");
  expect(packed_bytes("experts_mxfp4", desc(MK_MXFP4, MK_MXFP4, 2, 5, 64)) == 384,
         "2 x 5 x 64 mxfp4 is not 320 + 20 -> 384 bytes");
  expect(packed_bytes("experts_bf16", desc(MK_MXFP4, MK_BF16, 2, 5, 64)) == 1280,
         "2 x 5 x 64 as bf16 is not 1280 bytes");
}

MOESAIC_TEST("reference package: a weight that a layout cannot hold has -1 packed bytes") {
  expect(packed_bytes("linear_bf16", desc(MK_BF16, MK_MXFP4, 1, 4, 32)) == -1, "bf16 stored as mxfp4 was accepted");
  expect(packed_bytes("experts_mxfp4", desc(MK_MXFP4, MK_MXFP4, 1, 4, 33)) == -1, "33 columns of mxfp4 were accepted");
  expect(packed_bytes("linear_bf16", desc(MK_BF16, MK_BF16, 1, 0, 32)) == -1, "no rows were accepted");
  expect(packed_bytes("linear_bf16", desc(MK_BF16, MK_BF16, INT32_MAX, INT32_MAX, INT32_MAX)) == -1,
         "more bytes than an int64 holds were accepted");
}

MOESAIC_TEST("reference package: packing refuses rows outside the weight and scales that do not belong") {
  const mk_packing& packing = *kernel_named("linear_bf16").packing;
  const mk_weight_desc weight = desc(MK_BF16, MK_BF16, 1, 2, 2);
  const uint16_t src[4] = {};
  uint8_t dst[64] = {};
  const auto pack = [&](int32_t expert, int32_t begin, int32_t end, const void* scales) {
    const mk_pack_args args{sizeof(mk_pack_args), &weight, expert, begin, end, src, scales, dst};
    mk_error error{};
    return packing.pack(&args, nullptr, &error);
  };
  expect(pack(0, 0, 2, nullptr) == MK_OK, "good rows were refused");
  expect(pack(1, 0, 2, nullptr) == MK_INVALID_ARGUMENT, "expert 1 of 1 was accepted");
  expect(pack(0, 1, 3, nullptr) == MK_INVALID_ARGUMENT, "row 3 of 2 was accepted");
  expect(pack(0, -1, 2, nullptr) == MK_INVALID_ARGUMENT, "row -1 was accepted");
  expect(pack(0, 0, 2, src) == MK_INVALID_ARGUMENT, "scales of bf16 rows were accepted");
}

MOESAIC_TEST("reference package: launches refuse older args structs, wrong part counts and a missing workspace") {
  Runner runner("reference");
  Tensor<float> x(2, 4), out(2, 4), weight(1, 4);
  mk_rms_norm_args args{sizeof(args), x.view(), weight.vector(), out.view(), 1e-5f};
  const mk_kernel& kernel = runner.kernel(args);
  args.struct_size -= 4;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "rms_norm: args have", args);
  args.struct_size += 4;
  mk_error error{};
  expect(runner.launch_kernel(kernel, {}, &error) == MK_INVALID_ARGUMENT, "a launch without parts was accepted");
  expect(kernel.launch(nullptr, 1, nullptr, nullptr, runner.stream().get(), nullptr) == MK_INVALID_ARGUMENT,
         "NULL parts were accepted");
  const mk_kernel& experts = kernel_named("experts_bf16");
  Tensor<int32_t> ids(2, 1);
  const std::vector<int32_t> local = local_experts(1, 0, 1);
  const mk_experts_args expert_args{sizeof(expert_args), x.view(), ids.view(), {}, no_vector(), {}, no_vector(),
                                    out.view(),          local.data(), 1, 1.702f, 7};
  const void* part = &expert_args;
  expect(experts.launch(&part, 1, nullptr, nullptr, runner.stream().get(), &error) == MK_RESOURCE_EXHAUSTED,
         "a missing workspace was accepted");
}

MOESAIC_TEST("reference package: a GPU is not served") {
  Tensor<float> x(2, 4), out(2, 4), weight(1, 4);
  const mk_rms_norm_args args{sizeof(args), x.view(), weight.vector(), out.view(), 1e-5f};
  const mk_op_instance part{MK_OP_RMS_NORM, &args};
  mk_device device{sizeof(mk_device), MK_DEVICE_CUDA, 0, 90, 132, 0, MK_EXACT, 0};
  const mk_kernel& kernel = kernel_named("rms_norm_f32");
  expect(kernel.supports(&device, &part, 1) == 0, "a GPU is supported");
  device.kind = MK_DEVICE_CPU;
  expect(kernel.supports(&device, &part, 1) == 1, "the CPU is not supported");
}
