#include "load_plan_check.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "pieces.h"
#include "text.h"

namespace moesaic {
namespace {

Status check_read(const std::vector<WeightTarget>& targets, const LoadPlan& plan, size_t index);
Status check_rows(const WeightTarget& target, const WeightRead& read, const std::string& place);
Status check_range(const LoadPlan& plan, const char* what, int32_t file_index, int64_t offset, int64_t bytes,
                   const std::string& place);
Status check_bytes(const WeightTarget& target, const WeightRead& read, const std::string& place);
Status check_total(const LoadPlan& plan);
Status check_coverage(const std::vector<WeightTarget>& targets, const LoadPlan& plan);

Status invalid(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

std::string range(int64_t begin, int64_t end) { return text(begin, " to ", end); }

}  // namespace

Status check_load_plan(const std::vector<WeightTarget>& targets, const LoadPlan& plan) {
  if (plan.reads.size() > std::numeric_limits<int32_t>::max()) return invalid("plan.reads: more than 2147483647 reads");
  for (size_t i = 0; i < plan.reads.size(); ++i) {
    if (Status status = check_read(targets, plan, i); !status.ok()) return status;
  }
  if (Status status = check_coverage(targets, plan); !status.ok()) return status;
  return check_total(plan);
}

namespace {

Status check_read(const std::vector<WeightTarget>& targets, const LoadPlan& plan, size_t index) {
  const WeightRead& read = plan.reads[index];
  if (read.weight_index < 0 || static_cast<size_t>(read.weight_index) >= targets.size()) {
    return invalid(text("plan.reads[", index, "]: wanted a weightIndex below ", targets.size(), ", got ", read.weight_index));
  }
  const WeightTarget& target = targets[read.weight_index];
  const std::string place = text("plan.reads[", index, "] of ", target.name);
  if (Status status = check_rows(target, read, place); !status.ok()) return status;
  if (Status status = check_bytes(target, read, place); !status.ok()) return status;
  if (Status status = check_range(plan, "rows", read.file_index, read.file_offset, read.bytes, place); !status.ok()) {
    return status;
  }
  if (read.scale_bytes == 0) return Status();
  return check_range(plan, "scales", read.scale_file_index, read.scale_file_offset, read.scale_bytes, place);
}

Status check_rows(const WeightTarget& target, const WeightRead& read, const std::string& place) {
  const mk_weight_desc& desc = target.desc;
  if (read.expert < 0 || read.expert >= desc.num_experts) {
    return invalid(text(place, ": wanted an expert below ", desc.num_experts, ", got ", read.expert));
  }
  if (read.row_begin < 0 || read.row_begin >= read.row_end || read.row_end > desc.rows) {
    return invalid(text(place, ": wanted rows within ", range(0, desc.rows), ", got ", range(read.row_begin, read.row_end)));
  }
  const int32_t granule = row_granule(target);
  if (read.row_begin % granule == 0 && (read.row_end % granule == 0 || read.row_end == desc.rows)) return Status();
  return invalid(text(place, ": wanted whole granules of ", granule, " rows, got rows ", range(read.row_begin, read.row_end)));
}

Status check_bytes(const WeightTarget& target, const WeightRead& read, const std::string& place) {
  const RowBytes row = source_row_bytes(target.desc);
  const int64_t num_rows = static_cast<int64_t>(read.row_end) - read.row_begin;
  if (read.bytes != num_rows * row.values) {
    return invalid(text(place, ": wanted ", num_rows * row.values, " bytes for ", num_rows, " rows, got ", read.bytes));
  }
  if (read.scale_bytes != num_rows * row.scales) {
    return invalid(text(place, ": wanted ", num_rows * row.scales, " bytes of scales for ", num_rows, " rows, got ",
                        read.scale_bytes));
  }
  return Status();
}

Status check_range(const LoadPlan& plan, const char* what, int32_t file_index, int64_t offset, int64_t bytes,
                   const std::string& place) {
  if (file_index < 0 || static_cast<size_t>(file_index) >= plan.files.size()) {
    return invalid(text(place, ": wanted a file below ", plan.files.size(), " for its ", what, ", got ", file_index));
  }
  const LoadPlan::File& file = plan.files[file_index];
  if (offset >= 0 && bytes <= file.bytes && offset <= file.bytes - bytes) return Status();
  return invalid(text(place, ": wanted its ", what, " within the ", file.bytes, " bytes of ", file.path, ", got ", bytes,
                      " bytes at offset ", offset));
}

// Rows that no read fills, or that two fill, up to the next read of the same expert.
Status check_next_rows(const WeightTarget& target, int32_t expert, int32_t next_row, int32_t row_begin) {
  if (row_begin == next_row) return Status();
  const std::string place = text(target.name, ", expert ", expert, ": wanted every row once, got ");
  if (row_begin > next_row) return invalid(text(place, "no read of rows ", range(next_row, row_begin)));
  return invalid(text(place, "two reads of row ", row_begin));
}

Status check_coverage(const std::vector<WeightTarget>& targets, const LoadPlan& plan) {
  const auto key = [](const WeightRead* r) { return std::tuple(r->weight_index, r->expert, r->row_begin); };
  std::vector<const WeightRead*> reads;
  for (const WeightRead& read : plan.reads) reads.push_back(&read);
  std::sort(reads.begin(), reads.end(), [&](const auto* a, const auto* b) { return key(a) < key(b); });

  auto read = reads.begin();
  for (size_t weight = 0; weight < targets.size(); ++weight) {
    const WeightTarget& target = targets[weight];
    for (int32_t expert = 0; expert < target.desc.num_experts; ++expert) {
      int32_t next_row = 0;
      for (; read != reads.end(); ++read) {
        if (static_cast<size_t>((*read)->weight_index) != weight || (*read)->expert != expert) break;
        if (Status status = check_next_rows(target, expert, next_row, (*read)->row_begin); !status.ok()) return status;
        next_row = (*read)->row_end;
      }
      if (Status status = check_next_rows(target, expert, next_row, target.desc.rows); !status.ok()) return status;
    }
  }
  return Status();
}

Status check_total(const LoadPlan& plan) {
  // No overflow: the reads cover every weight once, and the weights have been given memory.
  int64_t bytes = 0;
  for (const WeightRead& read : plan.reads) bytes += read.bytes + read.scale_bytes;
  if (bytes == plan.bytes_planned) return Status();
  return invalid(text("plan.bytesPlanned: wanted the ", bytes, " bytes of the reads, got ", plan.bytes_planned));
}

}  // namespace
}  // namespace moesaic
