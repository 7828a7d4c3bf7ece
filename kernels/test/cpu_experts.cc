// experts of the cpu package against the reference package: both dtypes, both instruction sets.
#include "cpu_isa.h"

using namespace moesaic::test;

namespace {

struct ExpertsCase {
  Matrix gate_up, down;
  Tensor<float> gate_up_bias, down_bias;
  int32_t first_expert;
};

ExpertsCase random_experts(Random& random, int32_t num_experts, int32_t hidden, int32_t intermediate, mk_dtype stored,
                           int32_t first_expert = 0) {
  return {random_mxfp4_matrix(random, num_experts, 2 * intermediate, hidden, stored),
          random_mxfp4_matrix(random, num_experts, hidden, intermediate, stored),
          random_tensor(random, num_experts, 2 * intermediate), random_tensor(random, num_experts, hidden),
          first_expert};
}

ExpertsCase random_bf16_experts(Random& random, int32_t num_experts, int32_t hidden, int32_t intermediate) {
  return {random_bf16_matrix(random, num_experts, 2 * intermediate, hidden),
          random_bf16_matrix(random, num_experts, hidden, intermediate),
          random_tensor(random, num_experts, 2 * intermediate), random_tensor(random, num_experts, hidden), 0};
}

// Distinct experts for each token, from one below the local ones to one above.
Tensor<int32_t> random_ids(Random& random, int32_t tokens, int32_t per_token, int32_t low, int32_t high) {
  Tensor<int32_t> ids(tokens, per_token);
  for (int32_t t = 0; t < tokens; ++t) {
    const int32_t start = random.integer(0, high - low);
    for (int32_t s = 0; s < per_token; ++s)
      ids.at(t, s) = low + (start + s * 2 + s / ((high - low + 1) / 2)) % (high - low + 1);
  }
  return ids;
}

mk_experts_args args_of(const ExpertsCase& experts, const Tensor<float>& x, const Tensor<int32_t>& ids,
                        const std::vector<int32_t>& local, const Tensor<float>& out) {
  return {sizeof(mk_experts_args),
          x.view(),
          ids.view(),
          experts.gate_up.shape(),
          experts.gate_up_bias.vector(),
          experts.down.shape(),
          experts.down_bias.vector(),
          out.view(),
          local.data(),
          static_cast<int32_t>(local.size()),
          1.702f,
          7};
}

Tensor<float> run_experts(const Runner& runner, const ExpertsCase& experts, const Tensor<float>& x,
                          const Tensor<int32_t>& ids) {
  const int32_t num_global = experts.first_expert + experts.gate_up.num_experts + 1;
  const std::vector<int32_t> local = local_experts(num_global, experts.first_expert, experts.gate_up.num_experts);
  Tensor<float> out(x.rows(), ids.cols() * x.cols());
  std::fill_n(out.data(), out.size(), -77.0f);
  mk_experts_args args = args_of(experts, x, ids, local, out);
  const mk_kernel& kernel = runner.kernel(args);
  const PackedMatrix gate_up(kernel, MK_SLOT_GATE_UP, experts.gate_up), down(kernel, MK_SLOT_DOWN, experts.down);
  args.gate_up = gate_up.weight();
  args.down = down.weight();
  runner.launch(kernel, args);
  return out;
}

void expect_agreement(Random& random, const ExpertsCase& experts, int32_t tokens, int32_t per_token) {
  const int32_t last = experts.first_expert + experts.gate_up.num_experts;
  const Tensor<float> x = random_tensor(random, tokens, experts.gate_up.cols, 2);
  const Tensor<int32_t> ids = random_ids(random, tokens, per_token, experts.first_expert - 1, last);
  const Tensor<float> want = run_experts(Runner("reference"), experts, x, ids);
  for (const uint32_t features : instruction_sets()) {
    const Tensor<float> out = run_experts(Runner("cpu", 2, features), experts, x, ids);
    expect_rows_close(text("out of (%d, %d) for %d rows", experts.gate_up.cols, experts.down.cols, tokens).c_str(), out,
                      want, 3e-6);
  }
}

}  // namespace

MOESAIC_TEST(
    "cpu experts: agrees with the reference on MXFP4 shapes that break tiles, and leaves other ranks' slots alone") {
  Random random(201);
  const int32_t shapes[][4] = {{6, 288, 352, 2}, {8, 256, 256, 4}, {2, 32, 32, 1}, {5, 96, 160, 3}};
  for (const auto& [num_experts, hidden, intermediate, per_token] : shapes) {
    const ExpertsCase experts = random_experts(random, num_experts, hidden, intermediate, MK_MXFP4, 3);
    for (const int32_t tokens : {1, 2, 3, 5, 8, 17, 64}) expect_agreement(random, experts, tokens, per_token);
  }
}

MOESAIC_TEST("cpu experts: agrees with the reference on MXFP4 decoded to bf16 and on bf16") {
  Random random(202);
  const ExpertsCase decoded = random_experts(random, 6, 288, 352, MK_BF16);
  const ExpertsCase odd = random_bf16_experts(random, 4, 33, 47);
  for (const int32_t tokens : {1, 2, 17, 64}) {
    expect_agreement(random, decoded, tokens, 2);
    expect_agreement(random, odd, tokens, 3);
  }
}

MOESAIC_TEST("cpu experts: few tokens and many, threads, splits and instruction sets give the same bits") {
  Random random(203);
  for (const mk_dtype stored : {MK_MXFP4, MK_BF16}) {
    const ExpertsCase experts = random_experts(random, 6, 288, 352, stored);
    const Tensor<float> x = random_tensor(random, 64, 288);
    const Tensor<int32_t> ids = random_ids(random, 64, 2, 0, 5);
    const Tensor<float> want = run_experts(Runner("cpu", 1, MK_CPU_AVX2), experts, x, ids);
    for (const uint32_t features : instruction_sets()) {
      expect_same_bits("whole", run_experts(Runner("cpu", 3, features, 1), experts, x, ids), want);
      for (const int32_t tokens : {1, 2, 3, 5, 8, 17}) {
        const int32_t first = random.integer(0, 64 - tokens);
        const Tensor<float> part =
            run_experts(Runner("cpu", 2, features), experts, rows_of(x, first, tokens), rows_of(ids, first, tokens));
        expect_same_bits("part", part, rows_of(want, first, tokens));
      }
    }
  }
}

// More tokens than one pass over the weights takes; all on one expert, so that its tiles are many.
MOESAIC_TEST("cpu experts: a long prefill has the bits of its tokens") {
  Random random(204);
  const ExpertsCase experts = random_experts(random, 2, 32, 32, MK_MXFP4);
  const Tensor<float> x = random_tensor(random, 1050, 32);
  Tensor<int32_t> ids(1050, 1);
  for (int32_t t = 0; t < 1050; ++t) ids.at(t, 0) = t % 97 == 0 ? 0 : 1;
  const Tensor<float> whole = run_experts(Runner("cpu"), experts, x, ids);
  for (int32_t t = 0; t < 1050; t += 50) {
    expect_same_bits("token", run_experts(Runner("cpu"), experts, rows_of(x, t, 1), rows_of(ids, t, 1)),
                     rows_of(whole, t, 1));
  }
}

// A scale of 2^-127 is a subnormal, one of 2^128 is no float32 at all; neither may make a NaN of a zero code.
MOESAIC_TEST("cpu experts: the scales at both ends of E8M0 are exact, and zeros under them stay zeros") {
  Random random(205);
  for (const int scale : {0, 1, 2, 254, 255}) {
    ExpertsCase experts = random_experts(random, 1, 32, 32, MK_MXFP4);
    std::fill(experts.gate_up.scales.begin(), experts.gate_up.scales.end(), static_cast<uint8_t>(scale));
    if (scale > 127) {
      for (uint8_t& byte : experts.gate_up.blocks) byte &= 0x88;  // zeros of both signs
    }
    const Tensor<float> x = random_tensor(random, 3, 32, scale < 127 ? 1e30f : 1);
    const Tensor<int32_t> ids(3, 1);
    const Tensor<float> want = run_experts(Runner("reference"), experts, x, ids);
    for (const uint32_t features : instruction_sets()) {
      expect_close("out", run_experts(Runner("cpu", 2, features), experts, x, ids), want, 1e-5, 1e-5);
    }
  }
}

MOESAIC_TEST("cpu experts: tokens whose experts are all elsewhere touch nothing") {
  Random random(206);
  const ExpertsCase experts = random_experts(random, 2, 32, 32, MK_MXFP4, 4);
  const Tensor<float> x = random_tensor(random, 2, 32);
  const Tensor<int32_t> ids(2, 2, {0, 6, 3, -1});
  const Tensor<float> out = run_experts(Runner("cpu"), experts, x, ids);
  for (size_t i = 0; i < out.size(); ++i) expect(out.data()[i] == -77.0f, "element %zu was written", i);
}

// Experts 9, 0 and 4 of ten, in this order: what the reference makes of the same map, and of nobody's slots nothing.
MOESAIC_TEST("cpu experts: any expert can be at any local index, and what no expert has is refused") {
  Random random(207);
  const ExpertsCase experts = random_experts(random, 3, 32, 32, MK_MXFP4);
  const Tensor<float> x = random_tensor(random, 5, 32);
  const Tensor<int32_t> ids(5, 2, {9, 4, 0, -1, 3, 4, -1, -1, 1, 9});
  std::vector<int32_t> local(10, -1);
  local[9] = 0;
  local[0] = 1;
  local[4] = 2;
  const auto run = [&](const Runner& runner, const Tensor<float>& out, const char* refusal) {
    std::fill_n(out.data(), out.size(), -77.0f);
    mk_experts_args args = args_of(experts, x, ids, local, out);
    const mk_kernel& kernel = runner.kernel(args);
    const PackedMatrix gate_up(kernel, MK_SLOT_GATE_UP, experts.gate_up), down(kernel, MK_SLOT_DOWN, experts.down);
    args.gate_up = gate_up.weight();
    args.down = down.weight();
    refusal == nullptr ? runner.launch(kernel, args)
                       : runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, refusal, args);
  };
  const Tensor<float> want(5, 64), out(5, 64);
  run(Runner("reference"), want, nullptr);
  for (const uint32_t features : instruction_sets()) {
    const Runner runner("cpu", 2, features);
    run(runner, out, nullptr);
    expect_rows_close("out", out, want, 3e-6);
    ids.at(4, 0) = 10;
    run(runner, out, "expert_ids[4, 0] is 10, wanted -1 to 9");
    ids.at(4, 0) = -2;
    run(runner, out, "expert_ids[4, 0] is -2, wanted -1 to 9");
    ids.at(4, 0) = 1;
    local[1] = 3;
    run(runner, out, "local_experts[1] is 3, wanted -1 to 2");
    local[1] = -1;
  }
}
