// embed: out[t, :] = float32(weight[token_ids[t], :])
//   weight (vocab, hidden) bf16 in rowmajor_bf16: single rows are read · out (num_tokens, hidden) f32
//   bound: latency of num_tokens rows from memory · oracle: kernels/reference/embed.cc
#include <string.h>

#include "check.h"
#include "check_step.h"
#include "offer.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

void widen(const uint16_t* from, int64_t cols, float* to) {
  for (int64_t column = 0; column < cols; ++column) {
    const uint32_t bits = uint32_t{from[column]} << 16;
    memcpy(to + column, &bits, sizeof(bits));
  }
}

mk_status check(const mk_embed_args& args, int64_t* num_tokens, mk_error* error) {
  MK_TRY(check_matrix(args.weight, MK_BF16, "embed.weight", error));
  MK_TRY(check_buffer(args.out, args.weight.cols, "embed.out", error));
  MK_TRY(check_tokens(args.step, num_tokens, error));
  if (args.step->token_ids == nullptr || *num_tokens > args.out.max_rows) {
    return fail(error, MK_INVALID_ARGUMENT, "embed: token_ids and room for %lld rows wanted",
                static_cast<long long>(*num_tokens));
  }
  for (int64_t token = 0; token < *num_tokens; ++token) {
    const int32_t id = args.step->token_ids[token];
    if (id >= 0 && id < args.weight.rows) continue;
    return fail(error, MK_INVALID_ARGUMENT, "embed: token_ids[%lld] is %d, wanted 0 to %d",
                static_cast<long long>(token), id, args.weight.rows - 1);
  }
  return MK_OK;
}

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  const mk_embed_args& args = part<mk_embed_args>(parts, 0);
  return num_parts == 1 && has_features(device, 0) && args.weight.dtype == MK_BF16 && args.weight.num_experts == 1 &&
         args.weight.cols == args.out.cols;
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream stream, mk_error* error) {
  const mk_embed_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t num_tokens = 0;
  MK_TRY(take_args(parts[0], "embed", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check(*args, &num_tokens, error));
  const int64_t cols = args->weight.cols;
  parallel(*pool, num_tokens, cols, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t token = begin; token < end; ++token) {
      widen(static_cast<const uint16_t*>(args->weight.data) + args->step->token_ids[token] * cols, cols,
            static_cast<float*>(args->out.data) + token * cols);
    }
  });
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_EMBED};

}  // namespace

const mk_kernel kEmbed = {sizeof(mk_kernel), "embed_bf16",      kOps,  1, supports, nullptr,
                          nullptr,           &kPackingRowMajor, launch};

}  // namespace moesaic::cpu
