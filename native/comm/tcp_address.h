// "host:port" to and from what sockets want. IPv6 addresses stand in brackets: "[::1]:4000".
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "../status.h"

namespace moesaic {

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t bytes = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  std::string text() const;
};

// Asking for a name may take as long as the name server likes: who has a deadline takes numbers only.
enum class Hosts { kNumbers, kNames };

// A name may stand for several addresses. kInvalidArgument when it is not host:port, kUnavailable when nobody knows the host.
StatusOr<std::vector<SocketAddress>> resolve(const std::string& host_port, Hosts hosts);

// Where others reach a socket that is bound to `bound`: itself, or for "any address" those of this host's interfaces, the ones
// that only this host can use last and only if there is no other.
std::vector<std::string> reachable_at(const SocketAddress& bound);

}  // namespace moesaic
