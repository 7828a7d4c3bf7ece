// Reader: one JavaScript value and the path that led to it. Part of the Node-API edge: throws Napi::Error.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace moesaic {

// The largest integer that a JavaScript number holds exactly.
constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

// Refers to its parent, which must outlive it; the path is put together only for an error.
class Reader {
 public:
  // `name` is the argument's, such as "program".
  Reader(Napi::Value value, const char* name) : value_(value), key_(name) {}

  Reader field(const char* key) const;
  Reader element(uint32_t index) const;
  // Elements of an array of at most `max` elements.
  uint32_t length(uint32_t max) const;
  bool is_null() const { return value_.IsNull(); }

  int64_t integer(int64_t min, int64_t max) const;
  int32_t int32(int32_t min, int32_t max) const { return static_cast<int32_t>(integer(min, max)); }
  // Finite and in [min, max], as float32.
  float number(double min, double max) const;
  bool boolean() const;
  std::string string() const;
  // Index of the string among `names`.
  template <size_t kCount>
  size_t one_of(const char* const (&names)[kCount]) const {
    return choice(names, kCount);
  }
  // A Uint8Array of `count` bytes.
  std::vector<std::byte> bytes(size_t count) const;
  // Copies an Int32Array of at most `max` elements.
  void int32s(size_t max, std::vector<int32_t>& to) const;

  // Calls visit(Reader) for each element, each in a handle scope of its own: lists may be long.
  template <typename Visit>
  void each(uint32_t max, Visit&& visit) const {
    const uint32_t count = length(max);
    for (uint32_t i = 0; i < count; ++i) {
      const Napi::HandleScope scope(value_.Env());
      visit(element(i));
    }
  }

  [[noreturn]] void fail(const std::string& message) const;
  [[noreturn]] void expected(const std::string& what) const;

 private:
  Reader(Napi::Value value, const Reader* parent, const char* key, uint32_t index)
      : value_(value), parent_(parent), key_(key), index_(index) {}
  size_t choice(const char* const* names, size_t count) const;
  std::string path() const;
  std::string shown() const;

  Napi::Value value_;
  const Reader* parent_ = nullptr;
  const char* key_ = nullptr;  // null: an element
  uint32_t index_ = 0;
};

}  // namespace moesaic
