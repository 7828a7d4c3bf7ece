// begin_step: token_ids[t] = planned_ids[t] >= 0 ? planned_ids[t] : last_sampled[r], r = seq_rows[token_seqs[t]]
//   history[table[r, p / block_size] * block_size + p % block_size] = token_ids[t], p = positions[t]
//   table (max_rows, max_blocks) · a token's slot is written by that token alone, so that the order does not matter
#include "kernels.h"
#include "plain_kernel.h"

namespace moesaic::reference {

namespace {

bool shapes(Check& check, const mk_begin_step_args& args) {
  return check.that(args.max_blocks > 0 && args.block_size > 0, "%d table entries of %d tokens, want 1 or more",
                    args.max_blocks, args.block_size);
}

int32_t row_of(const mk_begin_step_args& args, int32_t t) { return args.step->seq_rows[args.step->token_seqs[t]]; }

int32_t block_of(const mk_begin_step_args& args, int32_t t) {
  return args.table[static_cast<int64_t>(row_of(args, t)) * args.max_blocks + args.step->positions[t] / args.block_size];
}

int32_t token_of(const mk_begin_step_args& args, int32_t t) {
  return args.planned_ids[t] >= 0 ? args.planned_ids[t] : args.last_sampled[row_of(args, t)];
}

bool token_values(Check& check, const mk_begin_step_args& args, int32_t t) {
  const int32_t position = args.step->positions[t], entry = position / args.block_size;
  return check.that(entry < args.max_blocks, "positions[%d] is %d, want under %d table entries of %d tokens", t,
                    position, args.max_blocks, args.block_size) &&
         check.that(block_of(args, t) > 0, "row %d has KV block %d at table entry %d, want 1 or more", row_of(args, t),
                    block_of(args, t), entry) &&
         check.that(token_of(args, t) >= 0, "planned_ids[%d] asks for the last token of row %d, which has sampled none",
                    t, row_of(args, t));
}

bool values(Check& check, const mk_begin_step_args& args) {
  if (!check.sequences(args.step) || !check.pointer("planned_ids", args.planned_ids) ||
      !check.pointer("last_sampled", args.last_sampled) || !check.pointer("token_ids", args.token_ids) ||
      !check.pointer("history", args.history) || !check.pointer("table", args.table)) {
    return false;
  }
  for (int32_t t = 0; t < *args.step->num_tokens; ++t) {
    if (!token_values(check, args, t)) return false;
  }
  return true;
}

void run(const mk_begin_step_args& args, const mk_cpu_stream&, void*) {
  for (int32_t t = 0; t < *args.step->num_tokens; ++t) {
    const int64_t slot = static_cast<int64_t>(block_of(args, t)) * args.block_size;
    args.token_ids[t] = token_of(args, t);
    args.history[slot + args.step->positions[t] % args.block_size] = args.token_ids[t];
  }
}

}  // namespace

const mk_kernel begin_step_kernel =
    PlainKernel<MK_OP_BEGIN_STEP, mk_begin_step_args, shapes, values, run>::offer("begin_step");

}  // namespace moesaic::reference
