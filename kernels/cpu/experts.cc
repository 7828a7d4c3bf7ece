// experts: h = gate_up[e] x + bias, a = (u + 1) * g * sigmoid(alpha * g) of the clamped halves, out[t, s] = down[e] a + bias
//   x (rows, hidden) f32 · gate_up, down MXFP4 in il16_mxfp4_experts or bf16 in il16_bf16_experts · out (rows, k * hidden) f32
//   bound: few rows: memory, 0.53 B per weight (MXFP4) of every expert hit · many rows: f32 FMA
//   Rows are sorted by expert; tiles of them stay in registers over the columns. Gate and up of the same units lie in
//   adjacent groups, so that the activation is taken from registers.
//   figures of one thread (CPU time), Zen 4, 118 GFLOP/s FMA: gpt-oss-20b, MXFP4, 1 row | 512 rows
//   v1 a shift and a lookup per nibble, tiles of 2 groups x 6 rows        12.5 GB/s     83 GFLOP/s
//   v2 a shift and a lookup for two nibbles                               13.3 GB/s     88 GFLOP/s
//   v3 many rows x 1 group, few rows x 4; prefetch over a group's end     15.0 GB/s    107 GFLOP/s   (shipped)
//      the same over AVX2                                                  7.8 GB/s     73 GFLOP/s
//   oracle: kernels/reference/experts.cc · upstream: none
#include "experts.h"

#include <string.h>

#include "check.h"
#include "offer.h"
#include "pack_rows.h"
#include "parallel.h"

namespace moesaic::cpu {
namespace {

// ---- 1 decide --------------------------------------------------------------------------------------------------------------

// The workspace: everything for one pass of rows.
struct Workspace {
  ExpertTile* tiles;
  ActiveExpert* active;
  int32_t* slots;   // sorted by expert
  int32_t* starts;  // (num_experts + 1) first of each expert's slots
  float* packed_x;
  float* activations;
  int64_t bytes;
};

Workspace lay_out(const mk_experts_args& args, void* memory) {
  const int64_t pairs = rows_in_pass(args.x.max_rows) * args.expert_ids.cols;
  int64_t offset = 0;
  const auto take = [&](int64_t bytes) {
    char* at = static_cast<char*>(memory) + (memory == nullptr ? 0 : offset);
    offset += round_up(bytes, 64);
    return at;
  };
  Workspace w;
  w.tiles = reinterpret_cast<ExpertTile*>(take(pairs * int64_t{sizeof(ExpertTile)}));
  w.active = reinterpret_cast<ActiveExpert*>(take(pairs * int64_t{sizeof(ActiveExpert)}));
  w.slots = reinterpret_cast<int32_t*>(take(pairs * 4));
  w.starts = reinterpret_cast<int32_t*>(take((int64_t{args.gate_up.num_experts} + 1) * 4));
  w.packed_x = reinterpret_cast<float*>(take(pairs * args.gate_up.cols * 4));
  w.activations = reinterpret_cast<float*>(take(pairs * args.down.cols * 4));
  w.bytes = offset;
  return w;
}

// Local index of a pair's expert, -1 where another rank has it.
int32_t local_expert(const mk_experts_args& args, int32_t id) { return id < 0 ? -1 : args.local_experts[id]; }

// Counting sort of the pass's (token, slot) pairs by local expert; pairs of other ranks' experts are left out.
void sort_by_expert(const mk_experts_args& args, const int32_t* ids, int64_t pairs, const Workspace& w) {
  const int64_t num_experts = args.gate_up.num_experts;
  memset(w.starts, 0, (num_experts + 1) * sizeof(int32_t));
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const int32_t expert = local_expert(args, ids[pair]);
    if (expert >= 0) ++w.starts[expert + 1];
  }
  for (int64_t expert = 0; expert < num_experts; ++expert) w.starts[expert + 1] += w.starts[expert];
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const int32_t expert = local_expert(args, ids[pair]);
    if (expert >= 0) w.slots[w.starts[expert]++] = static_cast<int32_t>(pair);
  }
  for (int64_t expert = num_experts; expert > 0; --expert) w.starts[expert] = w.starts[expert - 1];  // undo the ++
  w.starts[0] = 0;
}

struct Counts {
  int64_t active, tiles;
};

Counts cut_tiles(const mk_experts_args& args, const float* x, int64_t max_tile_rows, const Workspace& w) {
  Counts counts = {0, 0};
  for (int32_t expert = 0; expert < args.gate_up.num_experts; ++expert) {
    const Tiling tiling = tile_rows(w.starts[expert + 1] - w.starts[expert], max_tile_rows);
    if (tiling.num_rows == 0) continue;
    w.active[counts.active++] = {expert, static_cast<int32_t>(counts.tiles), static_cast<int32_t>(tiling.num_tiles)};
    for (int64_t i = 0; i < tiling.num_tiles; ++i) {
      const int64_t first = w.starts[expert] + tiling.first_row(i),
                    rows = tiling.first_row(i + 1) - tiling.first_row(i);
      const float* own = x + w.slots[first] / args.expert_ids.cols * int64_t{args.x.cols};
      w.tiles[counts.tiles++] = {rows == 1 ? own : w.packed_x + first * args.gate_up.cols,  // one row is packed already
                                 w.activations + first * args.down.cols, w.slots + first, static_cast<int32_t>(rows)};
    }
  }
  return counts;
}

// ---- 2 compute -------------------------------------------------------------------------------------------------------------

void pack_tiles(const mk_experts_args& args, const float* x, int64_t num_tiles, int64_t num_pairs, const Workspace& w,
                const mk_cpu_stream& stream) {
  const int64_t cols = args.x.cols, per_token = args.expert_ids.cols;
  if (num_tiles == num_pairs) return;
  parallel(stream, num_tiles, num_pairs / num_tiles * cols, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t i = begin; i < end; ++i) {
      const ExpertTile& tile = w.tiles[i];
      if (tile.num_rows == 1) continue;
      const float* rows[kMaxTileRows];
      for (int32_t r = 0; r < tile.num_rows; ++r) rows[r] = x + tile.slots[r] / per_token * cols;
      pack_tile(rows, tile.num_rows, cols, const_cast<float*>(tile.x));
    }
  });
}

int64_t num_chunks(int64_t rows, int64_t groups_per_item) {
  return (num_groups(rows) + groups_per_item - 1) / groups_per_item;
}

void run_pass(const ExpertsIsa& isa, const mk_experts_args& args, int64_t first, int64_t rows, void* memory,
              const mk_cpu_stream& stream) {
  const Workspace w = lay_out(args, memory);
  const float* x = static_cast<const float*>(args.x.data) + first * args.x.cols;
  const int32_t* ids = static_cast<const int32_t*>(args.expert_ids.data) + first * args.expert_ids.cols;
  sort_by_expert(args, ids, rows * args.expert_ids.cols, w);
  const int64_t num_pairs = w.starts[args.gate_up.num_experts];
  if (num_pairs == 0) return;
  const Counts counts = cut_tiles(args, x, isa.max_tile_rows, w);
  pack_tiles(args, x, counts.tiles, num_pairs, w, stream);
  const ExpertsWork work = {w.tiles,
                            w.active,
                            counts.active,
                            args.gate_up,
                            args.gate_up_bias,
                            args.down,
                            args.down_bias,
                            static_cast<float*>(args.out.data) + first * args.out.cols,
                            args.alpha,
                            args.limit,
                            counts.tiles == counts.active};
  const int64_t rows_per_item = 64 * (num_pairs + counts.active - 1) / counts.active;
  parallel(stream, counts.active * num_chunks(args.down.cols, kUnitGroupsPerItem), rows_per_item * args.gate_up.cols,
           [&](int64_t begin, int64_t end, int32_t) { isa.gate_up(work, begin, end); });
  parallel(stream, counts.active * num_chunks(args.down.rows, kDownGroupsPerItem), rows_per_item * args.down.cols,
           [&](int64_t begin, int64_t end, int32_t) { isa.down(work, begin, end); });
}

// ---- 3 check, launch -------------------------------------------------------------------------------------------------------

bool is_experts(const mk_experts_args& args, mk_dtype dtype) {
  const mk_weight &gate_up = args.gate_up, &down = args.down;
  const bool is_dtype = gate_up.dtype == dtype && down.dtype == dtype;
  const bool is_whole = dtype != MK_MXFP4 || (gate_up.cols % kMxfp4Block == 0 && down.cols % kMxfp4Block == 0);
  const bool is_pair = gate_up.num_experts == down.num_experts && int64_t{gate_up.rows} == 2 * int64_t{down.cols} &&
                       gate_up.cols == down.rows;
  return is_dtype && is_whole && is_pair && args.x.cols == gate_up.cols && args.expert_ids.cols >= 1 &&
         args.num_global_experts >= 1 && int64_t{args.out.cols} == int64_t{args.expert_ids.cols} * down.rows;
}

mk_status check_expert_map(const mk_experts_args& args, mk_error* error) {
  if (args.local_experts == nullptr || args.num_global_experts < 1) {
    return fail(error, MK_INVALID_ARGUMENT, "experts: local_experts of 1 or more experts wanted, %s of %d given",
                args.local_experts == nullptr ? "NULL" : "one", args.num_global_experts);
  }
  for (int32_t id = 0; id < args.num_global_experts; ++id) {
    const int32_t expert = args.local_experts[id];
    if (expert >= -1 && expert < args.gate_up.num_experts) continue;
    return fail(error, MK_INVALID_ARGUMENT, "experts: local_experts[%d] is %d, wanted -1 to %d", id, expert,
                args.gate_up.num_experts - 1);
  }
  return MK_OK;
}

mk_status check_ids(const mk_experts_args& args, int64_t rows, mk_error* error) {
  const auto* ids = static_cast<const int32_t*>(args.expert_ids.data);
  const int64_t per_token = args.expert_ids.cols;
  for (int64_t pair = 0; pair < rows * per_token; ++pair) {
    if (ids[pair] >= -1 && ids[pair] < args.num_global_experts) continue;
    return fail(error, MK_INVALID_ARGUMENT, "experts: expert_ids[%lld, %lld] is %d, wanted -1 to %d",
                static_cast<long long>(pair / per_token), static_cast<long long>(pair % per_token), ids[pair],
                args.num_global_experts - 1);
  }
  return MK_OK;
}

mk_status check(const ExpertsIsa& isa, const mk_experts_args& args, int64_t* rows, const void* workspace,
                mk_error* error) {
  MK_TRY(check_matrix(args.gate_up, isa.dtype, "experts.gate_up", error));
  MK_TRY(check_matrix(args.down, isa.dtype, "experts.down", error));
  MK_TRY(check_buffer(args.x, args.gate_up.cols, "experts.x", error));
  MK_TRY(check_buffer(args.expert_ids, args.expert_ids.cols, "experts.expert_ids", error));
  MK_TRY(check_buffer(args.out, int64_t{args.expert_ids.cols} * args.down.rows, "experts.out", error));
  const int32_t num_experts = args.gate_up.num_experts;
  if (args.gate_up_bias.data != nullptr) {
    MK_TRY(check_vector(args.gate_up_bias, num_experts, args.gate_up.rows, "experts.gate_up_bias", error));
  }
  if (args.down_bias.data != nullptr) {
    MK_TRY(check_vector(args.down_bias, num_experts, args.down.rows, "experts.down_bias", error));
  }
  MK_TRY(check_expert_map(args, error));
  if (!is_experts(args, isa.dtype)) {
    return fail(error, MK_INVALID_ARGUMENT, "experts: gate_up (%d, %d, %d) and down (%d, %d, %d) do not fit each other",
                num_experts, args.gate_up.rows, args.gate_up.cols, args.down.num_experts, args.down.rows,
                args.down.cols);
  }
  MK_TRY(take_rows(args.x.num_rows, args.x, "experts.x", rows, error));
  if (*rows > args.out.max_rows || *rows > args.expert_ids.max_rows) {
    return fail(error, MK_INVALID_ARGUMENT, "experts: %lld rows wanted, room for %d", static_cast<long long>(*rows),
                args.out.max_rows);
  }
  MK_TRY(check_ids(args, *rows, error));
  if (*rows > 0 && workspace == nullptr) return fail(error, MK_RESOURCE_EXHAUSTED, "experts: workspace is NULL");
  return MK_OK;
}

template <uint32_t kFeatures, mk_dtype kDtype>
int32_t supports(const mk_device* device, const mk_op_instance* parts, int32_t num_parts) {
  return num_parts == 1 && has_features(device, kFeatures) && is_experts(part<mk_experts_args>(parts, 0), kDtype);
}

int64_t workspace_bytes(const mk_device*, const mk_op_instance* parts, int32_t) {
  return lay_out(part<mk_experts_args>(parts, 0), nullptr).bytes;
}

template <const ExpertsIsa& kIsa>
mk_status launch(const void* const* parts, int32_t, void* workspace, void*, mk_stream stream, mk_error* error) {
  const mk_experts_args* args = nullptr;
  const mk_cpu_stream* pool = nullptr;
  int64_t num_rows = 0;
  MK_TRY(take_args(parts[0], "experts", &args, error));
  MK_TRY(check_stream(stream, &pool, error));
  MK_TRY(check(kIsa, *args, &num_rows, workspace, error));
  for (int64_t first = 0; first < num_rows; first += kRowsPerPass) {
    run_pass(kIsa, *args, first, rows_in_pass(num_rows - first), workspace, *pool);
  }
  return MK_OK;
}

const mk_op kOps[] = {MK_OP_EXPERTS};

}  // namespace

// ---- 4 offer ---------------------------------------------------------------------------------------------------------------

const mk_kernel kExpertsBf16Avx2 = {
    sizeof(mk_kernel),    "experts_bf16_avx2",        kOps, 1, supports<MK_CPU_AVX2, MK_BF16>, workspace_bytes, nullptr,
    &kPackingBf16Experts, launch<kExpertsIsaBf16Avx2>};
const mk_kernel kExpertsBf16Avx512 = {sizeof(mk_kernel),
                                      "experts_bf16_avx512",
                                      kOps,
                                      1,
                                      supports<MK_CPU_AVX512, MK_BF16>,
                                      workspace_bytes,
                                      nullptr,
                                      &kPackingBf16Experts,
                                      launch<kExpertsIsaBf16Avx512>};
const mk_kernel kExpertsMxfp4Avx2 = {sizeof(mk_kernel),
                                     "experts_mxfp4_avx2",
                                     kOps,
                                     1,
                                     supports<MK_CPU_AVX2, MK_MXFP4>,
                                     workspace_bytes,
                                     nullptr,
                                     &kPackingMxfp4Experts,
                                     launch<kExpertsIsaMxfp4Avx2>};
const mk_kernel kExpertsMxfp4Avx512 = {sizeof(mk_kernel),
                                       "experts_mxfp4_avx512",
                                       kOps,
                                       1,
                                       supports<MK_CPU_AVX512, MK_MXFP4>,
                                       workspace_bytes,
                                       nullptr,
                                       &kPackingMxfp4Experts,
                                       launch<kExpertsIsaMxfp4Avx512>};

}  // namespace moesaic::cpu
