// TcpListener: the listening socket of a rank's data plane. Lives longer than any epoch.
#pragma once

#include "../communicator.h"
#include "fd.h"
#include "tcp_address.h"

namespace moesaic {

class TcpListener final : public DataPlaneListener {
 public:
  static StatusOr<std::unique_ptr<TcpListener>> open(const std::string& bind);

  std::vector<std::string> addresses() const override { return addresses_; }
  int fd() const { return socket_.get(); }
  // A closed Fd when nobody knocks. Does not wait.
  Fd accept() const;

 private:
  TcpListener(Fd socket, std::vector<std::string> addresses) : socket_(std::move(socket)), addresses_(std::move(addresses)) {}

  const Fd socket_;
  const std::vector<std::string> addresses_;
};

}  // namespace moesaic
