// A turn of a loop that spins until another thread or process has written something.
#pragma once

#include <thread>

namespace moesaic {

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace moesaic
