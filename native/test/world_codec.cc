// The plan codec against whatever may arrive: every message gives a plan or a status, and takes memory as its bytes do.
#include <cmath>
#include <cstring>
#include <random>

#include "../plan_codec.h"
#include "../rows.h"
#include "world_allocations.h"
#include "world_engine.h"

namespace moesaic::test {
namespace {

using Random = std::mt19937_64;
using Message = std::vector<std::byte>;

constexpr ProgramLimits kLimits{24, 6, 40, 4, 100};
constexpr uint64_t kSeed = 20'261'124;

int32_t draw(Random& random, int32_t min, int32_t max) { return std::uniform_int_distribution<int32_t>(min, max)(random); }

// A plan with everything in it, right or nearly so.
StepPlan random_plan(Random& random, const RankProgram& program) {
  std::vector<Part> parts;
  int32_t tokens_left = program.limits.max_batched_tokens;
  for (int32_t row = 0; row < program.limits.max_sequences && tokens_left > 0; ++row) {
    if (draw(random, 0, 2) == 0) continue;
    const int32_t tokens = draw(random, 1, std::min(tokens_left, 8));
    tokens_left -= tokens;
    parts.push_back({row, draw(random, 0, 9), tokens, draw(random, 0, 9) != 0});
  }
  const auto placement = static_cast<Placement>(draw(random, 0, 1));
  StepPlan plan = world_step(program, draw(random, 0, 1000), placement, parts);
  for (NewRow& row : plan.new_rows) {
    for (int32_t n = draw(random, 0, 5); n > 0; --n) row.sampling.stop_ids.push_back(draw(random, 0, 600));
    for (int32_t n = draw(random, 0, 5); n > 0; --n) row.sampling.biases.push_back({draw(random, 0, 600), -1.5f});
  }
  if (draw(random, 0, 9) == 0) plan.finished_rows = {draw(random, 0, 5)};
  return plan;
}

bool is_same(const NewRow& a, const NewRow& b) {
  const RowSampling &x = a.sampling, &y = b.sampling;
  return a.row == b.row && a.num_prompt_tokens == b.num_prompt_tokens && x.temperature == y.temperature && x.seed == y.seed &&
         x.max_seq_len == y.max_seq_len && x.num_top_logprobs == y.num_top_logprobs && x.stop_ids == y.stop_ids &&
         std::equal(x.biases.begin(), x.biases.end(), y.biases.begin(), y.biases.end(),
                    [](const LogitBias& p, const LogitBias& q) { return p.token_id == q.token_id && p.bias == q.bias; });
}

bool is_same(const StepPlan& a, const StepPlan& b) {
  return a.epoch == b.epoch && a.step_id == b.step_id && a.placement == b.placement && a.token_ids == b.token_ids &&
         a.positions == b.positions && a.seq_rows == b.seq_rows && a.query_starts == b.query_starts &&
         a.seq_lens == b.seq_lens && a.outputs == b.outputs && a.block_deltas == b.block_deltas &&
         a.finished_rows == b.finished_rows &&
         std::equal(a.new_rows.begin(), a.new_rows.end(), b.new_rows.begin(), b.new_rows.end(),
                    [](const NewRow& x, const NewRow& y) { return is_same(x, y); });
}

// A follower as far as a message gets: header, plan, rows.
class Receiver {
 public:
  explicit Receiver(const RankProgram& program)
      : program_(program), memory_(lay_out_workspace(program, {}, nullptr, storage_)) {
    lay_out_workspace(program, {}, memory_.data(), storage_);
    rows_ = std::make_unique<Rows>(program, storage_);
    reserve_plan(program, plan_);
  }

  // As Executor::follow does: only a whole message of a plan is decoded.
  Status receive(const Message& message) {
    const StatusOr<LeadHeader> header = decode_header(message, program_);
    if (!header.ok()) return header.status();
    if (header.value().bytes != static_cast<int64_t>(message.size())) return Status(Code::kInternal, "another size");
    if (header.value().word == LeadWord::kEnd) return {};
    return decode_plan(message, program_, plan_);
  }
  // With all rows free, so that nearly right plans are taken.
  Status begin_step() {
    std::fill(memory_.begin(), memory_.end(), std::byte{0});
    return rows_->begin_step(plan_);
  }
  const StepPlan& plan() const { return plan_; }

 private:
  const RankProgram& program_;
  Storage storage_;
  std::vector<std::byte> memory_;
  std::unique_ptr<Rows> rows_;
  StepPlan plan_;
};

void write_word(Message& message, size_t at, uint32_t word) { std::memcpy(message.data() + at, &word, sizeof(word)); }

// The header says so too, else the size alone would be refused.
void set_length(Message& message) {
  const uint64_t bytes = message.size();
  if (message.size() >= kHeaderBytes) std::memcpy(message.data() + 8, &bytes, sizeof(bytes));
}

void flip_bits(Random& random, Message& message) {
  for (int32_t n = draw(random, 1, 4); n > 0; --n) {
    const int32_t at = draw(random, 0, static_cast<int32_t>(message.size()) - 1);
    message[static_cast<size_t>(at)] ^= std::byte(1 << draw(random, 0, 7));
  }
}

// Counts and ids are words: these are the ones that overflow something.
void put_awkward_word(Random& random, Message& message) {
  constexpr uint32_t kAwkward[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fc00000, 0x7f800000, 0x40000000, 65'537, 25};
  const int32_t num_words = static_cast<int32_t>(message.size()) / 4;
  if (num_words == 0) return;
  write_word(message, static_cast<size_t>(draw(random, 0, num_words - 1)) * 4, kAwkward[draw(random, 0, 9)]);
}

void cut_off(Random& random, Message& message) {
  message.resize(static_cast<size_t>(draw(random, 0, static_cast<int32_t>(message.size()) - 1)));
}

void put_more(Random& random, Message& message) {
  const auto at = message.begin() + draw(random, 0, static_cast<int32_t>(message.size()));
  message.insert(at, static_cast<size_t>(draw(random, 1, 40)), std::byte(draw(random, 0, 255)));
}

void fill_with_noise(Random& random, Message& message) {
  const size_t begin = draw(random, 0, 1) == 0 ? 0 : kHeaderBytes;
  for (size_t i = begin; i < message.size(); ++i) message[i] = std::byte(draw(random, 0, 255));
}

Message spoil(Random& random, Message message) {
  constexpr void (*kWays[])(Random&, Message&) = {flip_bits, put_awkward_word, cut_off, put_more, fill_with_noise};
  for (int32_t n = draw(random, 1, 3); n > 0 && !message.empty(); --n) kWays[draw(random, 0, 4)](random, message);
  if (draw(random, 0, 3) != 0) set_length(message);
  return message;
}

}  // namespace

MOESAIC_TEST("a plan comes out of its message as it went in") {
  const RankProgram program = world_program(1, 2, kLimits);
  Receiver receiver(program);
  Random random(kSeed);
  Message message;
  for (int i = 0; i < 300; ++i) {
    const StepPlan plan = random_plan(random, program);
    encode_plan(plan, message);
    expect_ok(receiver.receive(message), text("plan ", i));
    expect(is_same(plan, receiver.plan()), text("plan ", i, " came out as another"));
  }
}

// Spoiled messages that still are plans go on to the rows, as a follower's do.
MOESAIC_TEST("a spoiled message is refused or is another plan, and never takes more memory than a plan may") {
  const RankProgram program = world_program(1, 2, kLimits);
  Receiver receiver(program);
  Random random(kSeed + 1);
  Message message;
  int num_refused = 0, num_run = 0;
  for (int i = 0; i < 4000; ++i) {
    encode_plan(random_plan(random, program), message);
    const Message spoiled = spoil(random, message);
    const int64_t bytes_before = allocations().bytes;
    const Status status = receiver.receive(spoiled);
    const int64_t taken = allocations().bytes - bytes_before;
    // Lists of the message at most once, a row for every 64 bytes of it, and the text of the error.
    const auto allowed = static_cast<int64_t>(2 * spoiled.size() + spoiled.size() / 64 * sizeof(NewRow)) + 4096;
    expect(taken <= allowed, text("message ", i, " of ", spoiled.size(), " bytes took ", taken));
    expect(status.ok() || status.code() == Code::kInternal, text("message ", i, ": ", code_name(status.code())));
    expect(status.ok() || !status.message().empty(), text("message ", i, " is refused without a reason"));
    if (!status.ok()) ++num_refused;
    if (status.ok()) num_run += receiver.begin_step().ok() ? 1 : 0;
  }
  // Both happen often, or the test has lost its sense.
  expect(num_refused > 1000 && num_run > 20, text(num_refused, " refused, ", num_run, " run"));
}

MOESAIC_TEST("a message that is cut off anywhere is refused") {
  const RankProgram program = world_program(1, 2, kLimits);
  Receiver receiver(program);
  Random random(kSeed + 2);
  Message message;
  encode_plan(random_plan(random, program), message);
  for (size_t length = 0; length < message.size(); ++length) {
    Message shorter(message.begin(), message.begin() + static_cast<ptrdiff_t>(length));
    set_length(shorter);
    expect(receiver.receive(shorter).code() == Code::kInternal, text("cut off at ", length, " of ", message.size()));
  }
}

MOESAIC_TEST("the largest plan of a program fits its messages, and one token more does not") {
  const RankProgram program = world_program(1, 2, kLimits);
  const ProgramLimits& limits = program.limits;
  const int32_t num_blocks = max_blocks_per_row(limits);
  StepPlan plan;
  plan.token_ids.assign(static_cast<size_t>(limits.max_batched_tokens), 1);
  plan.positions = plan.token_ids;
  plan.seq_rows.assign(static_cast<size_t>(max_step_seqs(limits)), 1);
  plan.seq_lens = plan.outputs = plan.seq_rows;
  plan.query_starts.assign(plan.seq_rows.size() + 1, 1);
  for (int32_t row = 0; row < limits.max_sequences; ++row) {
    NewRow& made = plan.new_rows.emplace_back();
    made.row = row;
    made.sampling.max_seq_len = 1;
    made.sampling.stop_ids.assign(kMaxStopIds, 1);
    made.sampling.biases.assign(kMaxBiases, LogitBias{1, 1});
    plan.finished_rows.push_back(row);
  }
  plan.block_deltas.emplace_back(static_cast<size_t>(limits.max_sequences) * static_cast<size_t>(3 + num_blocks), 1);
  plan.masks.assign(static_cast<size_t>(max_mask_words(program)), 1);
  Receiver receiver(program);
  Message message;
  encode_plan(plan, message);
  expect_ok(receiver.receive(message), "the largest plan");
  expect(static_cast<int64_t>(message.size()) <= max_message_bytes(program), "it is longer than a message may be");
  expect(static_cast<int64_t>(message.size()) + 256 >= max_message_bytes(program), "messages may be much longer than plans");
  plan.token_ids.push_back(1);
  encode_plan(plan, message);
  expect_code(receiver.receive(message), Code::kInternal, "tokenIds: expected at most 24 entries, got 25");
}

MOESAIC_TEST("numbers of new rows that make no sense are refused by name") {
  const RankProgram program = world_program(1, 2, kLimits);
  Receiver receiver(program);
  const auto refuse = [&](const char* field, const std::function<void(NewRow&)>& change) {
    StepPlan plan = world_step(program, 1, Placement::kReplicated, {{0, 0, 1, true}});
    change(plan.new_rows[0]);
    Message message;
    encode_plan(plan, message);
    expect_code(receiver.receive(message), Code::kInternal, field);
  };
  const float nan = std::nanf("");
  refuse("newRows.row:", [](NewRow& row) { row.row = 6; });
  refuse("newRows.row:", [](NewRow& row) { row.row = -1; });
  refuse("numPromptTokens", [](NewRow& row) { row.num_prompt_tokens = 41; });
  refuse("temperature", [&](NewRow& row) { row.sampling.temperature = nan; });
  refuse("topK", [](NewRow& row) { row.sampling.top_k = -1; });
  refuse("topP", [&](NewRow& row) { row.sampling.top_p = nan; });
  refuse("minP", [](NewRow& row) { row.sampling.min_p = 1.5f; });
  refuse("penalties", [](NewRow& row) { row.sampling.repetition_penalty = 0; });
  refuse("maxSeqLen", [](NewRow& row) { row.sampling.max_seq_len = 0; });
  refuse("numTopLogprobs", [](NewRow& row) { row.sampling.num_top_logprobs = 21; });
  refuse("stopTokenIds", [](NewRow& row) { row.sampling.stop_ids = {601}; });
  refuse("logitBias", [&](NewRow& row) { row.sampling.biases = {{1, nan}}; });
}

// One rank's program speaks to a lead that has gone mad: what it broadcasts ends the epoch on both, with the reason.
MOESAIC_TEST("a follower that is sent nonsense ends the epoch and says why") {
  struct Nonsense {
    std::string part;
    std::vector<Message> messages;
  };
  const RankProgram program = world_program(0, 2, kLimits);
  Message plan;
  encode_plan(world_step(program, 1, Placement::kReplicated, {{0, 0, 1, true}}), plan);
  Message wrong_length = plan, end_with_more = plan, other_version = plan, long_one = plan;
  wrong_length.push_back(std::byte{0});
  write_word(end_with_more, 4, 2);
  write_word(other_version, 0, 7);
  long_one.resize(kFirstBytes);
  const uint64_t promised = kFirstBytes + 1000;
  std::memcpy(long_one.data() + 8, &promised, sizeof(promised));
  constexpr ProgramLimits kLargeLimits{24, 6, 30'000, 1, 190'000};
  Message refused;
  encode_plan(world_step(program, 1, Placement::kReplicated, {{0, 0, 1, false}}), refused);
  const std::vector<Nonsense> all = {
      {"version: is out of range", {other_version}},
      {"version: the message is cut off", {Message(3)}},
      {"version: the message is cut off", {Message()}},
      {text("expected ", plan.size(), " bytes, got ", plan.size() + 1), {wrong_length}},
      {"bytes: is out of range", {end_with_more}},
      {"expected 1000 more bytes, got 999", {long_one, Message(999)}},
      {"the root sends 1001 bytes, data holds 1000", {long_one, Message(1001)}},
      {"the root sends 65537 bytes, data holds 65536", {Message(kFirstBytes + 1)}},
      {"plan.seqRows[0]: row 0 is not in use", {refused}},
  };
  for_both([&](Transport transport) {
    for (const Nonsense& nonsense : all) {
      const ProgramLimits limits = nonsense.messages.size() > 1 ? kLargeLimits : kLimits;
      const World world{transport, 2, 3000};
      Ranks ranks(world, [&](const CommunicatorOptions& options, DataPlaneListener* listener) {
        if (options.rank == 1) return report_status(join_world(world, options, listener, limits)->follow());
        auto communicator = connect(transport, options, listener);
        if (!communicator.ok()) fail(communicator.status().message());
        expect(meet_ranks(world_program(0, 2, limits), options.peers, *communicator.value()).ok(), "not met");
        Status status;
        for (const Message& message : nonsense.messages) {
          Message sent = message;
          status = communicator.value()->broadcast(0, 0, sent, nullptr, Patience::kWhileItLives);
        }
        std::vector<float> values(1);
        while (status.ok()) status = communicator.value()->all_reduce(0, values);
        report_status(status);
      });
      ranks.wait();
      for (const int32_t rank : {0, 1}) {
        const std::string message = ranks.report(rank).text;
        expect(message.find(nonsense.part) != std::string::npos,
               text("rank ", rank, ": expected \"", nonsense.part, "\" in: ", message));
      }
    }
  });
}

}  // namespace moesaic::test
