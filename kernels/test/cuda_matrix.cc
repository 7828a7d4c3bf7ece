// linear, router and experts of the cuda package, compared with the reference.
#include <algorithm>

#include "cuda_harness.h"

namespace moesaic::test {

namespace {

// exact: float32 sums of some thousand products of either sign lose 2^-24 times the root of their number at most, about 3e-6 of
// the length of a row when nothing is split, and far less with partial sums. fast: an input rounded to bf16 is off by 2^-9 at
// most and by 1.1e-3 in the mean; sums keep that ratio.
constexpr Tolerance kLinear{2e-6, 4e-3};
// Two products after each other, and the intermediate values rounded between them.
constexpr Tolerance kExperts{3e-6, 1e-2};

void linear(const Mode& mode, int32_t out_features, int32_t in_features, int32_t rows, bool has_bias, bool accumulates) {
  Random random(21);
  const Matrix matrix = random_bf16_matrix(random, 1, out_features, in_features);
  const Tensor<float> x = roomy_random(random, rows, in_features), out = roomy_random(random, rows, out_features),
                      bias = random_tensor(random, 1, out_features);
  mk_linear_args args{sizeof(args),  x.view(),   matrix.shape(), has_bias ? bias.vector() : no_vector(),
                      out.view(), accumulates ? 1 : 0};
  Comparison test(mode);
  args.weight = test.pack(args, MK_SLOT_WEIGHT, matrix);
  test.run(args, kLinear);
}

void router(const Mode& mode, int32_t num_experts, int32_t hidden, int32_t rows, int32_t slots, bool has_ties) {
  Random random(22);
  Matrix matrix = random_bf16_matrix(random, 1, num_experts, hidden);
  // Experts in pairs of equals.
  for (size_t i = 0; has_ties && i < matrix.values.size(); ++i) {
    const size_t row = i / static_cast<size_t>(hidden);
    if (row % 2 == 1) matrix.values[i] = matrix.values[i - static_cast<size_t>(hidden)];
  }
  const Tensor<float> x = roomy_random(random, rows, hidden), bias = random_tensor(random, 1, num_experts);
  const Tensor<int32_t> ids = roomy<int32_t>(rows, slots);
  const Tensor<float> weights = roomy<float>(rows, slots);
  const mk_weight bias_or_none = has_ties ? no_vector() : bias.vector();
  mk_router_args args{sizeof(args), x.view(), matrix.shape(), bias_or_none, ids.view(), weights.view()};
  Comparison test(mode);
  args.weight = test.pack(args, MK_SLOT_WEIGHT, matrix);
  test.run(args, {3e-6, 3e-6});
}

struct ExpertShape {
  int32_t num_experts, hidden, intermediate, slots;
};

// `first` to `first` + `count` of the experts are here; ids of others, and -1, leave their slots alone. With `crowded`, all
// rows want the same experts.
void experts(const Mode& mode, mk_dtype stored, const ExpertShape& shape, int32_t rows, int32_t first, int32_t count,
             bool crowded) {
  Random random(23);
  const Matrix gate_up = random_mxfp4_matrix(random, count, 2 * shape.intermediate, shape.hidden, stored),
               down = random_mxfp4_matrix(random, count, shape.hidden, shape.intermediate, stored);
  const Tensor<float> x = roomy_random(random, rows, shape.hidden, 2),
                      gate_up_bias = random_tensor(random, count, 2 * shape.intermediate),
                      down_bias = random_tensor(random, count, shape.hidden),
                      out = roomy_random(random, rows, shape.slots * shape.hidden);
  const Tensor<int32_t> ids = roomy<int32_t>(rows, shape.slots);
  std::vector<int32_t> order;
  for (int32_t e = 0; e < shape.num_experts; ++e) order.push_back(e);
  for (int32_t t = 0; t < rows; ++t) {
    for (size_t i = order.size(); !crowded && i > 1; --i) std::swap(order[i - 1], order[random.bits() % i]);
    for (int32_t s = 0; s < shape.slots; ++s) ids.at(t, s) = t % 5 == 3 && s == 0 ? -1 : order[static_cast<size_t>(s)];
  }
  const std::vector<int32_t> map = local_experts(shape.num_experts, first, count);
  mk_experts_args args{sizeof(args),        x.view(),    ids.view(),         gate_up.shape(), gate_up_bias.vector(),
                       down.shape(),        down_bias.vector(), out.view(), map.data(),      shape.num_experts,
                       1.702f,              7};
  Comparison test(mode);
  const mk_experts_args shapes = args;
  args.gate_up = test.pack(shapes, MK_SLOT_GATE_UP, gate_up);
  args.down = test.pack(shapes, MK_SLOT_DOWN, down);
  test.run(args, kExperts);
}

void add_linear_cases(CudaCases* cases) {
  const struct {
    int32_t out_features, in_features;
  } shapes[] = {{96, 64}, {33, 37}, {5, 1}, {130, 288}, {640, 2880}, {2880, 4096}, {5120, 2880}};
  for (const auto& shape : shapes) {
    const bool is_small = int64_t{shape.out_features} * shape.in_features < 100000;
    for (const int32_t rows : {1, 2, 7, 8, 9, 17, 64, 65, 300}) {
      if (rows == 300 && shape.out_features * shape.in_features > 2000000) continue;
      add_case(cases, text("linear (%d, %d), %d rows", shape.out_features, shape.in_features, rows), is_small && rows <= 65,
               [=](const Mode& mode) {
                 linear(mode, shape.out_features, shape.in_features, rows, rows % 2 == 1, rows % 4 >= 2);
               });
    }
  }
  add_case(cases, "linear of a vocabulary, (20109, 288), 8 rows", false,
           [](const Mode& mode) { linear(mode, 20109, 288, 8, false, false); });
}

void add_router_cases(CudaCases* cases) {
  for (const int32_t rows : {1, 2, 8, 9, 65, 300}) {
    add_case(cases, text("router of 32, %d rows", rows), rows <= 9,
             [=](const Mode& mode) { router(mode, 32, 2880, rows, 4, false); });
    add_case(cases, text("router of 16, hidden 96, %d rows", rows), rows <= 65,
             [=](const Mode& mode) { router(mode, 16, 96, rows, 4, false); });
    add_case(cases, text("router of 5, hidden 37, ties, %d rows", rows), rows <= 65,
             [=](const Mode& mode) { router(mode, 5, 37, rows, 3, true); });
  }
  add_case(cases, "router of 128, 17 rows", false, [](const Mode& mode) { router(mode, 128, 2880, 17, 4, false); });
  add_case(cases, "router of 128, one slot", false, [](const Mode& mode) { router(mode, 128, 256, 9, 1, true); });
}

void add_expert_cases(CudaCases* cases) {
  for (const mk_dtype stored : {MK_MXFP4, MK_BF16}) {
    const char* name = stored == MK_MXFP4 ? "mxfp4" : "bf16";
    for (const int32_t rows : {1, 2, 7, 8, 9, 17, 64, 65, 300}) {
      // Columns of 96 and 160 leave half a tile of 64 over.
      add_case(cases, text("experts %s, 8 of (96, 160), %d rows", name, rows), rows <= 65,
               [=](const Mode& mode) { experts(mode, stored, {8, 96, 160, 4}, rows, 0, 8, false); });
      add_case(cases, text("experts %s, 3 to 5 of 8 here, %d rows", name, rows), rows <= 65,
               [=](const Mode& mode) { experts(mode, stored, {8, 64, 96, 3}, rows, 3, 3, false); });
      add_case(cases, text("experts %s, all rows at the same 2, %d rows", name, rows), rows <= 65,
               [=](const Mode& mode) { experts(mode, stored, {8, 128, 64, 2}, rows, 0, 8, true); });
    }
    for (const int32_t rows : {1, 8, 65}) {
      add_case(cases, text("experts %s, 4 of (2880, 1440), %d rows", name, rows), false,
               [=](const Mode& mode) { experts(mode, stored, {4, 2880, 1440, 2}, rows, 0, 4, false); });
    }
    add_case(cases, text("experts %s, 32 of (2880, 320), 9 rows", name), false,
             [=](const Mode& mode) { experts(mode, stored, {32, 2880, 320, 4}, 9, 0, 32, false); });
    add_case(cases, text("experts %s, 128 of (64, 32), 33 rows", name), true,
             [=](const Mode& mode) { experts(mode, stored, {128, 64, 32, 4}, 33, 0, 128, false); });
    add_case(cases, text("experts %s, none here that is asked for", name), true,
             [=](const Mode& mode) { experts(mode, stored, {8, 64, 32, 2}, 9, 6, 2, true); });
  }
}

}  // namespace

void add_matrix_cases(CudaCases* cases) {
  add_linear_cases(cases);
  add_router_cases(cases);
  add_expert_cases(cases);
}

}  // namespace moesaic::test
