// Status: how native code reports failure. Exceptions exist only at the Node-API edge (addon.cc), which throws an Error whose
// name is code_name(code). Cheap when OK: one byte and an empty string.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace moesaic {

enum class Code {
  kOk,
  kInvalidArgument,
  kNotFound,
  kFailedPrecondition,
  kResourceExhausted,
  kCancelled,
  kUnavailable,
  kUnimplemented,
  kInternal,
};

// The project's error code as TypeScript knows it, such as "invalid_argument".
const char* code_name(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value or the reason why there is none.
template <typename T>
class [[nodiscard]] StatusOr {
 public:
  StatusOr(T value) : state_(std::move(value)) {}            // NOLINT: implicit on purpose
  StatusOr(Status status) : state_(std::move(status)) {}     // NOLINT: implicit on purpose

  bool ok() const { return std::holds_alternative<T>(state_); }
  const Status& status() const { return std::get<Status>(state_); }  // only when !ok()
  T& value() { return std::get<T>(state_); }                         // only when ok()
  const T& value() const { return std::get<T>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace moesaic
