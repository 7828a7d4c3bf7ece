// router, experts, combine and add of the reference package, worked out by hand.
#include <algorithm>
#include <cmath>

#include "harness.h"

using namespace moesaic::test;

namespace {

struct Routed {
  Tensor<int32_t> ids;
  Tensor<float> weights;
};

// One input that is 1: the logits are the weights plus the bias.
Routed route(const std::vector<float>& logits, int32_t experts_per_token, const std::vector<float>& biases = {}) {
  Runner runner("reference");
  const auto num_experts = static_cast<int32_t>(logits.size());
  const Matrix matrix = bf16_matrix(num_experts, 1, logits);
  Routed routed{Tensor<int32_t>(1, experts_per_token), Tensor<float>(1, experts_per_token)};
  Tensor<float> x(1, 1, {1}), bias(1, num_experts, biases.empty() ? std::vector<float>(logits.size()) : biases);
  mk_router_args args{sizeof(args), x.view(), matrix.shape(), bias.vector(), routed.ids.view(), routed.weights.view()};
  const mk_kernel& kernel = runner.kernel(args);
  const PackedMatrix packed(kernel, MK_SLOT_WEIGHT, matrix);
  args.weight = packed.weight();
  runner.launch(kernel, args);
  return routed;
}

// All but the matrices, which run_experts packs.
mk_experts_args args_of(const Tensor<float>& x, const Tensor<int32_t>& ids, const mk_weight& gate_up_bias,
                        const mk_weight& down_bias, const std::vector<int32_t>& local, const Tensor<float>& out) {
  return {sizeof(mk_experts_args), x.view(), ids.view(),   {}, gate_up_bias, {}, down_bias, out.view(),
          local.data(), static_cast<int32_t>(local.size()), 1.702f, 7};
}

void run_experts(const Runner& runner, mk_experts_args args, const Matrix& gate_up, const Matrix& down) {
  args.gate_up = gate_up.shape();
  args.down = down.shape();
  const mk_kernel& kernel = runner.kernel(args);
  const PackedMatrix packed_gate_up(kernel, MK_SLOT_GATE_UP, gate_up), packed_down(kernel, MK_SLOT_DOWN, down);
  args.gate_up = packed_gate_up.weight();
  args.down = packed_down.weight();
  runner.launch(kernel, args);
}

// The same by another way: nested sums over decoded elements.
float expert_output(const Matrix& gate_up, const Matrix& down, const Tensor<float>& gate_up_bias,
                    const Tensor<float>& down_bias, const float* x, int32_t expert, int32_t row) {
  double sum = static_cast<double>(down_bias.at(expert, row));
  for (int32_t j = 0; j < down.cols; ++j) {
    double h[2];
    for (int32_t part = 0; part < 2; ++part) {
      h[part] = static_cast<double>(gate_up_bias.at(expert, 2 * j + part));
      for (int32_t c = 0; c < gate_up.cols; ++c) {
        h[part] += static_cast<double>(gate_up.at(expert, 2 * j + part, c)) * static_cast<double>(x[c]);
      }
    }
    const double gate = std::min(h[0], 7.0), up = std::min(std::max(h[1], -7.0), 7.0);
    sum += (up + 1) * gate / (1 + std::exp(-1.702 * gate)) * static_cast<double>(down.at(expert, row, j));
  }
  return static_cast<float>(sum);
}

}  // namespace

MOESAIC_TEST("reference router: ties go to the lower expert, best first") {
  const Routed routed = route({1, 3, 3, 2, 3}, 4);
  expect_same_bits("expert_ids", routed.ids, Tensor<int32_t>(1, 4, {1, 2, 4, 3}));
}

// Logits 3 and 2: the first weight is 1 / (1 + e^-1).
MOESAIC_TEST("reference router: weights are a softmax over the chosen logits alone") {
  const Routed routed = route({1, 3, 2}, 2);
  const float first = 1 / (1 + std::exp(-1.0f));
  expect_close("expert_weights", routed.weights, Tensor<float>(1, 2, {first, 1 - first}), 0, 2e-7);
}

MOESAIC_TEST("reference router: the bias counts for the choice") {
  expect_same_bits("expert_ids", route({1, 3, 2}, 2, {5, 0, 0}).ids, Tensor<int32_t>(1, 2, {0, 1}));
}

MOESAIC_TEST("reference router: a NaN is chosen last, and ids are valid even when all are NaN") {
  expect_same_bits("expert_ids", route({1, NAN, 2}, 2).ids, Tensor<int32_t>(1, 2, {2, 0}));
  expect_same_bits("expert_ids", route({NAN, NAN, NAN}, 2).ids, Tensor<int32_t>(1, 2, {0, 1}));
}

MOESAIC_TEST("reference router: more experts per token than experts have no kernel") {
  Tensor<float> x(1, 4), weights(1, 3);
  Tensor<int32_t> ids(1, 3);
  const mk_router_args args{sizeof(args), x.view(),   {nullptr, MK_BF16, 1, 2, 4},
                            no_vector(),  ids.view(), weights.view()};
  expect(Runner("reference").find(args) == nullptr, "3 of 2 experts were accepted");
}

// gate = 2x + 0.5, up = 3x - 1. x = 1: 2.5 and 2. x = 10: both clamped to 7. x = -10: gate -19.5 is not, up becomes -7.
MOESAIC_TEST("reference experts: clamps gate above and up on both sides") {
  const Matrix gate_up = bf16_matrix(2, 1, {2, 3}), down = bf16_matrix(1, 1, {4});
  Tensor<float> x(3, 1, {1, 10, -10}), gate_up_bias(1, 2, {0.5f, -1}), down_bias(1, 1, {1}), out(3, 1);
  Tensor<int32_t> ids(3, 1);
  const std::vector<int32_t> local = local_experts(1, 0, 1);
  run_experts(Runner("reference"), args_of(x, ids, gate_up_bias.vector(), down_bias.vector(), local, out),
              gate_up, down);
  const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };
  const auto expected = [](double a) { return static_cast<float>(4 * a + 1); };
  expect_close("out", out,
               Tensor<float>(3, 1,
                             {expected(3 * 2.5 * sigmoid(1.702 * 2.5)), expected(8 * 7 * sigmoid(1.702 * 7)),
                              expected(-6 * -19.5 * sigmoid(1.702 * -19.5))}),
               0, 2e-7);
}

MOESAIC_TEST("reference experts: computes its own slots and leaves those of other ranks alone") {
  Random random(17);
  const Matrix gate_up = random_mxfp4_matrix(random, 2, 64, 96), down = random_mxfp4_matrix(random, 2, 96, 32);
  Tensor<float> x = random_tensor(random, 3, 96, 4), out(3, 192), want(3, 192);
  Tensor<float> gate_up_bias = random_tensor(random, 2, 64), down_bias = random_tensor(random, 2, 96);
  Tensor<int32_t> ids(3, 2, {5, 2, 6, 5, 3, -1});
  std::vector<int32_t> local{-1, -1, 1, -1, -1, 0, -1};
  for (int32_t slot = 0; slot < 6; ++slot) {
    const int32_t id = ids.data()[slot], expert = id == 5 ? 0 : id == 2 ? 1 : -1;
    for (int32_t r = 0; r < 96; ++r) {
      float& element = want.data()[slot * 96 + r];
      out.data()[slot * 96 + r] = element = -123;
      if (expert < 0) continue;
      element = expert_output(gate_up, down, gate_up_bias, down_bias, &x.at(slot / 2, 0), expert, r);
    }
  }
  run_experts(Runner("reference"), args_of(x, ids, gate_up_bias.vector(), down_bias.vector(), local, out),
              gate_up, down);
  expect_close("out", out, want, 1e-6, 1e-6);
}

MOESAIC_TEST("reference experts: MXFP4 decoded to bf16 gives the same as MXFP4") {
  Random random(19);
  Matrix gate_up = random_mxfp4_matrix(random, 3, 64, 64), down = random_mxfp4_matrix(random, 3, 64, 32);
  Tensor<float> x = random_tensor(random, 4, 64), packed_out(4, 128), decoded_out(4, 128);
  Tensor<int32_t> ids(4, 2, {0, 1, 2, 0, 1, 2, 2, 1});
  const std::vector<int32_t> local = local_experts(3, 0, 3);
  mk_experts_args args = args_of(x, ids, no_vector(), no_vector(), local, packed_out);
  run_experts(Runner("reference"), args, gate_up, down);
  gate_up.stored_dtype = down.stored_dtype = MK_BF16;
  args.out = decoded_out.view();
  run_experts(Runner("reference"), args, gate_up, down);
  expect_close("out", decoded_out, packed_out, 1e-7, 1e-6);
}

MOESAIC_TEST("reference experts: refuses ids that are no expert's and a map to experts that are not there") {
  const Runner runner("reference");
  const Matrix gate_up = bf16_matrix(2, 1, {2, 3}), down = bf16_matrix(1, 1, {4});
  Tensor<float> x(2, 1), out(2, 1);
  Tensor<int32_t> ids(2, 1, {0, 2});
  std::vector<int32_t> local{0, -1};
  mk_experts_args args{sizeof(args), x.view(), ids.view(), gate_up.shape(), no_vector(), down.shape(), no_vector(),
                       out.view(), local.data(), 2, 1.702f, 7};
  const mk_kernel& kernel = runner.kernel(args);
  const PackedMatrix packed_gate_up(kernel, MK_SLOT_GATE_UP, gate_up), packed_down(kernel, MK_SLOT_DOWN, down);
  args.gate_up = packed_gate_up.weight();
  args.down = packed_down.weight();
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "expert_ids[1, 0] is 2, want -1 to 1", args);
  ids.at(1, 0) = -2;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "expert_ids[1, 0] is -2, want -1 to 1", args);
  ids.at(1, 0) = -1;
  local[1] = 1;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "local_experts[1] is 1, want -1 to 0", args);
  args.local_experts = nullptr;
  runner.expect_refusal(kernel, MK_INVALID_ARGUMENT, "local_experts is NULL", args);
}

// In float32 (1e8 + 1) - 1e8 is 0 and (1e8 - 1e8) + 1 is 1; what was there is added last.
MOESAIC_TEST("reference combine: sums slots in router order, then adds to what was there") {
  Tensor<float> y(1, 6, {1e8f, 1e8f, 1, -1e8f, -1e8f, 1}), weights(1, 3, {1, 1, 1}), out(1, 2, {0.5f, 0.5f});
  Runner("reference").run(mk_combine_args{sizeof(mk_combine_args), y.view(), weights.view(), out.view()});
  expect_same_bits("out", out, Tensor<float>(1, 2, {0.5f, 1.5f}));
}

MOESAIC_TEST("reference combine: multiplies by the weights of the token's own slots") {
  Tensor<float> y(2, 4, {1, 2, 3, 4, 5, 6, 7, 8}), weights(2, 2, {0.25f, 0.75f, 2, -1}), out(2, 2, {0, 0, 10, 10});
  Runner("reference").run(mk_combine_args{sizeof(mk_combine_args), y.view(), weights.view(), out.view()});
  expect_same_bits("out", out, Tensor<float>(2, 2, {2.5f, 3.5f, 13, 14}));
}

MOESAIC_TEST("reference add: adds element by element, and refuses row counts that differ") {
  const Runner runner("reference");
  Tensor<float> x(2, 2, {1, 2, 3, 4}), out(2, 2, {10, 20, 30, 40});
  const mk_add_args args{sizeof(args), x.view(), out.view()};
  runner.run(args);
  expect_same_bits("out", out, Tensor<float>(2, 2, {11, 22, 33, 44}));
  out.set_num_rows(1);
  runner.expect_refusal(runner.kernel(args), MK_INVALID_ARGUMENT, "out has 1 rows, want 2", args);
}
