// attention of the cuda package, compared with the reference. All of the cache but what a query may see is NaN: other rows'
// blocks, the null block, positions behind the window and past the sequence; table entries of those are 0.
#include <algorithm>
#include <cmath>

#include "cuda_harness.h"

namespace moesaic::test {

namespace {

// exact: a softmax over thousands of float32 scores. fast: q and the weights may be rounded to bf16, 2^-9 each at most, and the
// scores they are made of are of length 1 or so.
constexpr Tolerance kAttention{3e-6, 1e-2, 1e-7, false};

struct Shape {
  int32_t heads, kv_heads, head_dim, window, block_size;
  bool has_sinks;
};
constexpr Shape kSmall{4, 2, 32, 0, 4, true}, kSmallSliding{4, 2, 32, 7, 4, true}, kOss{64, 8, 64, 0, 16, true},
    kOssSliding{64, 8, 64, 128, 16, true}, kWideHeads{8, 4, 128, 0, 16, false}, kManyOnOne{16, 1, 64, 40, 16, true},
    kOneEach{3, 3, 64, 0, 8, false}, kOdd{4, 2, 48, 9, 8, true};

struct Query {
  int32_t first_position, tokens;
};

class Attention {
 public:
  // One sequence per query, in rows of descending number.
  Attention(const Shape& shape, const std::vector<Query>& queries, uint64_t seed = 31)
      : shape_(shape),
        random_(seed),
        step_(seqs_of(queries), longest(queries)),
        kv_(random_, static_cast<int32_t>(queries.size()) + 1, longest(queries), shape.block_size, shape.kv_heads,
            shape.head_dim),
        qkv_(roomy_random(random_, step_.num_tokens(), (shape.heads + 2 * shape.kv_heads) * shape.head_dim)),
        out_(roomy<float>(step_.num_tokens(), shape.heads * shape.head_dim)),
        sinks_(random_tensor(random_, 1, shape.heads)) {
    for (int32_t t = 0; t < step_.num_tokens(); ++t) {
      for (int32_t c = shape.heads * shape.head_dim; c < qkv_.cols(); ++c) qkv_.at(t, c) = NAN;
    }
    for (size_t i = 0; i < kv_.k.size(); ++i) kv_.k.data()[i] = kv_.v.data()[i] = NAN;
    for (int32_t s = 0; s < step_.num_seqs(); ++s) fill(static_cast<size_t>(s), queries[static_cast<size_t>(s)]);
  }

  mk_attention_args args() const {
    return {sizeof(mk_attention_args), step_.view(),  qkv_.view(),   shape_.has_sinks ? sinks_.vector() : no_vector(),
            kv_.view(),                out_.view(),   shape_.heads,  shape_.window,
            1 / std::sqrt(static_cast<float>(shape_.head_dim))};
  }
  // The same tokens, all but [first, first + count) of sequence `seq` being gone.
  std::vector<float> alone(const Mode& mode, int32_t seq, int32_t first, int32_t count) const {
    const int32_t row = step_.seq_rows[static_cast<size_t>(seq)], from = step_.query_starts[static_cast<size_t>(seq)] + first;
    const StepArrays step({{row, step_.positions[static_cast<size_t>(from)], std::vector<int32_t>(static_cast<size_t>(count))}},
                          step_.view()->max_seq_len);
    Tensor<float> qkv = roomy<float>(count, qkv_.cols()), out = roomy<float>(count, out_.cols());
    for (int32_t t = 0; t < count; ++t) std::copy_n(&qkv_.at(from + t, 0), qkv_.cols(), &qkv.at(t, 0));
    mk_attention_args changed = args();
    changed.step = step.view();
    changed.qkv = qkv.view();
    changed.out = out.view();
    return floats(Comparison(mode).output(changed, "out"));
  }
  std::vector<float> together(const Mode& mode) const { return floats(Comparison(mode).output(args(), "out")); }
  const StepArrays& step() const { return step_; }
  int32_t out_cols() const { return out_.cols(); }

 private:
  static std::vector<StepSeq> seqs_of(const std::vector<Query>& queries) {
    std::vector<StepSeq> seqs;
    for (size_t i = 0; i < queries.size(); ++i) {
      seqs.push_back({static_cast<int32_t>(queries.size() - i), queries[i].first_position,
                      std::vector<int32_t>(static_cast<size_t>(queries[i].tokens))});
    }
    return seqs;
  }
  static int32_t longest(const std::vector<Query>& queries) {
    int32_t longest = 0;
    for (const Query& query : queries) longest = std::max(longest, query.first_position + query.tokens);
    return longest + 37;
  }
  static std::vector<float> floats(const std::vector<uint8_t>& bytes) {
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  // Values are bf16, so that both precisions hold the same cache.
  void fill(size_t seq, const Query& query) {
    const int32_t row = step_.seq_rows[seq], end = query.first_position + query.tokens;
    const int32_t begin = shape_.window == 0 ? 0 : std::max(0, query.first_position - shape_.window + 1);
    for (int32_t p = begin; p < end; ++p) {
      for (int32_t h = 0; h < shape_.kv_heads; ++h) {
        const int64_t slot = kv_.slot(row, p, h);
        for (int32_t d = 0; d < shape_.head_dim; ++d) {
          kv_.k.data()[slot + d] = from_bf16(to_bf16(random_.normal()));
          kv_.v.data()[slot + d] = from_bf16(to_bf16(random_.normal()));
        }
      }
    }
    const int32_t max_blocks = kv_.view().max_blocks;
    for (int32_t b = 0; b < max_blocks; ++b) {
      const bool is_seen = (b + 1) * shape_.block_size > begin && b * shape_.block_size < end;
      if (!is_seen) kv_.table[static_cast<size_t>(row * max_blocks + b)] = 0;
    }
  }

  const Shape shape_;
  Random random_;
  const StepArrays step_;
  KvArrays kv_;
  Tensor<float> qkv_, out_, sinks_;
};

void compare(const Mode& mode, const Shape& shape, const std::vector<Query>& queries) {
  const Attention attention(shape, queries);
  Comparison(mode).run(attention.args(), kAttention);
}

void expect_same_rows(const std::vector<float>& all, int32_t first, const std::vector<float>& some, int32_t count, int32_t cols,
                      const char* what) {
  for (int32_t t = 0; t < count; ++t) {
    for (int32_t c = 0; c < cols; ++c) {
      const float want = all[static_cast<size_t>((first + t) * cols + c)], got = some[static_cast<size_t>(t * cols + c)];
      expect(std::memcmp(&got, &want, sizeof(got)) == 0, "%s: out[%d, %d] is %.9g, want %.9g", what, first + t, c,
             static_cast<double>(got), static_cast<double>(want));
    }
  }
}

// A token has the same bits when it is decoded, when it is part of a whole prompt or of a chunk, and beside other sequences:
// what was decoded before a preemption is prefilled after it.
void expect_same_company(const Mode& mode, const Shape& shape, const std::vector<Query>& queries) {
  if (!mode.has_fixed_rows()) return;
  const Attention attention(shape, queries);
  const std::vector<float> together = attention.together(mode);
  const StepArrays& step = attention.step();
  for (int32_t s = 0; s < step.num_seqs(); ++s) {
    const int32_t tokens = queries[static_cast<size_t>(s)].tokens, from = step.query_starts[static_cast<size_t>(s)];
    const auto same = [&](int32_t first, int32_t count, const char* what) {
      expect_same_rows(together, from + first, attention.alone(mode, s, first, count), count, attention.out_cols(), what);
    };
    same(0, tokens, "alone");
    for (const int32_t t : {0, tokens / 3, tokens - 1}) same(t, 1, "decoded");
    if (tokens > 3) same(tokens / 2 - 1, tokens / 2 + 1, "as a chunk");
  }
}

struct Named {
  const char* name;
  Shape shape;
};

}  // namespace

void add_attention_cases(CudaCases* cases) {
  const Named shapes[] = {{"small", kSmall},
                          {"small sliding", kSmallSliding},
                          {"gpt-oss", kOss},
                          {"gpt-oss sliding", kOssSliding},
                          {"head_dim 128", kWideHeads},
                          {"16 heads on one, sliding", kManyOnOne},
                          {"no groups, no sinks", kOneEach},
                          {"head_dim 48, sliding", kOdd}};
  for (const auto& [name, shape] : shapes) {
    const bool is_unit = shape.heads <= 16;
    const Shape s = shape;
    add_case(cases, text("attention %s, first tokens", name), is_unit,
             [=](const Mode& mode) { compare(mode, s, {{0, 1}, {1, 1}}); });
    add_case(cases, text("attention %s, decode", name), is_unit,
             [=](const Mode& mode) { compare(mode, s, {{40, 1}, {0, 1}, {127, 1}, {128, 1}, {129, 1}, {300, 1}, {15, 1}}); });
    add_case(cases, text("attention %s, prefill", name), is_unit,
             [=](const Mode& mode) { compare(mode, s, {{0, 67}, {0, 1}, {0, 16}}); });
    add_case(cases, text("attention %s, mixed", name), is_unit,
             [=](const Mode& mode) { compare(mode, s, {{90, 1}, {100, 33}, {0, 5}, {255, 1}, {250, 17}}); });
    add_case(cases, text("attention %s, bits in any company", name), is_unit,
             [=](const Mode& mode) { expect_same_company(mode, s, {{0, 70}, {133, 1}, {120, 40}, {250, 12}}); });
    add_case(cases, text("attention %s, long decode", name), false,
             [=](const Mode& mode) { compare(mode, s, {{5000, 1}, {511, 1}, {512, 1}, {513, 1}, {2047, 1}, {4095, 1}}); });
    add_case(cases, text("attention %s, chunk of a long prompt", name), false,
             [=](const Mode& mode) { compare(mode, s, {{4990, 40}, {3, 1}, {1000, 100}}); });
    add_case(cases, text("attention %s, long, bits in any company", name), false,
             [=](const Mode& mode) { expect_same_company(mode, s, {{2500, 30}, {700, 1}, {0, 300}}); });
  }
  add_case(cases, "attention gpt-oss, 65 sequences", false, [](const Mode& mode) {
    std::vector<Query> queries;
    for (int32_t i = 0; i < 65; ++i) queries.push_back({(i * 37) % 900, 1});
    compare(mode, kOss, queries);
  });
}

}  // namespace moesaic::test
