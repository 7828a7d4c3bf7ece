import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openNatsConnection } from "./nats-connection.js";

const CONNECT_TIMEOUT_MS = 400;

describe("openNatsConnection", () => {
  it("says within its time that there is no server, and how to get one", async () => {
    const server = await serving(() => {});
    const url = urlOf(server);
    await ended(server);
    const sinceMs = performance.now();
    await assert.rejects(open(url), {
      code: "unavailable",
      message: /nats:\/\/127\.0\.0\.1.*apt-get install nats-server/,
    });
    const tookMs = performance.now() - sinceMs;
    assert.ok(tookMs > 150 && tookMs < 3000, `${tookMs} ms`);
  });

  // A stranger on the port: silent, babbling, or flooding without ever ending a line.
  const strangers: [name: string, greet: (socket: Socket) => void, code: string][] = [
    ["says nothing", () => {}, "unavailable"],
    ["hangs up", (socket) => socket.end(), "unavailable"],
    ["speaks HTTP", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"), "failed_precondition"],
    ["sends an INFO that is no JSON", (socket) => socket.write("INFO {nonsense\r\n"), "failed_precondition"],
    ["sends a line without an end", (socket) => socket.write(Buffer.alloc(4 << 20, 0x61)), "failed_precondition"],
  ];
  for (const [name, greet, code] of strangers) {
    it(`ends in time with a server that ${name}, and leaves no socket behind`, async () => {
      const closings: Promise<unknown>[] = [];
      const server = await serving((socket) => {
        closings.push(new Promise((resolve) => socket.once("close", resolve)));
        greet(socket);
      });
      await assert.rejects(open(urlOf(server)), { name: "MoesaicError", code });
      assert.ok(closings.length > 0);
      await Promise.all(closings);
      await ended(server);
    });
  }

  it("takes no password in the address, and does not repeat it", async () => {
    const error = await open("nats://me:secret@127.0.0.1:4222").then(
      () => null,
      (caught: unknown) => caught,
    );
    assert.equal((error as { code?: unknown }).code, "invalid_argument");
    assert.ok(!String(error).includes("secret"), String(error));
  });

  for (const url of ["http://a:1", "nats://", "nats://a b:1", "nats://a:99999999", "a:4222", "nats://[::1"]) {
    it(`refuses the address ${url}`, async () => {
      await assert.rejects(open(url), { code: "invalid_argument", message: /expected nats:\/\/HOST:PORT/ });
    });
  }

  it("names the credentials file that is missing or is none", async () => {
    const folder = mkdtempSync(join(tmpdir(), "moesaic-credentials-"));
    const file = join(folder, "user.creds");
    await assert.rejects(open("nats://127.0.0.1:1", file), { code: "not_found", place: file });
    writeFileSync(file, "user: me\npassword: secret\n");
    await assert.rejects(open("nats://127.0.0.1:1", file), { code: "invalid_argument", place: file });
    rmSync(folder, { recursive: true });
  });
});

function open(url: string, credentialsFile: string | null = null): Promise<unknown> {
  return openNatsConnection({ url, credentialsFile, clientName: "test", connectTimeoutMs: CONNECT_TIMEOUT_MS });
}

async function serving(greet: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    // The client hangs up first: that is what is tested.
    socket.on("error", () => {});
    socket.resume();
    greet(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function ended(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}

function urlOf(server: Server): string {
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return `nats://127.0.0.1:${address.port}`;
}
