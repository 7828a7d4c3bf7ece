import assert from "node:assert/strict";
import { hostname } from "node:os";
import { describe, it } from "node:test";
import { isOfAllInterfaces, reachableAddress } from "./reachable-address.js";

const LOOPBACK = { lo: [{ address: "127.0.0.1", family: "IPv4" as const, internal: true }] };
const OUTWARD = {
  ...LOOPBACK,
  eth0: [
    { address: "fe80::1", family: "IPv6" as const, internal: false },
    { address: "10.1.2.3", family: "IPv4" as const, internal: false },
    { address: "2001:db8::7", family: "IPv6" as const, internal: false },
  ],
  docker0: [{ address: "172.17.0.1", family: "IPv4" as const, internal: false }],
};

describe("reachableAddress", () => {
  it("leaves an address that can be dialed as it is", () => {
    for (const address of ["10.1.2.3:5", "127.0.0.1:5", "box:5", "[2001:db8::7]:5"]) {
      assert.equal(isOfAllInterfaces(address), false);
      assert.equal(reachableAddress(address, OUTWARD), address);
    }
  });

  it("puts the first that leads out of the machine for all interfaces", () => {
    assert.equal(reachableAddress("0.0.0.0:50051", OUTWARD), "10.1.2.3:50051");
    assert.equal(reachableAddress("[::]:50051", OUTWARD), "[2001:db8::7]:50051");
    assert.equal(reachableAddress("[::]:1", { docker0: OUTWARD.docker0 }), "172.17.0.1:1");
  });

  it("falls back on the host's name", () => {
    assert.equal(reachableAddress("0.0.0.0:50051", LOOPBACK), `${hostname()}:50051`);
  });
});
