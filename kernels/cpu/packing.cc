// packing: from checkpoint rows to the layouts of layout.h. Runs once at load, from several threads on disjoint rows.
//   bound: the copy. MXFP4 moves whole 32-bit words, since four bytes of a checkpoint row are eight columns in order already.
#include <string.h>

#include "check.h"
#include "e2m1.h"
#include "layout.h"
#include "offer.h"

namespace moesaic::cpu {
namespace {

// Source rows of one group: lane i is row first + i * step, for i < count.
struct GroupRows {
  int64_t group, first, step, count;
};

bool is_paired(const mk_weight_desc& desc) { return desc.slot == MK_SLOT_GATE_UP; }

// 2^50 bytes is more than any memory; below it no product of this file overflows.
bool is_packable(const mk_weight_desc* desc) {
  if (desc == nullptr || desc->struct_size < sizeof(*desc)) return false;
  if (desc->num_experts < 1 || desc->rows < 1 || desc->cols < 1) return false;
  if (double(desc->num_experts) * (double(desc->rows) + 32) * desc->cols > double(int64_t{1} << 50)) return false;
  const bool is_mxfp4 = desc->source_dtype == MK_MXFP4;
  if (!is_mxfp4 && desc->source_dtype != MK_BF16) return false;
  if (is_mxfp4 && desc->cols % kMxfp4Block != 0) return false;
  return !(is_paired(*desc) && desc->rows % 2 != 0);
}

bool is_packable_bf16(const mk_weight_desc* desc) { return is_packable(desc) && desc->stored_dtype == MK_BF16; }

bool is_packable_mxfp4(const mk_weight_desc* desc) {
  return is_packable(desc) && desc->stored_dtype == MK_MXFP4 && desc->source_dtype == MK_MXFP4;
}

int64_t grouped_bytes(const mk_weight_desc& desc) {
  return desc.num_experts * expert_bytes(num_groups(desc.rows, is_paired(desc)), desc.cols, desc.stored_dtype);
}

int64_t bf16_bytes(const mk_weight_desc* desc) {
  return is_packable_bf16(desc) && desc->slot == MK_SLOT_WEIGHT ? grouped_bytes(*desc) : -1;
}
int64_t bf16_experts_bytes(const mk_weight_desc* desc) { return is_packable_bf16(desc) ? grouped_bytes(*desc) : -1; }
int64_t mxfp4_bytes(const mk_weight_desc* desc) { return is_packable_mxfp4(desc) ? grouped_bytes(*desc) : -1; }
int64_t row_major_bytes(const mk_weight_desc* desc) {
  if (!is_packable_bf16(desc) || desc->slot != MK_SLOT_WEIGHT) return -1;
  return round_up(int64_t{desc->num_experts} * desc->rows * desc->cols * 2, 64);
}

mk_status check_piece(const mk_pack_args* args, int64_t bytes, int32_t granule, mk_error* error) {
  if (args == nullptr || args->struct_size < sizeof(*args))
    return fail(error, MK_INVALID_ARGUMENT, "pack: args too small");
  if (bytes < 0) return fail(error, MK_INVALID_ARGUMENT, "pack: this weight has no such layout");
  const mk_weight_desc& desc = *args->desc;
  if (args->src == nullptr || args->dst == nullptr ||
      (desc.source_dtype == MK_MXFP4) != (args->src_scales != nullptr)) {
    return fail(error, MK_INVALID_ARGUMENT, "pack: source, destination, and scales for MXFP4 alone wanted");
  }
  const bool begins = args->row_begin >= 0 && args->row_begin <= args->row_end && args->row_begin % granule == 0;
  const bool ends = args->row_end <= desc.rows && (args->row_end % granule == 0 || args->row_end == desc.rows);
  if (begins && ends && args->expert >= 0 && args->expert < desc.num_experts) return MK_OK;
  return fail(error, MK_INVALID_ARGUMENT, "pack: rows [%d, %d) of expert %d given; (%d, %d) in steps of %d wanted",
              args->row_begin, args->row_end, args->expert, desc.num_experts, desc.rows, granule);
}

int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

// Calls body(GroupRows) for every group that rows [row_begin, row_end) fill.
template <typename Body>
void for_groups(const mk_pack_args& args, Body body) {
  const int64_t step = is_paired(*args.desc) ? 2 : 1;
  for (int64_t row = args.row_begin; row < args.row_end; row += step * kLanes) {
    const int64_t group = row / (step * kLanes) * step;
    const int64_t count = min_of(kLanes, (args.row_end - row) / step);
    for (int64_t part = 0; part < step; ++part) body(GroupRows{group + part, row + part - args.row_begin, step, count});
  }
}

// The values under one scale as bf16: exact, since they have two significant bits and bf16 has float32's exponents.
struct Bf16Values {
  uint16_t bits[16];
};
Bf16Values bf16_values(uint8_t scale) {
  const E2m1Values exact = e2m1_values(scale);
  Bf16Values table;
  for (int code = 0; code < 16; ++code)
    table.bits[code] = static_cast<uint16_t>(bits_of_float(exact.values[code]) >> 16);
  return table;
}

void decode_row(const uint8_t* blocks, const uint8_t* scales, int64_t cols, uint16_t* to, int64_t stride) {
  for (int64_t block = 0; block < cols / kMxfp4Block; ++block) {
    const Bf16Values table = bf16_values(scales[block]);
    for (int64_t byte = block * 16; byte < block * 16 + 16; ++byte) {
      to[2 * byte * stride] = table.bits[blocks[byte] & 15];
      to[(2 * byte + 1) * stride] = table.bits[blocks[byte] >> 4];
    }
  }
}

void interleave_bf16(const mk_pack_args& args, const GroupRows& rows, uint16_t* to) {
  const int64_t cols = args.desc->cols;
  const uint16_t* from = static_cast<const uint16_t*>(args.src) + rows.first * cols;
  if (rows.count < kLanes) memset(to, 0, cols * kLanes * 2);
  for (int64_t column = 0; column < cols; ++column) {
    for (int64_t lane = 0; lane < rows.count; ++lane)
      to[column * kLanes + lane] = from[lane * rows.step * cols + column];
  }
}

void interleave_decoded(const mk_pack_args& args, const GroupRows& rows, uint16_t* to) {
  const int64_t cols = args.desc->cols;
  for (int64_t lane = 0; lane < rows.count; ++lane) {
    const int64_t row = rows.first + lane * rows.step;
    const uint8_t* blocks = static_cast<const uint8_t*>(args.src) + row * (cols / 2);
    const uint8_t* scales = static_cast<const uint8_t*>(args.src_scales) + row * (cols / kMxfp4Block);
    decode_row(blocks, scales, cols, to + lane, kLanes);
  }
}

uint8_t* expert_start(const mk_pack_args& args) {
  const mk_weight_desc& desc = *args.desc;
  return static_cast<uint8_t*>(args.dst) +
         args.expert * expert_bytes(num_groups(desc.rows, is_paired(desc)), desc.cols, desc.stored_dtype);
}

template <int32_t kGranule, int64_t (*kBytes)(const mk_weight_desc*)>
mk_status pack_bf16(const mk_pack_args* args, mk_stream, mk_error* error) {
  MK_TRY(check_piece(args, args == nullptr ? 0 : kBytes(args->desc), kGranule, error));
  uint16_t* to = reinterpret_cast<uint16_t*>(expert_start(*args));
  const bool is_mxfp4 = args->desc->source_dtype == MK_MXFP4;
  for_groups(*args, [&](const GroupRows& rows) {
    uint16_t* group = to + rows.group * args->desc->cols * kLanes;
    is_mxfp4 ? interleave_decoded(*args, rows, group) : interleave_bf16(*args, rows, group);
  });
  return MK_OK;
}

void interleave_mxfp4(const mk_pack_args& args, const GroupRows& rows, uint8_t* codes, uint8_t* scales) {
  const int64_t blocks = args.desc->cols / kMxfp4Block;
  for (int64_t lane = 0; lane < rows.count; ++lane) {
    const int64_t row = rows.first + lane * rows.step;
    const uint8_t* from = static_cast<const uint8_t*>(args.src) + row * blocks * 16;
    const uint8_t* from_scales = static_cast<const uint8_t*>(args.src_scales) + row * blocks;
    for (int64_t word = 0; word < blocks * 4; ++word) memcpy(codes + word * 64 + lane * 4, from + word * 4, 4);
    for (int64_t block = 0; block < blocks; ++block) scales[block * kLanes + lane] = from_scales[block];
  }
}

mk_status pack_mxfp4(const mk_pack_args* args, mk_stream, mk_error* error) {
  MK_TRY(check_piece(args, args == nullptr ? 0 : mxfp4_bytes(args->desc), 2 * kLanes, error));
  const int64_t blocks = args->desc->cols / kMxfp4Block;
  uint8_t* codes = expert_start(*args);
  uint8_t* scales = codes + num_groups(args->desc->rows, is_paired(*args->desc)) * blocks * kMxfp4BlockBytes;
  for_groups(*args, [&](const GroupRows& rows) {
    interleave_mxfp4(*args, rows, codes + rows.group * blocks * kMxfp4BlockBytes,
                     scales + rows.group * blocks * kLanes);
  });
  return MK_OK;
}

mk_status pack_row_major(const mk_pack_args* args, mk_stream, mk_error* error) {
  MK_TRY(check_piece(args, args == nullptr ? 0 : row_major_bytes(args->desc), 1, error));
  const int64_t cols = args->desc->cols, rows = args->row_end - args->row_begin;
  uint16_t* to =
      static_cast<uint16_t*>(args->dst) + (int64_t{args->expert} * args->desc->rows + args->row_begin) * cols;
  if (args->desc->source_dtype == MK_BF16) {
    memcpy(to, args->src, rows * cols * 2);
    return MK_OK;
  }
  for (int64_t row = 0; row < rows; ++row) {
    decode_row(static_cast<const uint8_t*>(args->src) + row * (cols / 2),
               static_cast<const uint8_t*>(args->src_scales) + row * (cols / kMxfp4Block), cols, to + row * cols, 1);
  }
  return MK_OK;
}

}  // namespace

const mk_packing kPackingBf16 = {sizeof(mk_packing), "il16_bf16", kLanes, bf16_bytes, pack_bf16<kLanes, bf16_bytes>};
const mk_packing kPackingBf16Experts = {sizeof(mk_packing), "il16_bf16_experts", 2 * kLanes, bf16_experts_bytes,
                                        pack_bf16<2 * kLanes, bf16_experts_bytes>};
const mk_packing kPackingMxfp4Experts = {sizeof(mk_packing), "il16_mxfp4_experts", 2 * kLanes, mxfp4_bytes, pack_mxfp4};
const mk_packing kPackingRowMajor = {sizeof(mk_packing), "rowmajor_bf16", 1, row_major_bytes, pack_row_major};

}  // namespace moesaic::cpu
