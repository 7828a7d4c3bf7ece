// Every kernel of the package. Those of one op stand in order of preference.
#pragma once

#include "moesaic/kernel.h"

namespace moesaic::cuda {

extern const mk_kernel begin_step_kernel;
extern const mk_kernel rope_table_kernel;
extern const mk_kernel embed_kernel;
extern const mk_kernel rms_norm_kernel;
extern const mk_kernel add_kernel;
extern const mk_kernel linear_exact_kernel;
extern const mk_kernel linear_fast_kernel;
extern const mk_kernel linear_deterministic_kernel;
extern const mk_kernel rope_kv_write_kernel;
extern const mk_kernel attention_exact_kernel;
extern const mk_kernel attention_fast_kernel;
extern const mk_kernel router_kernel;
extern const mk_kernel experts_bf16_exact_kernel;
extern const mk_kernel experts_bf16_fast_kernel;
extern const mk_kernel experts_bf16_deterministic_kernel;
extern const mk_kernel experts_mxfp4_exact_kernel;
extern const mk_kernel experts_mxfp4_fast_kernel;
extern const mk_kernel experts_mxfp4_deterministic_kernel;
extern const mk_kernel combine_kernel;
extern const mk_kernel gather_rows_kernel;
extern const mk_kernel sample_kernel;
extern const mk_kernel sample_shard_kernel;
extern const mk_kernel mxfp4_decode_kernel;
extern const mk_kernel mxfp4_encode_kernel;

}  // namespace moesaic::cuda
