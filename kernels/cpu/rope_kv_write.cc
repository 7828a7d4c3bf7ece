// rope_kv_write: rotates q (in place) and k by halves with the rope table, writes k and v to the paged cache
//   qkv (num_tokens, (num_heads + 2 * num_kv_heads) * head_dim) f32 · rope (num_tokens, head_dim): cosines, then sines
//   bound: cache · the fused kernel of linear.cc does the same in one pass, with the same bits
//   oracle: kernels/reference/rope_kv_write.cc
#include "check.h"
#include "check_step.h"
#include "offer.h"
#include "parallel.h"
#include "rotate.h"

namespace moesaic::cpu {
namespace {

int64_t num_heads(const mk_rope_kv_write_args& args) { return args.num_heads + 2 * int64_t{args.kv.num_kv_heads}; }

void place_token(const mk_rope_kv_write_args& args, int64_t token) {
  const int64_t head_dim = args.kv.head_dim;
  const float* rope = static_cast<const float*>(args.rope.data) + token * head_dim;
  float* row = static_cast<float*>(args.qkv.data) + token * args.qkv.cols;
  for (int64_t head = 0; head < num_heads(args); ++head) {
    place_head(args.kv, *args.step, rope, args.num_heads, head, token, row + head * head_dim, row + head * head_dim);
  }
}

bool is_rope_kv_write(const mk_rope_kv_write_args& args) {
  return is_supported_kv(args.kv, args.num_heads) && args.qkv.cols == num_heads(args) * args.kv.head_dim &&
         args.rope.cols == args.kv.head_dim;
}

mk_status check(const mk_rope_kv_write_args& args, int64_t* num_tokens, mk_error* error) {
  MK_TRY(check_kv(args.kv, args.num_heads, error));
  MK_TRY(check_buffer(args.qkv, num_heads(args) * args.kv.head_dim, "rope_kv_write.qkv", error));
  MK_TRY(check_buffer(args.rope, args.kv.head_dim, "rope_kv_write.rope", error));
  MK_TRY(check_tokens(args.step, num_tokens, error));
  if (*num_tokens > args.qkv.max_rows || *num_tokens > args.rope.max_rows) {
    return fail(error, MK_INVALID_ARGUMENT, "rope_kv_write: room for %lld rows wanted",
                static_cast<long long>(*num_tokens));
  }
  return check_slots(args.kv, *args.step, *num_tokens, error);
}

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  return num_parts == 1 && has_features(device, 0) && is_rope_kv_write(part<mk_rope_kv_write_args>(parts, 0));
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream stream, mk_error* error) {
  const mk_rope_kv_write_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t num_tokens = 0;
  MK_TRY(take_args(parts[0], "rope_kv_write", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check(*args, &num_tokens, error));
  parallel(*pool, num_tokens, args->qkv.cols * 2, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t token = begin; token < end; ++token) place_token(*args, token);
  });
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_ROPE_KV_WRITE};

}  // namespace

const mk_kernel kRopeKvWrite = {
    sizeof(mk_kernel), "rope_kv_write_f32", kOps, 1, supports, nullptr, nullptr, nullptr, launch};

}  // namespace moesaic::cpu
