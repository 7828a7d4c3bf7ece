#include "reader.h"

#include <cmath>
#include <cstring>

#include "convert.h"
#include "text.h"

namespace moesaic {
namespace {

constexpr size_t kMaxStringBytes = 4096;

// At most this much of a wrong string is shown.
constexpr size_t kMaxShownBytes = 40;

}  // namespace

Reader Reader::field(const char* key) const {
  if (!value_.IsObject()) expected("an object");
  return Reader(value_.As<Napi::Object>().Get(key), this, key, 0);
}

Reader Reader::element(uint32_t index) const {
  return Reader(value_.As<Napi::Object>().Get(index), this, nullptr, index);
}

uint32_t Reader::length(uint32_t max) const {
  if (!value_.IsArray()) expected("an array");
  const uint32_t count = value_.As<Napi::Array>().Length();
  if (count > max) fail(text("expected at most ", max, " elements, got ", count));
  return count;
}

int64_t Reader::integer(int64_t min, int64_t max) const {
  const double value = value_.IsNumber() ? value_.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(value >= static_cast<double>(min) && value <= static_cast<double>(max)) || value != std::floor(value))
    expected(text("an integer in [", min, ", ", max, "]"));
  return static_cast<int64_t>(value);
}

float Reader::number(double min, double max) const {
  const double value = value_.IsNumber() ? value_.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(value >= min && value <= max)) expected(text("a number in [", min, ", ", max, "]"));
  return static_cast<float>(value);
}

bool Reader::boolean() const {
  if (!value_.IsBoolean()) expected("a boolean");
  return value_.As<Napi::Boolean>().Value();
}

std::string Reader::string() const {
  size_t bytes = 0;
  if (!value_.IsString() || napi_get_value_string_utf8(value_.Env(), value_, nullptr, 0, &bytes) != napi_ok)
    expected("a string");
  if (bytes > kMaxStringBytes) fail(text("expected at most ", kMaxStringBytes, " bytes of text, got ", bytes));
  std::string result = value_.As<Napi::String>().Utf8Value();
  // Names go into C strings (paths, messages), where a NUL would cut them short.
  if (result.find('\0') != std::string::npos) fail("expected a string without NUL characters");
  return result;
}

void Reader::int32s(size_t max, std::vector<int32_t>& to) const {
  if (!value_.IsTypedArray() || value_.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    expected("an Int32Array");
  const auto array = value_.As<Napi::Int32Array>();
  const size_t count = array.ElementLength();
  if (count > max) fail(text("expected at most ", max, " entries, got ", count));
  const int32_t* data = array.Data();
  to.assign(data, data + count);
}

std::vector<std::byte> Reader::bytes(size_t count) const {
  if (!value_.IsTypedArray() || value_.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    expected("a Uint8Array");
  const auto array = value_.As<Napi::Uint8Array>();
  if (array.ElementLength() != count) fail(text("expected ", count, " bytes, got ", array.ElementLength()));
  const auto* data = reinterpret_cast<const std::byte*>(array.Data());
  return {data, data + count};
}

size_t Reader::choice(const char* const* names, size_t count) const {
  const std::string value = value_.IsString() ? string() : "";
  std::string all;
  for (size_t i = 0; i < count; ++i) {
    if (value == names[i]) return i;
    all += text(i == 0 ? "" : ", ", '"', names[i], '"');
  }
  expected(text("one of ", all));
}

void Reader::fail(const std::string& message) const {
  throw to_error(value_.Env(), Status(Code::kInvalidArgument, text(path(), ": ", message)));
}

void Reader::expected(const std::string& what) const { fail(text("expected ", what, ", got ", shown())); }

std::string Reader::path() const {
  if (parent_ == nullptr) return key_;
  return key_ == nullptr ? text(parent_->path(), "[", index_, "]") : text(parent_->path(), ".", key_);
}

std::string Reader::shown() const {
  switch (value_.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return value_.As<Napi::Boolean>().Value() ? "true" : "false";
    case napi_number:
      return value_.ToString().Utf8Value();
    case napi_string: {
      const std::string value = value_.As<Napi::String>().Utf8Value();
      return value.size() <= kMaxShownBytes ? text('"', value, '"') : text("a string of ", value.size(), " bytes");
    }
    case napi_symbol:
      return "a symbol";
    case napi_function:
      return "a function";
    case napi_bigint:
      return "a bigint";
    default:
      return value_.IsArray() ? "an array" : "an object";
  }
}

}  // namespace moesaic
