#include "tcp_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>

#include "../text.h"

namespace moesaic {
namespace {

in_port_t port_of(const SocketAddress& address) {
  if (address.family() == AF_INET6) return reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_port;
  return reinterpret_cast<const sockaddr_in&>(address.storage).sin_port;
}

bool is_any(const SocketAddress& address) {
  if (address.family() == AF_INET) return reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr.s_addr == INADDR_ANY;
  return IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr) != 0;
}

// An interface's address with the port of the bound socket. Link-local addresses mean nothing without the interface's name.
bool is_usable(const ifaddrs& interface, const SocketAddress& bound) {
  if (interface.ifa_addr == nullptr || (interface.ifa_flags & IFF_UP) == 0) return false;
  const int family = interface.ifa_addr->sa_family;
  if (family == AF_INET) return true;
  if (family != AF_INET6 || bound.family() != AF_INET6) return false;
  return IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(interface.ifa_addr)->sin6_addr) == 0;
}

std::string with_port(const ifaddrs& interface, in_port_t port) {
  SocketAddress address;
  const bool is_v6 = interface.ifa_addr->sa_family == AF_INET6;
  address.bytes = is_v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  std::memcpy(&address.storage, interface.ifa_addr, address.bytes);
  if (is_v6) {
    reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port = port;
  } else {
    reinterpret_cast<sockaddr_in&>(address.storage).sin_port = port;
  }
  return address.text();
}

struct HostPort {
  std::string host;
  std::string port;
};

StatusOr<HostPort> split(const std::string& host_port) {
  const size_t colon = host_port.rfind(':');
  const Status wrong(Code::kInvalidArgument, text("\"", host_port, "\" is not host:port, such as 10.0.0.1:4000 or [::1]:4000"));
  if (colon == std::string::npos || colon == 0) return wrong;
  HostPort parts{host_port.substr(0, colon), host_port.substr(colon + 1)};
  if (parts.host.front() == '[' && parts.host.back() == ']') {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  } else if (parts.host.find(':') != std::string::npos) {
    return wrong;
  }
  uint16_t port = 0;
  const char* end = parts.port.data() + parts.port.size();
  const auto [rest, error] = std::from_chars(parts.port.data(), end, port);
  if (parts.host.empty() || error != std::errc() || rest != end) return wrong;
  return parts;
}

}  // namespace

std::string SocketAddress::text() const {
  char host[INET6_ADDRSTRLEN] = "?";
  const bool is_v6 = family() == AF_INET6;
  const void* raw = &reinterpret_cast<const sockaddr_in&>(storage).sin_addr;
  if (is_v6) raw = &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr;
  ::inet_ntop(family(), raw, host, sizeof(host));
  return moesaic::text(is_v6 ? "[" : "", host, is_v6 ? "]:" : ":", ntohs(port_of(*this)));
}

StatusOr<std::vector<SocketAddress>> resolve(const std::string& host_port, Hosts hosts) {
  StatusOr<HostPort> parts = split(host_port);
  if (!parts.ok()) return parts.status();
  addrinfo wanted = {};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICSERV | (hosts == Hosts::kNumbers ? AI_NUMERICHOST : 0);
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(parts.value().host.c_str(), parts.value().port.c_str(), &wanted, &found);
  if (error != 0) return Status(Code::kUnavailable, text(host_port, ": ", ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    SocketAddress address;
    address.bytes = entry->ai_addrlen;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    addresses.push_back(address);
  }
  return addresses;
}

std::vector<std::string> reachable_at(const SocketAddress& bound) {
  ifaddrs* interfaces = nullptr;
  if (!is_any(bound) || ::getifaddrs(&interfaces) != 0) return {bound.text()};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(interfaces, ::freeifaddrs);
  std::vector<std::string> outside, inside;
  for (const ifaddrs* interface = interfaces; interface != nullptr; interface = interface->ifa_next) {
    if (!is_usable(*interface, bound)) continue;
    ((interface->ifa_flags & IFF_LOOPBACK) != 0 ? inside : outside).push_back(with_port(*interface, port_of(bound)));
  }
  return outside.empty() ? inside : outside;
}

}  // namespace moesaic
