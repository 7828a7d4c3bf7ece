// packing: from checkpoint rows to the layouts of packing.h, on the device. Runs once at load.
//   bound: the copy. Rows that stay as they are are copied by the driver; the others move in words of 4 to 16 bytes.
#include "packing.h"

#include <cstdint>

#include "cuda_kernel.h"
#include "e2m1.cuh"

namespace moesaic::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBlockCols = 32;

// ---- sizes -----------------------------------------------------------------------------------------------------------

// num_experts * rows * cols, or -1 when a size is not positive or the product cannot be addressed.
int64_t num_elements(const mk_weight_desc& desc) {
  int64_t elements = 0;
  if (desc.num_experts <= 0 || desc.rows <= 0 || desc.cols <= 0) return -1;
  if (__builtin_mul_overflow(static_cast<int64_t>(desc.num_experts) * desc.rows, desc.cols, &elements)) return -1;
  return elements > INT64_MAX / 256 ? -1 : elements;
}

bool is_readable(const mk_weight_desc* desc) {
  if (desc == nullptr || desc->struct_size < sizeof(mk_weight_desc) || num_elements(*desc) < 0) return false;
  return desc->source_dtype == MK_BF16 || (desc->source_dtype == MK_MXFP4 && desc->cols % kBlockCols == 0);
}

bool is_mxfp4(const mk_weight_desc* desc) {
  return is_readable(desc) && desc->source_dtype == MK_MXFP4 && desc->stored_dtype == MK_MXFP4;
}

bool is_paired(const mk_weight_desc& desc) { return desc.slot == MK_SLOT_GATE_UP; }

int64_t round_up_64(int64_t bytes) { return (bytes + 63) / 64 * 64; }

int64_t bf16_bytes(const mk_weight_desc* desc) {
  return is_readable(desc) && desc->stored_dtype == MK_BF16 ? round_up_64(2 * num_elements(*desc)) : -1;
}

int64_t rowmajor_mxfp4_bytes(const mk_weight_desc* desc) {
  return is_mxfp4(desc) ? round_up_64(num_elements(*desc) / 2 + num_elements(*desc) / kBlockCols) : -1;
}

int64_t mma16_bytes(const mk_weight_desc* desc) {
  if (!is_mxfp4(desc) || (is_paired(*desc) && desc->rows % 2 != 0)) return -1;
  const int64_t tiles = ceil_div(desc->rows, kTileRows) * ceil_div(desc->cols, kTileCols);
  return round_up_64(desc->num_experts * tiles * kMxfp4TileBytes);
}

mk_status check_piece(const mk_pack_args* args, int64_t (*bytes)(const mk_weight_desc*), int granule, mk_error* error) {
  if (args == nullptr || args->struct_size < sizeof(mk_pack_args))
    return refuse(error, MK_INVALID_ARGUMENT, "pack: args are too small");
  if (bytes(args->desc) < 0) return refuse(error, MK_INVALID_ARGUMENT, "pack: this layout cannot hold such a weight");
  const mk_weight_desc& desc = *args->desc;
  if (args->expert < 0 || args->expert >= desc.num_experts)
    return refuse(error, MK_INVALID_ARGUMENT, "pack: expert %d, want 0 to %d", args->expert, desc.num_experts - 1);
  if (args->row_begin < 0 || args->row_begin > args->row_end || args->row_end > desc.rows || args->row_begin % granule != 0 ||
      (args->row_end % granule != 0 && args->row_end != desc.rows))
    return refuse(error, MK_INVALID_ARGUMENT, "pack: rows %d to %d, want them inside 0 to %d in steps of %d", args->row_begin,
                  args->row_end, desc.rows, granule);
  if (args->src == nullptr || args->dst == nullptr) return refuse(error, MK_INVALID_ARGUMENT, "pack: src or dst is NULL");
  if ((desc.source_dtype == MK_MXFP4) != (args->src_scales != nullptr))
    return refuse(error, MK_INVALID_ARGUMENT, "pack: scales %s", args->src_scales == nullptr ? "are missing" : "without mxfp4");
  return MK_OK;
}

mk_status copy(void* to, const void* from, int64_t bytes, cudaStream_t stream, mk_error* error) {
  if (bytes == 0) return MK_OK;
  const cudaError_t result = cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream);
  if (result == cudaSuccess) return MK_OK;
  return refuse(error, MK_INTERNAL, "%s: %s", cudaGetErrorName(result), cudaGetErrorString(result));
}

unsigned num_blocks(int64_t threads) { return static_cast<unsigned>(ceil_div(threads, kThreads)); }

// ---- rowmajor ----------------------------------------------------------------------------------------------------------

// One byte of codes, two elements, per thread: bf16 holds every MXFP4 value, so the upper half of the float is all of it.
__global__ void decode_kernel(const uint8_t* blocks, const uint8_t* scales, int64_t num_bytes, uint16_t* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= num_bytes) return;
  const float scale = halved_scale(scales[i / (kBlockCols / 2)]);
  out[2 * i] = static_cast<uint16_t>(__float_as_uint(doubled_e2m1(blocks[i] & 15) * scale) >> 16);
  out[2 * i + 1] = static_cast<uint16_t>(__float_as_uint(doubled_e2m1(blocks[i] >> 4) * scale) >> 16);
}

mk_status pack_bf16(const mk_pack_args* args, mk_stream stream, mk_error* error) {
  const mk_status status = check_piece(args, bf16_bytes, 1, error);
  if (status != MK_OK) return status;
  const mk_weight_desc& desc = *args->desc;
  const int64_t first = (static_cast<int64_t>(args->expert) * desc.rows + args->row_begin) * desc.cols;
  const int64_t num_values = static_cast<int64_t>(args->row_end - args->row_begin) * desc.cols;
  uint16_t* out = static_cast<uint16_t*>(args->dst) + first;
  if (desc.source_dtype == MK_BF16) return copy(out, args->src, 2 * num_values, stream_of(stream), error);
  if (num_values == 0) return MK_OK;
  decode_kernel<<<num_blocks(num_values / 2), kThreads, 0, stream_of(stream)>>>(
      static_cast<const uint8_t*>(args->src), static_cast<const uint8_t*>(args->src_scales), num_values / 2, out);
  return launched(error);
}

mk_status pack_rowmajor_mxfp4(const mk_pack_args* args, mk_stream stream, mk_error* error) {
  const mk_status status = check_piece(args, rowmajor_mxfp4_bytes, 1, error);
  if (status != MK_OK) return status;
  const mk_weight_desc& desc = *args->desc;
  const int64_t first_row = static_cast<int64_t>(args->expert) * desc.rows + args->row_begin;
  const int64_t num_rows = args->row_end - args->row_begin;
  const int64_t row_bytes = desc.cols / 2, row_scales = desc.cols / kBlockCols;
  uint8_t* blocks = static_cast<uint8_t*>(args->dst);
  uint8_t* scales = blocks + num_elements(desc) / 2;
  const mk_status copied =
      copy(blocks + first_row * row_bytes, args->src, num_rows * row_bytes, stream_of(stream), error);
  if (copied != MK_OK) return copied;
  return copy(scales + first_row * row_scales, args->src_scales, num_rows * row_scales, stream_of(stream), error);
}

// ---- mma16 ---------------------------------------------------------------------------------------------------------------

struct Piece {
  const uint8_t* blocks;  // of source row 0 of the piece
  const uint8_t* scales;
  uint8_t* tiles;  // of the first row tile of the piece
  int32_t num_rows, cols, col_tiles;
  bool is_paired;
};

// Four codes from column `col` of a source row on, the first one lowest; 0 past the matrix.
__device__ uint32_t four_codes(const Piece& piece, int64_t row, int32_t col) {
  if (row >= piece.num_rows || col >= piece.cols) return 0;
  const uint8_t* bytes = piece.blocks + row * (piece.cols / 2) + col / 2;
  return bytes[0] | static_cast<uint32_t>(bytes[1]) << 8;
}

__device__ uint32_t scale_byte(const Piece& piece, int64_t row, int32_t chunk) {
  if (row >= piece.num_rows || chunk * kBlockCols >= piece.cols) return 0;
  return piece.scales[row * (piece.cols / kBlockCols) + chunk];
}

// Codes 0..3 of row g and of row g + 8 to the nibbles of a word (e2m1.cuh).
__device__ uint32_t fragment_word(uint32_t g, uint32_t g8) {
  const uint32_t low = (g & 15) | (g8 & 15) << 4 | (g >> 8 & 15) << 8 | (g8 >> 8 & 15) << 12;
  const uint32_t high = (g >> 4 & 15) | (g8 >> 4 & 15) << 4 | (g >> 12 & 15) << 8 | (g8 >> 12 & 15) << 12;
  return low | high << 16;
}

// One lane's part of one tile per thread.
__global__ void mma16_kernel(Piece piece, int64_t num_threads) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= num_threads) return;
  const int lane = static_cast<int>(i % 32), g = lane / 4, t = lane % 4;
  const int64_t tile = i / 32, row_tile = tile / piece.col_tiles;
  const auto col_tile = static_cast<int32_t>(tile % piece.col_tiles);
  const int64_t row_g = tile_row(row_tile, g, piece.is_paired), row_g8 = tile_row(row_tile, g + 8, piece.is_paired);
  uint32_t words[4];
#pragma unroll
  for (int m = 0; m < 4; ++m) {
    const int32_t col = col_tile * kTileCols + 32 * (m / 2) + 8 * t + 4 * (m % 2);
    words[m] = fragment_word(four_codes(piece, row_g, col), four_codes(piece, row_g8, col));
  }
  uint8_t* to = piece.tiles + tile * kMxfp4TileBytes;
  reinterpret_cast<uint4*>(to)[lane] = make_uint4(words[0], words[1], words[2], words[3]);
  if (t != 0) return;
  const int32_t chunk = 2 * col_tile;
  reinterpret_cast<uint32_t*>(to + kMxfp4ScalesAt)[g] =
      scale_byte(piece, row_g, chunk) | scale_byte(piece, row_g8, chunk) << 8 | scale_byte(piece, row_g, chunk + 1) << 16 |
      scale_byte(piece, row_g8, chunk + 1) << 24;
}

mk_status pack_mma16(const mk_pack_args* args, mk_stream stream, mk_error* error) {
  const mk_status status = check_piece(args, mma16_bytes, kTileRows, error);
  if (status != MK_OK) return status;
  const mk_weight_desc& desc = *args->desc;
  const int64_t col_tiles = ceil_div(desc.cols, kTileCols);
  const int64_t first_tile = args->expert * ceil_div(desc.rows, kTileRows) + args->row_begin / kTileRows;
  const int32_t num_rows = args->row_end - args->row_begin;
  if (num_rows == 0) return MK_OK;
  const Piece piece{static_cast<const uint8_t*>(args->src),
                    static_cast<const uint8_t*>(args->src_scales),
                    static_cast<uint8_t*>(args->dst) + first_tile * col_tiles * kMxfp4TileBytes,
                    num_rows,
                    desc.cols,
                    static_cast<int32_t>(col_tiles),
                    is_paired(desc)};
  const int64_t num_threads = ceil_div(num_rows, kTileRows) * col_tiles * 32;
  mma16_kernel<<<num_blocks(num_threads), kThreads, 0, stream_of(stream)>>>(piece, num_threads);
  return launched(error);
}

}  // namespace

const mk_packing rowmajor_bf16 = {sizeof(mk_packing), "rowmajor_bf16", 1, bf16_bytes, pack_bf16};
const mk_packing rowmajor_mxfp4 = {sizeof(mk_packing), "rowmajor_mxfp4", 1, rowmajor_mxfp4_bytes, pack_rowmajor_mxfp4};
const mk_packing mxfp4_mma16 = {sizeof(mk_packing), "cuda_mxfp4_mma16", kTileRows, mma16_bytes, pack_mma16};

}  // namespace moesaic::cuda
