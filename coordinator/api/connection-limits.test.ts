import * as grpc from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { systemClock } from "../../proto/clock.js";
import { fromGrpcStatus } from "../../proto/grpc-status.js";
import { silentLogger } from "../../proto/log.js";
import { v1 } from "../../proto/messages.js";
import { createClient, type Client } from "../../proto/rpc.js";
import { openApi } from "../../test/openai-api.js";
import type { InferenceHandlers } from "./inference-service.js";
import { trustLoopback, type RequestContext } from "./request-context.js";
import { ApiServer, CONNECTION_LIMITS, type ConnectionLimits } from "./server.js";

/** No test waits for this deadline: without what it tests it does not end. */
const NEVER_MS = 3_600_000;
/** The first bytes of an HTTP/2 connection, and an empty SETTINGS frame. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
const PING = Buffer.from("\0\0\x08\x06\0\0\0\0\0eightbyt", "latin1");

/** A server, a client, and between them a wire that can be made to lose everything without a word. */
class Wired {
  /** Streams that run, or ran: each ends when the test says so, or when its caller is gone. */
  readonly calls: { end: () => void }[] = [];
  readonly sockets: Socket[] = [];
  inference!: Client<v1.Inference>;
  /** The server itself, for who speaks HTTP/2 without the library. */
  port = 0;
  readonly #nearSockets: Socket[] = [];
  readonly #streams: { cancel(): void }[] = [];

  /** @param generate by default calls that end when the test says so */
  static async open(
    test: TestContext,
    limits: Partial<ConnectionLimits>,
    generate?: InferenceHandlers["generate"],
  ): Promise<Wired> {
    const wired = new Wired();
    const server = new ApiServer({
      clock: systemClock,
      log: silentLogger,
      authenticate: trustLoopback,
      maxMessageBytes: 1 << 20,
      limits: { ...CONNECTION_LIMITS, ...limits },
    });
    server.addService(v1.Inference, {
      tokenize: async ({ text }) => ({ token_ids: [text?.length ?? 0] }),
      generate: generate ?? ((_, context) => wired.#run(context)),
    });
    const port = (wired.port = await server.listen("127.0.0.1:0"));
    const wire = createServer((near) => {
      const far = connect(port, "127.0.0.1");
      wired.sockets.push(far);
      wired.#nearSockets.push(near);
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) socket.on("error", () => {});
      far.on("close", () => near.destroy());
      near.on("close", () => far.destroy());
    }).listen(0, "127.0.0.1");
    await once(wire, "listening");
    const { port: wirePort } = wire.address() as AddressInfo;
    const channel = new grpc.Client(`127.0.0.1:${wirePort}`, grpc.credentials.createInsecure());
    wired.inference = createClient(v1.Inference, channel);
    test.after(async () => {
      // A call whose peer is silent would wait for its deadline.
      wired.cancel();
      channel.close();
      for (const { end } of wired.calls) end();
      for (const socket of [...wired.sockets, ...wired.#nearSockets]) socket.destroy();
      await server.close(0);
      wire.close();
    });
    return wired;
  }

  /** Nothing comes through any more, and nobody is told. */
  goSilent(): void {
    for (const socket of [...this.sockets, ...this.#nearSockets]) socket.unpipe().pause();
  }

  /** Begins a stream, which the client reads. @returns its status when it is over */
  generate(deadlineMs = NEVER_MS): Promise<grpc.StatusObject> {
    const stream = this.inference.generate({ prompt: "Well?" }, { deadline: Date.now() + deadlineMs });
    stream.on("data", () => {}).on("error", () => {});
    this.#streams.push(stream);
    return new Promise((resolve) => stream.on("status", resolve));
  }

  /** Every stream is left by its reader. */
  cancel(): void {
    for (const stream of this.#streams) stream.cancel();
  }

  async *#run(context: RequestContext): AsyncGenerator<v1.GenerateEvent.$Properties> {
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
      context.signal.addEventListener("abort", () => resolve());
    });
    this.calls.push({ end });
    yield { request_id: "begun" };
    await ended;
  }
}

/** A peer that speaks HTTP/2 and no more. */
async function sessionOf(test: TestContext, port: number): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  test.after(() => session.destroy());
  await once(session, "connect");
  return session;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

describe("a connection of the gRPC server", () => {
  it("is asked for signs of life again and again, and lives while they come", async (test) => {
    const wired = await Wired.open(test, { keepaliveMs: 20, keepaliveTimeoutMs: NEVER_MS });
    const session = await sessionOf(test, wired.port);
    // Another question comes only after an answer, which HTTP/2 gives by itself.
    for (let numAsked = 0; numAsked < 3; numAsked += 1) await once(session, "ping");
    assert.equal(session.closed, false);
  });

  it("may ask the server for signs of life as often as it likes", async (test) => {
    const wired = await Wired.open(test, {});
    const session = await sessionOf(test, wired.port);
    for (let numAnswered = 0; numAnswered < 2_000; numAnswered += 1) {
      await new Promise<void>((resolve, reject) => {
        session.ping((error) => (error === null ? resolve() : reject(error)));
      });
    }
    assert.equal(session.closed, false);
  });

  it("is cut when it asks for signs of life and reads none, and the server serves others", async (test) => {
    const wired = await Wired.open(test, {});
    const socket = connect(wired.port, "127.0.0.1").pause();
    socket.on("error", () => {});
    test.after(() => socket.destroy());
    socket.write(PREFACE);
    const pings = Buffer.concat(Array.from({ length: 10_000 }, () => PING));
    while (!socket.destroyed) {
      await new Promise<void>((resolve) => {
        socket.once("close", resolve);
        socket.write(pings, () => resolve());
      });
      socket.removeAllListeners("close");
    }
    assert.deepEqual((await wired.inference.tokenize({ text: "four" })).token_ids, [4]);
  });

  it("has so many calls at once, and the next begins when one of them ends", async (test) => {
    const wired = await Wired.open(test, { maxConcurrentCalls: 3 });
    const first = wired.generate();
    // The server says how many it takes with its first answer.
    await until(() => wired.calls.length === 1);
    const statuses = [first, ...Array.from({ length: 4 }, () => wired.generate())];
    await until(() => wired.calls.length === 3);
    // A call behind all of them waits too: had the others begun, it would have come after them.
    const tokenized = wired.inference.tokenize({ text: "four" }, { deadline: Date.now() + 60_000 });
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    assert.equal(wired.calls.length, 3);
    for (let ended = 0; ended < 5; ended += 1) {
      await until(() => wired.calls.length > ended);
      wired.calls[ended]!.end();
    }
    assert.deepEqual((await tokenized).token_ids, [4]);
    for (const status of statuses) assert.equal((await status).code, grpc.status.OK);
  });

  it("is closed when it has had no call for long, and the next call opens another", async (test) => {
    const wired = await Wired.open(test, { maxIdleMs: 100 });
    const ask = () => wired.inference.tokenize({ text: "four" }, { deadline: Date.now() + 60_000 });
    await ask();
    const first = wired.sockets.at(-1)!;
    await until(() => first.destroyed);
    assert.deepEqual((await ask()).token_ids, [4]);
    assert.notEqual(wired.sockets.at(-1), first);
  });

  it("takes no message larger than the server's limit, and goes on", async (test) => {
    const wired = await Wired.open(test, {});
    const options = { deadline: Date.now() + 60_000 };
    await assert.rejects(wired.inference.tokenize({ text: "x".repeat(2 << 20) }, options), (error: unknown) => {
      const { code, message } = fromGrpcStatus(error);
      assert.equal(code, "resource_exhausted");
      assert.match(message, /larger than max \(\d+ vs 1048576\)/);
      return true;
    });
    assert.deepEqual((await wired.inference.tokenize({ text: "four" }, options)).token_ids, [4]);
  });
});

// The model stands still, so that nothing ends by itself.
describe("a generation over gRPC", () => {
  async function standingStill(test: TestContext, limits: Partial<ConnectionLimits> = {}) {
    const { model, inference } = await openApi(test);
    model.pace = () => new Promise(() => {});
    return { model, wired: await Wired.open(test, limits, inference.generate) };
  }

  it("ends at its deadline", async (test) => {
    const { model, wired } = await standingStill(test);
    // On a busy machine a deadline may pass before its call is there.
    for (let deadlineMs = 100; model.specs.length === 0; deadlineMs *= 2) {
      assert.equal((await wired.generate(deadlineMs)).code, grpc.status.DEADLINE_EXCEEDED);
    }
    await until(() => model.numLive === 0);
  });

  it("ends when its caller leaves", async (test) => {
    const { model, wired } = await standingStill(test);
    const status = wired.generate();
    await until(() => model.numLive === 1);
    wired.cancel();
    assert.equal((await status).code, grpc.status.CANCELLED);
    await until(() => model.numLive === 0);
  });

  it("ends when its caller's machine is gone without a word", async (test) => {
    const { model, wired } = await standingStill(test, { keepaliveMs: 100, keepaliveTimeoutMs: 3_000 });
    void wired.generate();
    await until(() => model.numLive === 1);
    wired.goSilent();
    await until(() => model.numLive === 0);
  });
});
