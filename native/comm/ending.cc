#include "ending.h"

#include "../text.h"

namespace moesaic {

bool Ending::set_own(const Status& reason) {
  if (reason.code() == Code::kCancelled)
    return set(Status(Code::kCancelled, "aborted: " + reason.message()),
               Notice{Code::kCancelled, text("rank ", rank_, " aborted: ", reason.message())});
  return set(reason, Notice{Code::kUnavailable, text("rank ", rank_, " gave up: ", reason.message())});
}

bool Ending::set_heard(const Notice& notice) { return set(Status(notice.code, notice.text), notice); }

Status Ending::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

Notice Ending::notice() const {
  const std::lock_guard lock(mutex_);
  return notice_;
}

bool Ending::set(Status status, Notice notice) {
  const std::lock_guard lock(mutex_);
  if (is_set()) return false;
  status_ = std::move(status);
  notice_ = std::move(notice);
  if (notice_.text.size() > kMaxNoticeBytes) notice_.text.resize(kMaxNoticeBytes);
  is_set_.store(true, std::memory_order_release);
  return true;
}

}  // namespace moesaic
