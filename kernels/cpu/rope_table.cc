// rope_table: out[t, 0:d/2] = cos(a) * scaling, out[t, d/2:d] = sin(a) * scaling, a = float32(positions[t]) * inv_freq[i]
//   out (num_tokens, head_dim) f32 · the angle is a float32 product, what follows is double, rounded once
//   bound: none that matters, once a step · oracle: kernels/reference/rope_table.cc
//   Source: YaRN, arXiv 2309.00071; gpt-oss torch/model.py
#include <math.h>

#include "check.h"
#include "check_step.h"
#include "offer.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

void fill_row(const mk_rope_table_args& args, int64_t token) {
  const int64_t half = args.out.cols / 2;
  float* out = static_cast<float*>(args.out.data) + token * args.out.cols;
  for (int64_t i = 0; i < half; ++i) {
    const float angle = static_cast<float>(args.step->positions[token]) * args.inv_freq[i];
    out[i] = static_cast<float>(cos(double{angle}) * double{args.scaling});
    out[half + i] = static_cast<float>(sin(double{angle}) * double{args.scaling});
  }
}

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  return num_parts == 1 && has_features(device, 0) && part<mk_rope_table_args>(parts, 0).out.cols % 2 == 0;
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream stream, mk_error* error) {
  const mk_rope_table_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t num_tokens = 0;
  MK_TRY(take_args(parts[0], "rope_table", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check_buffer(args->out, args->out.cols / 2 * 2, "rope_table.out", error));
  MK_TRY(check_tokens(args->step, &num_tokens, error));
  if (args->inv_freq == nullptr || num_tokens > args->out.max_rows) {
    return fail(error, MK_INVALID_ARGUMENT, "rope_table: inv_freq and room for %lld rows wanted",
                static_cast<long long>(num_tokens));
  }
  parallel(*pool, num_tokens, args->out.cols * 64, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t token = begin; token < end; ++token) fill_row(*args, token);
  });
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_ROPE_TABLE};

}  // namespace

const mk_kernel kRopeTable = {sizeof(mk_kernel), "rope_table_f32", kOps,    1,     supports,
                              nullptr,           nullptr,          nullptr, launch};

}  // namespace moesaic::cpu
