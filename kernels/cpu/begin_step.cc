// begin_step: token_ids[t] = planned_ids[t] >= 0 ? planned_ids[t] : last_sampled[r], r = seq_rows[token_seqs[t]]
//   history[table[r, p / block_size] * block_size + p % block_size] = token_ids[t], p = positions[t]
//   bound: nothing, a few loads a token · oracle: kernels/reference/begin_step.cc
#include <initializer_list>

#include "check.h"
#include "check_step.h"
#include "offer.h"

namespace moesaic::cpu {
namespace {

mk_status check_token(const mk_begin_step_args& args, int64_t t, mk_error* error) {
  const int32_t row = args.step->seq_rows[args.step->token_seqs[t]], position = args.step->positions[t];
  const int32_t entry = position / args.block_size;
  if (position < 0 || entry >= args.max_blocks)
    return fail(error, MK_INVALID_ARGUMENT, "begin_step: positions[%lld] is %d, wanted 0 to %lld", static_cast<long long>(t),
                position, static_cast<long long>(args.max_blocks) * args.block_size - 1);
  if (args.table[static_cast<int64_t>(row) * args.max_blocks + entry] <= 0)
    return fail(error, MK_INVALID_ARGUMENT, "begin_step: row %d has no KV block at table entry %d", row, entry);
  if (args.planned_ids[t] < 0 && args.last_sampled[row] < 0)
    return fail(error, MK_INVALID_ARGUMENT, "begin_step: row %d has sampled no token yet", row);
  return MK_OK;
}

mk_status check(const mk_begin_step_args& args, mk_error* error) {
  int64_t num_tokens = 0;
  MK_TRY(check_tokens(args.step, &num_tokens, error));
  MK_TRY(check_seqs(*args.step, num_tokens, error));
  for (const void* pointer : {static_cast<const void*>(args.planned_ids), static_cast<const void*>(args.last_sampled),
                              static_cast<const void*>(args.token_ids), static_cast<const void*>(args.history),
                              static_cast<const void*>(args.table)})
    if (pointer == nullptr) return fail(error, MK_INVALID_ARGUMENT, "begin_step: an array is NULL");
  for (int64_t t = 0; t < num_tokens; ++t) MK_TRY(check_token(args, t, error));
  return MK_OK;
}

int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  const mk_begin_step_args& args = part<mk_begin_step_args>(parts, 0);
  return num_parts == 1 && has_features(device, 0) && args.max_blocks > 0 && args.block_size > 0;
}

mk_status launch(const void* const* parts, int32_t, void*, void*, mk_stream, mk_error* error) {
  const mk_begin_step_args* args = nullptr;
  MK_TRY(take_args(parts[0], "begin_step", &args, error));
  MK_TRY(check(*args, error));
  for (int64_t t = 0; t < *args->step->num_tokens; ++t) {
    const int32_t row = args->step->seq_rows[args->step->token_seqs[t]], position = args->step->positions[t];
    const int64_t block = args->table[static_cast<int64_t>(row) * args->max_blocks + position / args->block_size];
    args->token_ids[t] = args->planned_ids[t] >= 0 ? args->planned_ids[t] : args->last_sampled[row];
    args->history[block * args->block_size + position % args->block_size] = args->token_ids[t];
  }
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_BEGIN_STEP};

}  // namespace

const mk_kernel kBeginStep = {sizeof(mk_kernel), "begin_step", kOps,    1,     supports,
                              nullptr,           nullptr,      nullptr, launch};

}  // namespace moesaic::cpu
