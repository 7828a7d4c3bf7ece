import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";

const ALL_INTERFACES = ["0.0.0.0", "[::]"];

/**
 * The own address that packets to a peer leave from, hence one at which its network reaches this process. Sends nothing:
 * connecting a datagram socket only asks the routing table. A peer at all interfaces is this machine, whose other peers may
 * come over any of them: the answer is then all interfaces too.
 * @param peer HOST:PORT
 */
export async function localAddressTowards(peer: string): Promise<string> {
  const at = peer.lastIndexOf(":");
  if (ALL_INTERFACES.includes(peer.slice(0, at))) return peer.slice(0, at);
  const { address, family } = await lookup(peer.slice(0, at).replaceAll(/[[\]]/g, ""));
  const socket = createSocket(family === 6 ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.connect(Number(peer.slice(at + 1)), address, resolve);
    });
    const own = socket.address().address;
    return own.includes(":") ? `[${own}]` : own;
  } finally {
    socket.close();
  }
}
