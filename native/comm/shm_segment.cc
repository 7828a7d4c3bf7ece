#include "shm_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "../text.h"
#include "communicator_base.h"
#include "futex.h"
#include "mix.h"

namespace moesaic {
namespace {

// Changes with the layout of the segment, so that two builds never share one.
constexpr uint64_t kMagic = 0x4d6f6573'61630001;
constexpr size_t kPageBytes = 4096;
constexpr auto kRetryPause = std::chrono::milliseconds(1);

size_t header_bytes() { return (sizeof(SegmentHeader) + kPageBytes - 1) / kPageBytes * kPageBytes; }

int64_t now_ms() {
  using std::chrono::steady_clock;
  return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch()).count();
}

uint64_t bits_of_all(int32_t world_size) { return ~uint64_t{0} >> (kMaxShmRanks - world_size); }

Status system_error(Code code, const std::string& what, int error) {
  return Status(code, text(what, ": ", std::strerror(error)));
}

struct flock byte_lock(int32_t rank) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = rank;
  lock.l_len = 1;
  return lock;
}

Status check_one_host(const CommunicatorOptions& options) {
  for (const PeerAddress& peer : options.peers)
    if (peer.host_id != options.peers.front().host_id)
      return Status(Code::kFailedPrecondition,
                    text("ranks 0 and ", peer.rank, " are on the hosts ", options.peers.front().host_id, " and ", peer.host_id,
                         ": shared memory needs one host, use tcp"));
  if (options.peers.size() > kMaxShmRanks)
    return Status(Code::kFailedPrecondition,
                  text("shared memory serves ", kMaxShmRanks, " ranks, the world has ", options.peers.size(), ": use tcp"));
  return {};
}

}  // namespace

// The key is fresh for every epoch, so no other segment ever has this name. It gives nothing of the key away that matters:
// who may open the segment is up to its mode, and who takes part to the whole key inside.
std::string shm_name(const CommunicatorOptions& options) {
  uint64_t digest = options.epoch;
  for (size_t i = 0; i < options.key.size(); i += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, &options.key[i], sizeof(word));
    digest = mix(digest, word);
  }
  char name[32];
  std::snprintf(name, sizeof(name), "/moesaic-%016llx", static_cast<unsigned long long>(digest));
  return name;
}

void Bell::ring() {
  rings.fetch_add(1);
  if (sleepers.load() > 0) futex_wake_all(rings);
}

StatusOr<std::unique_ptr<ShmSegment>> ShmSegment::open(const CommunicatorOptions& options) {
  if (Status status = check_one_host(options); !status.ok()) return status;
  std::unique_ptr<ShmSegment> segment(new ShmSegment(options));
  Status status = options.rank == 0 ? segment->create() : segment->attach();
  if (status.ok()) status = segment->join();
  // Everybody removes the name when the epoch cannot begin: the creator may be the one that died.
  if (segment->file_.is_open() && (options.rank == 0 || !status.ok())) ::shm_unlink(segment->name_.c_str());
  if (!status.ok()) return status;
  return segment;
}

ShmSegment::ShmSegment(const CommunicatorOptions& options)
    : options_(options),
      world_size_(static_cast<int32_t>(options.peers.size())),
      name_(shm_name(options)),
      bytes_(header_bytes() + options.peers.size() * kSlotsPerRank * kSlotBytes),
      late_at_ms_(now_ms() + options.deadline_ms) {}

ShmSegment::~ShmSegment() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

std::byte* ShmSegment::payload(int32_t rank, size_t slot) {
  const size_t index = static_cast<size_t>(rank) * kSlotsPerRank + slot;
  return static_cast<std::byte*>(memory_) + header_bytes() + index * kSlotBytes;
}

// Every rank keeps a lock on its own byte of the file. The kernel gives it back when the process ends, so nobody can be
// mistaken about who lives: not by a process id that was used again, nor by namespaces that number processes differently.
bool ShmSegment::is_alive(int32_t rank) const {
  if (rank == options_.rank) return true;  // an own lock does not show
  struct flock lock = byte_lock(rank);
  return ::fcntl(file_.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

void ShmSegment::end(const Notice& notice) {
  uint32_t no = 0;
  if (header().ended.compare_exchange_strong(no, 1)) {
    header().ended_code = notice.code;
    const size_t length = std::min(notice.text.size(), kMaxNoticeBytes);
    std::memcpy(header().ended_text, notice.text.data(), length);
    header().ended_text[length] = '\0';
    header().ended.store(2, std::memory_order_release);
  }
  for (int32_t rank = 0; rank < world_size_; ++rank) {
    mailbox(rank).filled.ring();
    mailbox(rank).emptied.ring();
  }
}

Notice ShmSegment::notice() const {
  const char* text = header().ended_text;
  return Notice{header().ended_code == Code::kCancelled ? Code::kCancelled : Code::kUnavailable,
                std::string(text, ::strnlen(text, kMaxNoticeBytes))};
}

Status ShmSegment::create() {
  file_ = Fd(::shm_open(name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file_.is_open()) return system_error(Code::kFailedPrecondition, text("cannot create shared memory ", name_), errno);
  if (Status status = reserve(); !status.ok()) return status;
  if (Status status = map(); !status.ok()) return status;
  header().epoch = options_.epoch;
  header().world_size = world_size_;
  std::memcpy(header().key, options_.key.data(), sizeof(header().key));
  for (int32_t rank = 0; rank < world_size_; ++rank) mailbox(rank).waits.peer.store(-1);
  header().magic.store(kMagic, std::memory_order_release);
  return {};
}

// Taken now, so that a full /dev/shm is an error here and not a signal in the middle of a step.
Status ShmSegment::reserve() {
  const int error = ::posix_fallocate(file_.get(), 0, static_cast<off_t>(bytes_));
  if (error == 0) return {};
  return system_error(Code::kResourceExhausted,
                      text("/dev/shm has no room for the ", bytes_, " bytes of ", world_size_, " ranks"), error);
}

Status ShmSegment::map() {
  void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (memory == MAP_FAILED) return system_error(Code::kResourceExhausted, text("cannot map ", bytes_, " shared bytes"), errno);
  memory_ = memory;
  return {};
}

Status ShmSegment::attach() {
  if (Status status = wait_for_name(); !status.ok()) return status;
  struct stat info = {};
  while (::fstat(file_.get(), &info) == 0 && static_cast<size_t>(info.st_size) < bytes_) {
    if (Status status = check_cancelled(options_); !status.ok()) return status;
    if (is_late()) return Status(Code::kUnavailable, text("rank 0 made ", info.st_size, " shared bytes, expected ", bytes_));
    std::this_thread::sleep_for(kRetryPause);
  }
  if (Status status = map(); !status.ok()) return status;
  while (header().magic.load(std::memory_order_acquire) == 0) {
    if (Status status = check_cancelled(options_); !status.ok()) return status;
    if (is_late()) return Status(Code::kUnavailable, "rank 0 made shared memory and did not fill its header in time");
    std::this_thread::sleep_for(kRetryPause);
  }
  return check_header();
}

Status ShmSegment::wait_for_name() {
  while (true) {
    file_ = Fd(::shm_open(name_.c_str(), O_RDWR | O_CLOEXEC, 0600));
    if (file_.is_open()) return {};
    if (errno != ENOENT) return system_error(Code::kFailedPrecondition, text("cannot open shared memory ", name_), errno);
    if (Status status = check_cancelled(options_); !status.ok()) return status;
    if (is_late())
      return Status(Code::kUnavailable, text("rank 0 did not appear within ", options_.deadline_ms,
                                             " ms: it is not on this host, or has another epoch or key"));
    std::this_thread::sleep_for(kRetryPause);
  }
}

Status ShmSegment::check_header() const {
  const auto differs = [](const char* what) {
    return Status(Code::kFailedPrecondition, text("rank 0 made shared memory of another ", what));
  };
  if (header().magic.load() != kMagic) return differs("build");
  if (std::memcmp(header().key, options_.key.data(), sizeof(header().key)) != 0) return differs("key");
  if (header().epoch != options_.epoch) return differs("epoch");
  if (header().world_size != world_size_) return differs("world size");
  return {};
}

Status ShmSegment::join() {
  if (Status status = lock_own_byte(); !status.ok()) return status;
  header().attached.fetch_or(uint64_t{1} << options_.rank);
  return wait_for_all();
}

Status ShmSegment::lock_own_byte() {
  struct flock lock = byte_lock(options_.rank);
  if (::fcntl(file_.get(), F_OFD_SETLK, &lock) == 0) return {};
  if (errno == EAGAIN || errno == EACCES)
    return Status(Code::kFailedPrecondition, text("another process is rank ", options_.rank, " of epoch ", options_.epoch));
  return system_error(Code::kInternal, "cannot lock shared memory", errno);
}

Status ShmSegment::wait_for_all() {
  const uint64_t all = bits_of_all(world_size_);
  uint64_t attached = 0;
  while ((attached = header().attached.load()) != all) {
    if (is_ended()) return Status(notice().code, notice().text);
    if (Status status = check_cancelled(options_); !status.ok()) return status;
    for (int32_t rank = 0; rank < world_size_; ++rank)
      // A rank that left after the last one had attached is no concern of this function.
      if ((attached >> rank & 1) != 0 && !is_alive(rank) && header().attached.load() != all)
        return Status(Code::kUnavailable, text("rank ", rank, " left while the ranks were attaching"));
    if (is_late())
      return Status(Code::kUnavailable,
                    text("rank ", std::countr_one(attached), " did not attach within ", options_.deadline_ms, " ms"));
    std::this_thread::sleep_for(kRetryPause);
  }
  return {};
}

bool ShmSegment::is_late() const { return now_ms() >= late_at_ms_; }

}  // namespace moesaic
