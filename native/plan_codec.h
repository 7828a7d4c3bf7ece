// Step plans on their way from rank 0 to the others: little-endian words, a version first. What arrives is checked like
// any other input from outside; what the plan refers to is checked by Rows, as on rank 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "program.h"
#include "status.h"
#include "step.h"

namespace moesaic {

enum class LeadWord : uint32_t { kPlan = 1, kEnd = 2 };

// What the first broadcast of a message carries at most; a longer message is continued in a second one.
constexpr size_t kFirstBytes = 64 * 1024;
constexpr size_t kHeaderBytes = 16;

// The most bytes that a message of this program may have: what the largest plan needs.
int64_t max_message_bytes(const RankProgram& program);

// The most words that the masks of a plan take: one record for every row.
int64_t max_mask_words(const RankProgram& program);

// Makes room for the columns of any plan, so that decoding one allocates nothing but for what few plans have: stop ids and
// biases of new rows, and more block deltas or masks than any plan before had.
void reserve_plan(const RankProgram& program, StepPlan& plan);

// A whole message: header and, for a plan, its body.
void encode_plan(const StepPlan& plan, std::vector<std::byte>& to);
void encode_end(std::vector<std::byte>& to);

struct LeadHeader {
  LeadWord word = LeadWord::kEnd;
  int64_t bytes = 0;  // of the message, header included
};
// Errors: internal when it is no header of ours or announces more than a plan of this program can need.
StatusOr<LeadHeader> decode_header(std::span<const std::byte> message, const RankProgram& program);
// `message` is whole. Error: internal with the field.
Status decode_plan(std::span<const std::byte> message, const RankProgram& program, StepPlan& plan);

}  // namespace moesaic
