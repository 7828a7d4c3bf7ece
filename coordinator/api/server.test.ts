import * as grpc from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { systemClock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import { fromGrpcStatus } from "../../proto/grpc-status.js";
import { silentLogger } from "../../proto/log.js";
import { v1 } from "../../proto/messages.js";
import { createClient, type Client } from "../../proto/rpc.js";
import { createRequestContext, loopbackOrJoinToken, trustLoopback, type RequestContext } from "./request-context.js";
import { ApiServer } from "./server.js";

/** A real server and a real client on loopback; the handlers are the test's. */
describe("ApiServer", () => {
  const server = new ApiServer({
    clock: systemClock,
    log: silentLogger,
    authenticate: trustLoopback,
    maxMessageBytes: 1 << 20,
  });
  let channel: grpc.Client;
  let inference: Client<v1.Inference>;
  let lastContext: RequestContext | null = null;
  let numYielded = 0;

  before(async () => {
    server.addService(v1.Inference, {
      tokenize: async (request, context) => {
        lastContext = context;
        if (request.text === "bad") throw new MoesaicError("invalid_argument", "no good", { place: "text" });
        if (request.text === "bug") throw new TypeError("x is undefined");
        return { token_ids: [request.text?.length ?? 0] };
      },
      async *generate(_request, context) {
        lastContext = context;
        for (numYielded = 0; numYielded < 100_000; numYielded += 1) {
          yield { request_id: "x".repeat(1000), offset: numYielded };
          if (numYielded % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
      },
    });
    const port = await server.listen("127.0.0.1:0");
    channel = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    inference = createClient(v1.Inference, channel);
  });

  after(async () => {
    channel.close();
    await server.close(0);
  });

  it("hands the request and a context to the handler, and its value back", async () => {
    const metadata = new grpc.Metadata();
    metadata.set("traceparent", "00-1-2-01");
    const response = await inference.tokenize({ text: "four" }, { deadline: Date.now() + 60_000 }, metadata);
    assert.deepEqual(response.token_ids, [4]);
    assert.equal(lastContext?.identity, "local");
    assert.equal(lastContext?.traceparent, "00-1-2-01");
    const remainingMs = (lastContext?.deadlineMs ?? 0) - systemClock.nowMs();
    assert.ok(remainingMs > 50_000 && remainingMs < 61_000, `${remainingMs}`);
  });

  it("lets a caller on this machine name its tenant, and refuses what is no name", async () => {
    const callAs = (tenant: string | null): Promise<unknown> => {
      const metadata = new grpc.Metadata();
      if (tenant !== null) metadata.set("moesaic-tenant", tenant);
      return inference.tokenize({ text: "x" }, {}, metadata);
    };
    await callAs("team-a");
    assert.equal(lastContext?.tenant, "team-a");
    await callAs(null);
    assert.equal(lastContext?.tenant, "default");
    for (const bad of ["a b", "", "x".repeat(65)]) {
      const error = await callAs(bad).then(unexpected, fromGrpcStatus);
      assert.deepEqual([error.code, error.place], ["invalid_argument", "moesaic-tenant"], bad);
    }
  });

  it("turns thrown errors into statuses with code, message and place", async () => {
    const error = await inference.tokenize({ text: "bad" }).then(unexpected, fromGrpcStatus);
    assert.deepEqual([error.code, error.message, error.place], ["invalid_argument", "no good", "text"]);
  });

  it("answers internal for a bug of ours and lives on", async () => {
    const error = await inference.tokenize({ text: "bug" }).then(unexpected, fromGrpcStatus);
    assert.equal(error.code, "internal");
    assert.deepEqual((await inference.tokenize({ text: "x" })).token_ids, [1]);
  });

  it("answers unimplemented for a method without a handler", async () => {
    const error = await inference.listModels({}).then(unexpected, fromGrpcStatus);
    assert.equal(error.code, "unimplemented");
  });

  it("asks the handler for no more than the client takes, and aborts it when the client leaves", async () => {
    const stream = inference.generate({});
    stream.on("error", () => {});
    await new Promise((resolve) => stream.once("data", resolve));
    stream.pause();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const whilePaused = numYielded;
    assert.ok(whilePaused < 50_000, `the handler ran ahead to ${whilePaused}`);
    stream.cancel();
    await new Promise((resolve) => lastContext!.signal.addEventListener("abort", resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const afterCancel = numYielded;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(numYielded, afterCancel);
  });
});

describe("ApiServer's door", () => {
  it("refuses callers before their message is read, at services of other libraries too", async () => {
    let isOpen = false;
    let numServed = 0;
    const authenticate = (peer: string, metadata: grpc.Metadata) => {
      if (isOpen) return trustLoopback(peer, metadata);
      throw new MoesaicError("failed_precondition", "no entry", { place: "door" });
    };
    const server = new ApiServer({ clock: systemClock, log: silentLogger, authenticate, maxMessageBytes: 1 << 10 });
    server.addService(v1.Inference, { tokenize: async () => ({ token_ids: [(numServed += 1)] }) });
    server.addService(v1.Rank, { attach: (stream) => stream.end() });
    new HealthImplementation({ "": "SERVING" }).addToServer(server.raw);
    const channel = new grpc.Client(
      `127.0.0.1:${await server.listen("127.0.0.1:0")}`,
      grpc.credentials.createInsecure(),
    );
    try {
      const refused = ({ code, message, place }: MoesaicError) => [code, message, place];
      const expected = ["failed_precondition", "no entry", "door"];
      const inference = createClient(v1.Inference, channel);
      // Larger than the server takes: had it been read, the answer were another.
      const tokenize = () => inference.tokenize({ text: "x".repeat(4_000) }).then(unexpected, fromGrpcStatus);
      assert.deepEqual(refused(await tokenize()), expected);
      const attached = createClient(v1.Rank, channel).attach();
      attached.resume();
      assert.deepEqual(refused(fromGrpcStatus((await once(attached, "error"))[0])), expected);
      const check = () => checkHealth(channel);
      assert.deepEqual(refused(await check().then(unexpected, fromGrpcStatus)), expected);
      assert.equal(numServed, 0);
      isOpen = true;
      assert.equal((await tokenize()).code, "resource_exhausted");
      assert.ok((await check()).length > 0);
      assert.deepEqual((await inference.tokenize({ text: "x" })).token_ids, [1]);
    } finally {
      channel.close();
      await server.close(0);
    }
  });
});

/** Without the library's types: an empty request asks for the whole server. */
function checkHealth(channel: grpc.Client): Promise<Buffer> {
  const raw = (bytes: Buffer) => bytes;
  return new Promise((resolve, reject) => {
    channel.makeUnaryRequest("/grpc.health.v1.Health/Check", raw, raw, Buffer.alloc(0), (error, response) =>
      error === null ? resolve(response ?? Buffer.alloc(0)) : reject(error),
    );
  });
}

function unexpected(): never {
  throw new Error("expected the call to fail");
}

describe("createRequestContext", () => {
  const call = (facts: { method?: string; peer?: string }) => ({
    method: facts.method ?? "/moesaic.v1.Inference/Generate",
    peer: facts.peer ?? "127.0.0.1:5",
    metadata: new grpc.Metadata(),
    deadline: Infinity,
    signal: new AbortController().signal,
  });

  it("denies an RPC that has no role assigned", () => {
    const create = () => createRequestContext(call({ method: "/moesaic.v1.Cluster/New" }), trustLoopback, systemClock);
    assert.throws(create, { code: "failed_precondition" });
  });

  it("denies a caller who lacks the role", () => {
    const guest = () => ({ identity: "guest", tenant: "t", roles: new Set<"user">(["user"]) });
    const create = () => createRequestContext(call({ method: "/moesaic.v1.Cluster/Drain" }), guest, systemClock);
    assert.throws(create, { code: "failed_precondition", message: /guest does not have the role admin/ });
  });

  it("denies callers from other machines as long as there is no security", () => {
    for (const peer of ["10.0.0.7:1", "[2001:db8::1]:1", "::1234:5", "::10.0.0.7:5", "unknown", "127.evil:1"]) {
      assert.throws(() => createRequestContext(call({ peer }), trustLoopback, systemClock), {
        code: "failed_precondition",
      });
    }
  });

  it("knows the machine's own callers by any address of loopback", () => {
    for (const peer of ["127.0.0.1:1", "127.3.2.1:1", "::1:5", "[::1]:5", "::ffff:127.0.0.1:5"]) {
      assert.equal(createRequestContext(call({ peer }), trustLoopback, systemClock).identity, "local");
    }
  });

  it("lets who presents the join token be a rank from anywhere, and nothing else", () => {
    const authenticate = loopbackOrJoinToken("secret");
    const create = (method: string, token?: string) => {
      const facts = call({ method, peer: "10.0.0.7:1" });
      if (token !== undefined) facts.metadata.set("moesaic-join-token", token);
      return createRequestContext(facts, authenticate, systemClock);
    };
    const attach = "/moesaic.v1.Rank/Attach";
    assert.deepEqual([...create(attach, "secret").roles], ["rank"]);
    const refused = (message: RegExp) => ({ code: "failed_precondition", message });
    assert.throws(() => create(attach), refused(/presents no join token/));
    assert.throws(() => create(attach, "guess"), refused(/not this cluster's/));
    assert.throws(() => create("/moesaic.v1.Inference/Generate", "secret"), refused(/does not have the role user/));
    assert.ok(createRequestContext(call({}), authenticate, systemClock).roles.has("admin"));
  });

  it("knows no deadline as Infinity", () => {
    assert.equal(createRequestContext(call({}), trustLoopback, systemClock).deadlineMs, Infinity);
  });
});
