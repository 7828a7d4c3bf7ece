// attention: softmax over the keys a query sees and one sink, for every (token, head)
//   out[t, h, :] = sum_j exp(s_j - m) v_j / (exp(sink_h - m) + sum_j exp(s_j - m)),   s_j = scale * q_h . k_j
//   keys max(0, i - window + 1) <= j <= i, window 0: all j <= i · q head h reads kv head h / (num_heads / num_kv_heads)
//   two passes over the keys, first for m and then for the sums, in doubles and in ascending key order; scores are
//   computed twice because there is no room to keep them (their number is not a constant of the program)
#include <algorithm>
#include <cmath>
#include <limits>

#include "align.h"
#include "kernels.h"
#include "kv_slot.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_attention_args& args) {
  const int64_t cols = static_cast<int64_t>(args.num_heads) * args.kv.head_dim;
  return check.kv(args.kv, args.num_heads) && check.buffer("out", args.out, cols) &&
         check.buffer("qkv", args.qkv, args.qkv.cols) &&
         check.that(args.qkv.cols >= cols, "qkv has %d columns, want at least %lld", args.qkv.cols,
                    static_cast<long long>(cols)) &&
         check.that(args.window >= 0, "window is %d, want 0 or more", args.window);
}

bool values(Check& check, const mk_attention_args& args) {
  return check.sequences(args.step) && check.rows("qkv", args.qkv, *args.step->num_tokens) &&
         check.rows("out", args.out, *args.step->num_tokens) &&
         check.optional_vector("sinks", args.sinks, 1, args.num_heads) &&
         check.kv_blocks(args.kv, *args.step, args.window);
}

int64_t thread_bytes(const mk_attention_args& args) {
  return round_up_64(args.kv.head_dim * static_cast<int64_t>(sizeof(double)));
}

double score(const mk_attention_args& args, const float* q, const float* k) {
  double sum = 0;
  for (int32_t d = 0; d < args.kv.head_dim; ++d) sum += static_cast<double>(q[d]) * k[d];
  return sum * static_cast<double>(args.scale);
}

// One head of one token. `sums` has room for head_dim doubles.
void attend(const mk_attention_args& args, int64_t t, int32_t head, double* sums) {
  const mk_kv& kv = args.kv;
  const int32_t row = args.step->seq_rows[args.step->token_seqs[t]], last = args.step->positions[t];
  const int32_t first = args.window == 0 ? 0 : std::max(0, last - args.window + 1);
  const int32_t kv_head = head / (args.num_heads / kv.num_kv_heads);
  const float* q = static_cast<const float*>(args.qkv.data) + t * args.qkv.cols + head * kv.head_dim;
  const float* keys = static_cast<const float*>(kv.k);
  const float* values = static_cast<const float*>(kv.v);
  const float* sinks = static_cast<const float*>(args.sinks.data);
  const double sink = sinks == nullptr ? -std::numeric_limits<double>::infinity() : sinks[head];

  double largest = sink;
  for (int32_t j = first; j <= last; ++j) {
    largest = std::max(largest, score(args, q, keys + kv_slot(kv, row, j, kv_head)));
  }
  double denominator = sinks == nullptr ? 0 : std::exp(sink - largest);
  std::fill_n(sums, kv.head_dim, 0.0);
  for (int32_t j = first; j <= last; ++j) {
    const int64_t slot = kv_slot(kv, row, j, kv_head);
    const double weight = std::exp(score(args, q, keys + slot) - largest);
    denominator += weight;
    for (int32_t d = 0; d < kv.head_dim; ++d) sums[d] += weight * static_cast<double>(values[slot + d]);
  }
  float* out = static_cast<float*>(args.out.data) + t * args.out.cols + head * kv.head_dim;
  for (int32_t d = 0; d < kv.head_dim; ++d) out[d] = static_cast<float>(sums[d] / denominator);
}

void run(const mk_attention_args& args, const mk_cpu_stream& stream, void* workspace) {
  const int64_t num_items = static_cast<int64_t>(*args.step->num_tokens) * args.num_heads;
  for_each(stream, num_items, [&](int64_t item, int32_t thread) {
    auto* sums = static_cast<double*>(thread_slice(workspace, thread, thread_bytes(args)));
    attend(args, item / args.num_heads, static_cast<int32_t>(item % args.num_heads), sums);
  });
}

}  // namespace

const mk_kernel attention_kernel =
    PlainKernel<MK_OP_ATTENTION, mk_attention_args, shapes, values, run, thread_bytes>::offer("attention_f32");

}  // namespace moesaic::reference
