#include "tcp_listener.h"

#include <netinet/in.h>

#include <cerrno>
#include <cstring>

#include "../text.h"

namespace moesaic {
namespace {

constexpr int kBacklog = 256;

Status cannot_listen(const std::string& bind, int error) {
  return Status(Code::kFailedPrecondition, text("cannot listen on ", bind, ": ", std::strerror(error)));
}

}  // namespace

StatusOr<std::unique_ptr<TcpListener>> TcpListener::open(const std::string& bind) {
  StatusOr<std::vector<SocketAddress>> resolved = resolve(bind, Hosts::kNames);
  if (!resolved.ok()) return resolved.status();
  const SocketAddress& address = resolved.value().front();
  Fd socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1, off = 0;
  if (!socket.is_open()) return cannot_listen(bind, errno);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.family() == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (::bind(socket.get(), address.get(), address.bytes) != 0) return cannot_listen(bind, errno);
  if (::listen(socket.get(), kBacklog) != 0) return cannot_listen(bind, errno);
  SocketAddress bound;
  bound.bytes = sizeof(bound.storage);
  if (::getsockname(socket.get(), bound.get(), &bound.bytes) != 0) return cannot_listen(bind, errno);
  return std::unique_ptr<TcpListener>(new TcpListener(std::move(socket), reachable_at(bound)));
}

Fd TcpListener::accept() const { return Fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)); }

StatusOr<std::unique_ptr<DataPlaneListener>> listen_data_plane(const std::string& bind) {
  StatusOr<std::unique_ptr<TcpListener>> listener = TcpListener::open(bind);
  if (!listener.ok()) return listener.status();
  return std::unique_ptr<DataPlaneListener>(std::move(listener.value()));
}

}  // namespace moesaic
