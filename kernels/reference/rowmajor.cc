#include "rowmajor.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "align.h"
#include "bf16.h"
#include "mxfp4.h"

namespace moesaic::reference {

namespace {

// num_experts * rows * cols, or -1 when a size is not positive or the product cannot be addressed.
int64_t num_elements(const mk_weight_desc& desc) {
  int64_t elements = 0;
  if (desc.num_experts <= 0 || desc.rows <= 0 || desc.cols <= 0) return -1;
  if (__builtin_mul_overflow(static_cast<int64_t>(desc.num_experts) * desc.rows, desc.cols, &elements)) return -1;
  return elements > INT64_MAX / 4 ? -1 : elements;
}

bool is_readable(const mk_weight_desc* desc) {
  if (desc == nullptr || desc->struct_size < sizeof(mk_weight_desc)) return false;
  return desc->source_dtype == MK_BF16 || (desc->source_dtype == MK_MXFP4 && desc->cols % kBlockCols == 0);
}

int64_t bf16_bytes(const mk_weight_desc* desc) {
  if (!is_readable(desc) || desc->stored_dtype != MK_BF16 || num_elements(*desc) < 0) return -1;
  return round_up_64(2 * num_elements(*desc));
}

int64_t mxfp4_bytes(const mk_weight_desc* desc) {
  if (!is_readable(desc) || desc->source_dtype != MK_MXFP4 || desc->stored_dtype != MK_MXFP4) return -1;
  if (num_elements(*desc) < 0) return -1;
  return round_up_64(num_elements(*desc) / 2 + num_elements(*desc) / kBlockCols);
}

__attribute__((format(printf, 2, 3))) mk_status refuse(mk_error* error, const char* format, ...) {
  if (error == nullptr) return MK_INVALID_ARGUMENT;
  va_list values;
  va_start(values, format);
  std::vsnprintf(error->message, sizeof(error->message), format, values);
  va_end(values);
  return MK_INVALID_ARGUMENT;
}

mk_status check_piece(const mk_pack_args* args, int64_t (*bytes)(const mk_weight_desc*), mk_error* error) {
  if (args == nullptr || args->struct_size < sizeof(mk_pack_args)) return refuse(error, "pack: args are too small");
  if (bytes(args->desc) < 0) return refuse(error, "pack: this layout cannot hold such a weight");
  const mk_weight_desc& desc = *args->desc;
  if (args->expert < 0 || args->expert >= desc.num_experts) {
    return refuse(error, "pack: expert %d, want 0 to %d", args->expert, desc.num_experts - 1);
  }
  if (args->row_begin < 0 || args->row_begin > args->row_end || args->row_end > desc.rows) {
    return refuse(error, "pack: rows %d to %d, want them inside 0 to %d", args->row_begin, args->row_end, desc.rows);
  }
  if (args->src == nullptr || args->dst == nullptr) return refuse(error, "pack: src or dst is NULL");
  if ((desc.source_dtype == MK_MXFP4) != (args->src_scales != nullptr)) {
    return refuse(error, "pack: scales %s", args->src_scales == nullptr ? "are missing" : "without mxfp4");
  }
  return MK_OK;
}

void decode_rows(const mk_pack_args& args, int64_t num_values, uint16_t* out) {
  const auto* blocks = static_cast<const uint8_t*>(args.src);
  const auto* scales = static_cast<const uint8_t*>(args.src_scales);
  for (int64_t i = 0; i < num_values; ++i) {
    const int code = blocks[i / 2] >> (i % 2 * 4) & 15;
    out[i] = exact_bf16(mxfp4_value(code, scales[i / kBlockCols]));
  }
}

mk_status pack_bf16(const mk_pack_args* args, mk_stream, mk_error* error) {
  const mk_status status = check_piece(args, bf16_bytes, error);
  if (status != MK_OK) return status;
  const mk_weight_desc& desc = *args->desc;
  const int64_t first_row = static_cast<int64_t>(args->expert) * desc.rows + args->row_begin;
  const int64_t num_values = static_cast<int64_t>(args->row_end - args->row_begin) * desc.cols;
  uint16_t* out = static_cast<uint16_t*>(args->dst) + first_row * desc.cols;
  if (desc.source_dtype == MK_MXFP4) {
    decode_rows(*args, num_values, out);
  } else {
    std::memcpy(out, args->src, static_cast<size_t>(2 * num_values));
  }
  return MK_OK;
}

mk_status pack_mxfp4(const mk_pack_args* args, mk_stream, mk_error* error) {
  const mk_status status = check_piece(args, mxfp4_bytes, error);
  if (status != MK_OK) return status;
  const mk_weight_desc& desc = *args->desc;
  const int64_t first_row = static_cast<int64_t>(args->expert) * desc.rows + args->row_begin;
  const int64_t num_rows = args->row_end - args->row_begin;
  const int64_t row_bytes = desc.cols / 2, row_scales = desc.cols / kBlockCols;
  uint8_t* blocks = static_cast<uint8_t*>(args->dst);
  uint8_t* scales = blocks + num_elements(desc) / 2;
  std::memcpy(blocks + first_row * row_bytes, args->src, static_cast<size_t>(num_rows * row_bytes));
  std::memcpy(scales + first_row * row_scales, args->src_scales, static_cast<size_t>(num_rows * row_scales));
  return MK_OK;
}

double dot_bf16(const uint16_t* row, const float* x, int32_t cols) {
  double sum = 0;
  for (int32_t c = 0; c < cols; ++c) sum += static_cast<double>(bf16_to_float(row[c])) * x[c];
  return sum;
}

double dot_mxfp4(const uint8_t* blocks, const uint8_t* scales, const float* x, int32_t cols) {
  double sum = 0;
  for (int32_t first = 0; first < cols; first += kBlockCols) {
    double block = 0;
    for (int32_t c = first; c < first + kBlockCols; ++c) {
      block += static_cast<double>(kE2m1[e2m1_code(blocks, c)]) * x[c];
    }
    sum += block * e8m0_scale(scales[first / kBlockCols]);
  }
  return sum;
}

}  // namespace

const mk_packing rowmajor_bf16 = {sizeof(mk_packing), "rowmajor_bf16", 1, bf16_bytes, pack_bf16};
const mk_packing rowmajor_mxfp4 = {sizeof(mk_packing), "rowmajor_mxfp4", 1, mxfp4_bytes, pack_mxfp4};

const uint16_t* bf16_row(const mk_weight& weight, int64_t expert, int64_t row) {
  return static_cast<const uint16_t*>(weight.data) + (expert * weight.rows + row) * weight.cols;
}

const uint8_t* mxfp4_blocks_row(const mk_weight& weight, int64_t expert, int64_t row) {
  return static_cast<const uint8_t*>(weight.data) + (expert * weight.rows + row) * (weight.cols / 2);
}

const uint8_t* mxfp4_scales_row(const mk_weight& weight, int64_t expert, int64_t row) {
  const int64_t block_bytes = static_cast<int64_t>(weight.num_experts) * weight.rows * (weight.cols / 2);
  return static_cast<const uint8_t*>(weight.data) + block_bytes + (expert * weight.rows + row) * (weight.cols / 32);
}

double dot(const mk_weight& weight, int64_t expert, int64_t row, const float* x) {
  if (weight.dtype == MK_BF16) return dot_bf16(bf16_row(weight, expert, row), x, weight.cols);
  return dot_mxfp4(mxfp4_blocks_row(weight, expert, row), mxfp4_scales_row(weight, expert, row), x, weight.cols);
}

}  // namespace moesaic::reference
