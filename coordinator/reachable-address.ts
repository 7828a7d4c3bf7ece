import { hostname, networkInterfaces, type NetworkInterfaceInfo } from "node:os";

/** Whether an address HOST:PORT means every interface of this machine. */
export function isOfAllInterfaces(address: string): boolean {
  return /^(0\.0\.0\.0|\[::\]):\d+$/.test(address);
}

/**
 * The address under which others dial what listens on `address`. One of all interfaces is no address to dial: the first
 * interface that leads out of this machine stands for them, of the same family where there is one, and else the host's name.
 */
export function reachableAddress(address: string, interfaces: Interfaces = networkInterfaces()): string {
  if (!isOfAllInterfaces(address)) return address;
  const family = address.startsWith("[") ? "IPv6" : "IPv4";
  const own = Object.values(interfaces).flatMap((addresses) => addresses ?? []);
  // Link-local addresses mean nothing without the interface of whoever dials.
  const outward = own.filter((each) => !each.internal && !/^(fe80:|169\.254\.)/.test(each.address));
  const best = outward.find((each) => each.family === family) ?? outward[0];
  const host = best === undefined ? hostname() : best.family === "IPv6" ? `[${best.address}]` : best.address;
  return `${host}:${address.slice(address.lastIndexOf(":") + 1)}`;
}

type Interfaces = Record<string, Pick<NetworkInterfaceInfo, "address" | "family" | "internal">[] | undefined>;
