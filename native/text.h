// Joins parts into one message: text("row ", row, " is in use").
#pragma once

#include <sstream>
#include <string>

namespace moesaic {

template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return stream.str();
}

}  // namespace moesaic
