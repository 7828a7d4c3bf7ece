import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { localAddressTowards } from "./local-address.js";

describe("localAddressTowards", () => {
  it("is loopback towards loopback", async () => {
    assert.equal(await localAddressTowards("127.0.0.1:50051"), "127.0.0.1");
    assert.equal(
      await localAddressTowards("localhost:50051").then((own) => own === "127.0.0.1" || own === "[::1]"),
      true,
    );
  });

  it("is all interfaces where the coordinator of this machine listens on all", async () => {
    assert.equal(await localAddressTowards("0.0.0.0:50051"), "0.0.0.0");
    assert.equal(await localAddressTowards("[::]:50051"), "[::]");
  });

  it("rejects a name that nobody has", async () => {
    await assert.rejects(localAddressTowards("no-such-host.invalid:1"));
  });
});
