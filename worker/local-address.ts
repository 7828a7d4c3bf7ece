import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";

/**
 * The own address that packets to a peer leave from, hence one at which its network reaches this process. Sends nothing:
 * connecting a datagram socket only asks the routing table.
 * @param peer HOST:PORT
 */
export async function localAddressTowards(peer: string): Promise<string> {
  const at = peer.lastIndexOf(":");
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
