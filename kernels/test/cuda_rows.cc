// The cuda package's row by row ops, compared with the reference.
#include <cmath>

#include "cuda_harness.h"

namespace moesaic::test {

namespace {

constexpr int32_t kRows[] = {1, 2, 7, 64, 65, 300};

// Nothing is summed: the same bits.
constexpr Tolerance kSame{0, 0};
// Some roundings of float32.
constexpr Tolerance kRounded{1e-6, 1e-6};

// Sequences of up to three tokens, rows in descending order, `tokens` tokens together.
std::vector<StepSeq> mixed_seqs(Random& random, int32_t tokens, int32_t vocab) {
  std::vector<StepSeq> seqs;
  for (int32_t left = tokens; left > 0;) {
    const int32_t size = std::min(left, random.integer(1, 3));
    StepSeq seq{0, random.integer(0, 40), {}};
    for (int32_t t = 0; t < size; ++t) seq.token_ids.push_back(random.integer(0, vocab - 1));
    seqs.push_back(seq);
    left -= size;
  }
  for (size_t i = 0; i < seqs.size(); ++i) seqs[i].row = static_cast<int32_t>(seqs.size() - i);
  return seqs;
}

void begin_step(const Mode& mode, int32_t tokens) {
  Random random(5);
  const StepArrays step(mixed_seqs(random, tokens, 100), 64);
  const int32_t rows = step.num_seqs() + 1;
  const KvArrays kv(random, rows, 64, 4, 1, 2);
  const mk_kv view = kv.view();
  std::vector<int32_t> planned = step.token_ids, last, history(static_cast<size_t>(view.num_blocks) * 4, -7);
  for (int32_t row = 0; row < rows; ++row) last.push_back(1000 + row);
  for (size_t t = 0; t < planned.size(); t += 2) planned[t] = -1;
  std::vector<int32_t> token_ids(planned.size());
  const mk_begin_step_args args{sizeof(args),     step.view(),    planned.data(), last.data(),     token_ids.data(),
                                history.data(), view.table, view.max_blocks, view.block_size};
  Comparison(mode).run(args, kSame);
}

void rope_table(const Mode& mode, int32_t tokens, int32_t head_dim) {
  Random random(6);
  std::vector<StepSeq> seqs;
  for (int32_t t = 0; t < tokens; ++t) seqs.push_back({t, t == 0 ? 131071 : random.integer(0, 131071), {1}});
  const StepArrays step(seqs, 131072);
  Tensor<float> inv_freq(1, head_dim / 2), out = roomy<float>(tokens, head_dim);
  for (int32_t i = 0; i < head_dim / 2; ++i) {
    inv_freq.at(0, i) = static_cast<float>(std::pow(150000.0, -2.0 * i / static_cast<double>(head_dim)));
  }
  const mk_rope_table_args args{sizeof(args), step.view(), inv_freq.data(), 1.3465f, out.view()};
  Comparison(mode).run(args, {1e-6, 1e-6, 2e-7});
}

void embed(const Mode& mode, int32_t tokens, int32_t hidden) {
  Random random(7);
  const Matrix matrix = random_bf16_matrix(random, 1, 200, hidden);
  const StepArrays step(mixed_seqs(random, tokens, 200), 64);
  Tensor<float> out = roomy<float>(tokens, hidden);
  mk_embed_args args{sizeof(args), step.view(), matrix.shape(), out.view()};
  Comparison test(mode);
  args.weight = test.pack(args, MK_SLOT_WEIGHT, matrix);
  test.run(args, kSame);
}

void rms_norm(const Mode& mode, int32_t rows, int32_t cols, bool in_place) {
  Random random(8);
  Tensor<float> x = roomy_random(random, rows, cols, 3), out = roomy<float>(rows, cols);
  const Tensor<float> weight = random_tensor(random, 1, cols);
  const mk_rms_norm_args args{sizeof(args), x.view(), weight.vector(), in_place ? x.view() : out.view(), 1e-5f};
  Comparison(mode).run(args, kRounded);
}

void add(const Mode& mode, int32_t rows, int32_t cols) {
  Random random(9);
  const Tensor<float> x = roomy_random(random, rows, cols), out = roomy_random(random, rows, cols);
  const mk_add_args args{sizeof(args), x.view(), out.view()};
  Comparison(mode).run(args, kSame);
}

void combine(const Mode& mode, int32_t rows, int32_t hidden, int32_t slots) {
  Random random(10);
  const Tensor<float> y = roomy_random(random, rows, slots * hidden), weights = roomy_random(random, rows, slots),
                      out = roomy_random(random, rows, hidden);
  const mk_combine_args args{sizeof(args), y.view(), weights.view(), out.view()};
  Comparison(mode).run(args, kRounded);
}

// Row 0 is asked for many times, and rows behind the first are not in order.
void gather_rows(const Mode& mode, int32_t rows, int32_t cols) {
  Random random(11);
  const Tensor<float> x = roomy_random(random, 400, cols), out = roomy<float>(rows, cols);
  std::vector<int32_t> indices;
  for (int32_t i = 0; i < rows; ++i) indices.push_back(i % 3 == 0 ? 0 : random.integer(0, 399));
  const mk_gather_rows_args args{sizeof(args), x.view(), indices.data(), out.view()};
  Comparison(mode).run(args, kSame);
}

void rope_kv_write(const Mode& mode, int32_t tokens, int32_t head_dim, int32_t heads, int32_t kv_heads, int32_t block_size) {
  Random random(12);
  const StepArrays step(mixed_seqs(random, tokens, 100), 64);
  KvArrays kv(random, step.num_seqs() + 1, 64, block_size, kv_heads, head_dim);
  for (size_t i = 0; i < kv.k.size(); ++i) kv.k.data()[i] = kv.v.data()[i] = NAN;
  const Tensor<float> qkv = roomy_random(random, tokens, (heads + 2 * kv_heads) * head_dim);
  Tensor<float> rope = roomy<float>(tokens, head_dim);
  for (int32_t t = 0; t < tokens; ++t) {
    for (int32_t i = 0; i < head_dim / 2; ++i) {
      const float angle = random.uniform(-3, 3);
      rope.at(t, i) = std::cos(angle);
      rope.at(t, i + head_dim / 2) = std::sin(angle);
    }
  }
  const mk_rope_kv_write_args args{sizeof(args), step.view(), qkv.view(), rope.view(), kv.view(), heads};
  // A rotation may cancel where a fused multiply-add does not.
  Comparison(mode).run(args, {1e-6, 1e-6, 1e-6});
}

void mxfp4_codec(const Mode& mode, int32_t rows, int32_t cols) {
  Random random(13);
  Tensor<float> x = roomy_random(random, rows, cols, 2), decoded = roomy<float>(rows, cols);
  for (int32_t c = 0; c < 32; ++c) x.at(0, c) = c % 2 == 0 ? 0.0f : -0.0f;
  for (int32_t c = 0; c < 32; ++c) x.at(rows - 1, cols - 1 - c) = std::ldexp(0.25f * static_cast<float>(c - 16), 3);
  Tensor<uint8_t> blocks = roomy<uint8_t>(rows, cols / 2), scales = roomy<uint8_t>(rows, cols / 32);
  const mk_mxfp4_encode_args encode{sizeof(encode), x.view(), blocks.view(), scales.view()};
  Comparison(mode).run(encode, kSame);
  const mk_mxfp4_decode_args decode{sizeof(decode), blocks.view(), scales.view(), decoded.view()};
  Comparison(mode).run(decode, kSame);
}

}  // namespace

void add_row_cases(CudaCases* cases) {
  for (const int32_t rows : kRows) {
    const bool is_unit = rows <= 65;
    const std::string end = text(", %d rows", rows);
    add_case(cases, "begin_step" + end, is_unit, [=](const Mode& mode) { begin_step(mode, rows); });
    for (const int32_t head_dim : {32, 64, 128}) {
      add_case(cases, text("rope_table, head_dim %d", head_dim) + end, is_unit,
               [=](const Mode& mode) { rope_table(mode, rows, head_dim); });
      add_case(cases, text("rope_kv_write, head_dim %d", head_dim) + end, is_unit,
               [=](const Mode& mode) { rope_kv_write(mode, rows, head_dim, 8, 2, 16); });
    }
    for (const int32_t cols : {96, 101, 2880}) {
      const std::string shape = text(", %d columns", cols) + end;
      add_case(cases, "embed" + shape, is_unit, [=](const Mode& mode) { embed(mode, rows, cols); });
      add_case(cases, "rms_norm" + shape, is_unit, [=](const Mode& mode) { rms_norm(mode, rows, cols, false); });
      add_case(cases, "add" + shape, is_unit, [=](const Mode& mode) { add(mode, rows, cols); });
      add_case(cases, "combine of 4" + shape, is_unit, [=](const Mode& mode) { combine(mode, rows, cols, 4); });
      add_case(cases, "gather_rows" + shape, is_unit, [=](const Mode& mode) { gather_rows(mode, rows, cols); });
    }
    add_case(cases, "mxfp4 codec" + end, is_unit, [=](const Mode& mode) { mxfp4_codec(mode, rows, 96); });
  }
  add_case(cases, "rms_norm in place", true, [](const Mode& mode) { rms_norm(mode, 9, 2880, true); });
  add_case(cases, "combine of 1", true, [](const Mode& mode) { combine(mode, 9, 96, 1); });
  add_case(cases, "rope_kv_write, 16 heads on one, blocks of 4", true,
           [](const Mode& mode) { rope_kv_write(mode, 17, 64, 16, 1, 4); });
}

}  // namespace moesaic::test
