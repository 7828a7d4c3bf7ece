// How ranks become linked: the higher rank dials the lower one, and both prove that they belong to the epoch.
//
//   dialer  ── Hello: from, to, epoch, key ──►  acceptor          A Hello that is wrong is answered with the reason and closed;
//           ◄── Hello: verdict, key ──────────                   the dialer tries again until the deadline: the acceptor may
//           ── one byte ─────────────────────►                   still be in the epoch before.
#pragma once

#include "tcp_link.h"
#include "tcp_listener.h"

namespace moesaic {

// Links by rank, null for the own one. Waits until all are connected, at most options.deadline_ms.
StatusOr<std::vector<std::unique_ptr<TcpLink>>> connect_links(const CommunicatorOptions& options, const TcpListener& listener);

}  // namespace moesaic
