// Every kernel of the package, one file each; experts come in two, one per layout.
#pragma once

#include "moesaic/kernel.h"

namespace moesaic::reference {

extern const mk_kernel begin_step_kernel;
extern const mk_kernel rope_table_kernel;
extern const mk_kernel embed_kernel;
extern const mk_kernel rms_norm_kernel;
extern const mk_kernel linear_kernel;
extern const mk_kernel rope_kv_write_kernel;
extern const mk_kernel attention_kernel;
extern const mk_kernel router_kernel;
extern const mk_kernel experts_bf16_kernel;
extern const mk_kernel experts_mxfp4_kernel;
extern const mk_kernel combine_kernel;
extern const mk_kernel gather_rows_kernel;
extern const mk_kernel sample_kernel;
extern const mk_kernel mxfp4_decode_kernel;
extern const mk_kernel mxfp4_encode_kernel;
extern const mk_kernel add_kernel;
extern const mk_kernel sample_shard_kernel;

}  // namespace moesaic::reference
