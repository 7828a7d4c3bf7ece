import * as grpc from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { systemClock } from "../../proto/clock.js";
import { fromGrpcStatus } from "../../proto/grpc-status.js";
import { silentLogger } from "../../proto/log.js";
import { v1 } from "../../proto/messages.js";
import { createClient, type Client } from "../../proto/rpc.js";
import { trustLoopback, type RequestContext } from "./request-context.js";
import { ApiServer, CONNECTION_LIMITS, type ConnectionLimits } from "./server.js";

/** A stream that ends when the test says so, or when its caller is gone. */
interface RunningCall {
  context: RequestContext;
  end: () => void;
}

/** A server, a client, and between them a wire that can be made to lose everything without a word. */
class Wired {
  readonly calls: RunningCall[] = [];
  readonly sockets: Socket[] = [];
  inference!: Client<v1.Inference>;
  readonly #nearSockets: Socket[] = [];
  readonly #streams: { cancel(): void }[] = [];

  static async open(test: TestContext, limits: Partial<ConnectionLimits>): Promise<Wired> {
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
      generate: (_, context) => wired.#run(context),
    });
    const port = await server.listen("127.0.0.1:0");
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
      for (const stream of wired.#streams) stream.cancel();
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
  generate(deadlineMs = 60_000): Promise<grpc.StatusObject> {
    const stream = this.inference.generate({}, { deadline: Date.now() + deadlineMs });
    stream.on("data", () => {}).on("error", () => {});
    this.#streams.push(stream);
    return new Promise((resolve) => stream.on("status", resolve));
  }

  async *#run(context: RequestContext): AsyncGenerator<v1.GenerateEvent.$Properties> {
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
      context.signal.addEventListener("abort", () => resolve());
    });
    this.calls.push({ context, end });
    yield { request_id: "begun" };
    await ended;
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

describe("a connection of the gRPC server", () => {
  it("is given up when its peer is silent, and its calls are cancelled", async (test) => {
    const wired = await Wired.open(test, { keepaliveMs: 100, keepaliveTimeoutMs: 100 });
    void wired.generate().catch(() => {});
    await until(() => wired.calls.length === 1);
    const { signal } = wired.calls[0]!.context;
    // The client answers each question meanwhile.
    await new Promise((resolve) => {
      setTimeout(resolve, 500);
    });
    assert.equal(signal.aborted, false);
    wired.goSilent();
    await until(() => signal.aborted);
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
    await until(() => wired.sockets[0]!.destroyed);
    assert.deepEqual((await ask()).token_ids, [4]);
    assert.equal(wired.sockets.length, 2);
  });

  it("ends a call at its deadline, on both sides", async (test) => {
    const wired = await Wired.open(test, {});
    const { code } = await wired.generate(300);
    assert.equal(code, grpc.status.DEADLINE_EXCEEDED);
    await until(() => wired.calls.length === 1 && wired.calls[0]!.context.signal.aborted);
  });

  it("takes no message larger than the server's limit, and goes on", async (test) => {
    const wired = await Wired.open(test, {});
    const options = { deadline: Date.now() + 60_000 };
    await assert.rejects(wired.inference.tokenize({ text: "x".repeat(2 << 20) }, options), (error: unknown) => {
      assert.equal(fromGrpcStatus(error).code, "resource_exhausted");
      return true;
    });
    assert.deepEqual((await wired.inference.tokenize({ text: "four" }, options)).token_ids, [4]);
  });
});
