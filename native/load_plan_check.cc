#include "load_plan_check.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <tuple>

#include "loader_shared.h"
#include "pieces.h"
#include "text.h"

namespace moesaic {
namespace {

// A read of the plan as messages name it.
struct Subject {
  const WeightRead& read;
  bool is_shared;
  std::string place;
};

Status check_read(const std::vector<WeightTarget>& targets, const LoadPlan& plan, Subject subject);
Status check_sharing(const SharedRead& shared, const SharedReadExchange* exchange, const std::string& place);
Status check_order(const std::vector<SharedRead>& reads);
Status check_rows(const WeightTarget& target, const WeightRead& read, const std::string& place);
Status check_stored(const LoadPlan& plan, const Subject& subject, const char* what, const StoredRows& stored,
                    int64_t slice_bytes);
Status check_total(const LoadPlan& plan, const SharedReadExchange* exchange);
Status check_coverage(const std::vector<WeightTarget>& targets, const LoadPlan& plan);

Status invalid(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

std::string range(int64_t begin, int64_t end) { return text(begin, " to ", end); }

}  // namespace

Status check_load_plan(const std::vector<WeightTarget>& targets, const LoadPlan& plan, const SharedReadExchange* exchange) {
  if (plan.reads.size() > std::numeric_limits<int32_t>::max()) return invalid("plan.reads: more than 2147483647 reads");
  for (size_t i = 0; i < plan.reads.size(); ++i) {
    const Subject subject{plan.reads[i], false, text("plan.reads[", i, "]")};
    if (Status status = check_read(targets, plan, subject); !status.ok()) return status;
  }
  for (size_t i = 0; i < plan.shared_reads.size(); ++i) {
    const SharedRead& shared = plan.shared_reads[i];
    const Subject subject{shared.read, true, text("plan.sharedReads[", i, "]")};
    if (Status status = check_read(targets, plan, subject); !status.ok()) return status;
    if (Status status = check_sharing(shared, exchange, subject.place); !status.ok()) return status;
  }
  if (Status status = check_order(plan.shared_reads); !status.ok()) return status;
  if (Status status = check_coverage(targets, plan); !status.ok()) return status;
  return check_total(plan, exchange);
}

namespace {

Status check_read(const std::vector<WeightTarget>& targets, const LoadPlan& plan, Subject subject) {
  const WeightRead& read = subject.read;
  if (read.weight_index < 0 || static_cast<size_t>(read.weight_index) >= targets.size()) {
    return invalid(text(subject.place, ": wanted a weightIndex below ", targets.size(), ", got ", read.weight_index));
  }
  const WeightTarget& target = targets[read.weight_index];
  subject.place += text(" of ", target.name);
  if (Status status = check_rows(target, read, subject.place); !status.ok()) return status;
  const RowBytes row = source_row_bytes(target.desc);
  if (Status status = check_stored(plan, subject, "rows", read.values, row.values); !status.ok()) return status;
  if (row.scales == 0 && read.scales.bytes == 0 && read.scales.slice_bytes() == 0) return Status();
  if (Status status = check_stored(plan, subject, "scales", read.scales, row.scales); !status.ok()) return status;
  if (!subject.is_shared || read.bytes() <= kMaxSharedBytes) return Status();
  return invalid(text(subject.place, ": wanted at most ", kMaxSharedBytes, " bytes of shared rows, got ", read.bytes()));
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

// The rows lie in their file, hold the slice that the weight takes of each, and their bytes are counted as they are read.
Status check_stored(const LoadPlan& plan, const Subject& subject, const char* what, const StoredRows& stored,
                    int64_t slice_bytes) {
  const std::string& place = subject.place;
  if (stored.file_index < 0 || static_cast<size_t>(stored.file_index) >= plan.files.size()) {
    return invalid(text(place, ": wanted a file below ", plan.files.size(), " for its ", what, ", got ", stored.file_index));
  }
  const int64_t num_rows = int64_t{subject.read.row_end} - subject.read.row_begin;
  const LoadPlan::File& file = plan.files[stored.file_index];
  // Divided, because a hostile stride times the rows may overflow.
  const bool fits = stored.row_stride >= 0 && stored.row_stride <= file.bytes / num_rows && stored.file_offset >= 0 &&
                    stored.file_offset <= file.bytes - num_rows * stored.row_stride;
  if (!fits) {
    return invalid(text(place, ": wanted its ", what, " within the ", file.bytes, " bytes of ", file.path, ", got ", num_rows,
                        " rows of ", stored.row_stride, " bytes at offset ", stored.file_offset));
  }
  const bool is_slice = stored.col_begin >= 0 && stored.col_begin <= stored.col_end && stored.col_end <= stored.row_stride;
  if (!is_slice || stored.slice_bytes() != slice_bytes) {
    return invalid(text(place, ": wanted ", slice_bytes, " bytes of each of its ", what, ", which have ", stored.row_stride,
                        ", got bytes ", range(stored.col_begin, stored.col_end)));
  }
  const int64_t bytes = num_rows * (subject.is_shared ? stored.row_stride : slice_bytes);
  if (stored.bytes == bytes) return Status();
  return invalid(text(place, ": wanted ", bytes, " bytes of ", what, " for ", num_rows, " rows, got ", stored.bytes));
}

Status check_sharing(const SharedRead& shared, const SharedReadExchange* exchange, const std::string& place) {
  const std::vector<int32_t>& ranks = shared.ranks;
  const bool is_ascending = std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal<>()) == ranks.end();
  if (!is_ascending || std::count(ranks.begin(), ranks.end(), shared.root_rank) != 1) {
    return invalid(text(place, ": wanted ascending ranks, rootRank ", shared.root_rank, " among them"));
  }
  if (ranks.size() == 1) return Status();
  if (exchange == nullptr) {
    return Status(Code::kFailedPrecondition,
                  text(place, ": wanted other ranks to share with, the engine is alone; connect it to its peers first"));
  }
  if (std::count(ranks.begin(), ranks.end(), exchange->rank()) == 1) return Status();
  return invalid(text(place, ": wanted rank ", exchange->rank(), " among its ranks"));
}

Status check_order(const std::vector<SharedRead>& reads) {
  const auto key = [](const SharedRead& shared) {
    return std::tuple(shared.read.values.file_index, shared.read.values.file_offset);
  };
  for (size_t i = 1; i < reads.size(); ++i) {
    if (key(reads[i - 1]) < key(reads[i])) continue;
    return invalid(text("plan.sharedReads[", i, "]: wanted file order, the rows of the read before it do not come before"));
  }
  return Status();
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
  for (const SharedRead& shared : plan.shared_reads) reads.push_back(&shared.read);
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

// What this rank reads from disk.
Status check_total(const LoadPlan& plan, const SharedReadExchange* exchange) {
  // No overflow: own reads cover weights that have been given memory, and shared reads are short.
  int64_t bytes = 0;
  for (const WeightRead& read : plan.reads) bytes += read.bytes();
  for (const SharedRead& shared : plan.shared_reads) {
    if (shared.ranks.size() == 1 || shared.root_rank == exchange->rank()) bytes += shared.read.bytes();
  }
  if (bytes == plan.bytes_planned) return Status();
  return invalid(text("plan.bytesPlanned: wanted the ", bytes, " bytes of the reads, got ", plan.bytes_planned));
}

}  // namespace
}  // namespace moesaic
