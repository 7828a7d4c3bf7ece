import * as grpc from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { MoesaicError } from "../proto/errors.js";
import { toGrpcStatus } from "../proto/grpc-status.js";
import { v1 } from "../proto/messages.js";
import { serviceDefinition } from "../proto/rpc.js";
import { MoesaicClient } from "./client.js";
import type { GenerateEvent } from "./generate-event.js";

type Stream = grpc.ServerWritableStream<v1.GenerateRequest, v1.GenerateEvent.$Properties>;
const { REASONING, CONTENT, TOOL_CALL } = v1.TextDelta.Kind;

/** A real client against a gRPC server whose answers the test writes. */
describe("MoesaicClient", () => {
  const server = new grpc.Server();
  let client: MoesaicClient;
  let endpoint = "";
  let answer: (stream: Stream) => void = () => {};
  let numCalls = 0;
  let numTokenizeFailures = 0;

  before(async () => {
    server.addService(serviceDefinition(v1.Inference), {
      generate: (stream: Stream) => {
        numCalls += 1;
        answer(stream);
      },
      tokenize: (call: grpc.ServerUnaryCall<v1.TokenizeRequest, object>, callback: grpc.sendUnaryData<object>) => {
        numCalls += 1;
        if (numTokenizeFailures-- > 0) callback(toGrpcStatus(new MoesaicError("unavailable", "not ready")));
        else callback(null, { token_ids: [call.request.text?.length ?? 0] });
      },
    });
    server.addService(serviceDefinition(v1.Cluster), {
      status: (_call: unknown, callback: grpc.sendUnaryData<object>) =>
        callback(null, { state: "ready", replicas: [{ scheduler: { num_running: 2 }, ranks: [{ rank: 0 }] }] }),
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    endpoint = `127.0.0.1:${port}`;
    client = new MoesaicClient({ endpoint });
  });

  beforeEach(() => {
    numCalls = 0;
  });

  after(() => {
    client.close();
    server.forceShutdown();
  });

  it("collects the choices of a request in the order of their number", async () => {
    answer = (stream) => {
      stream.write({ choice: 1, started: { model: "m", prompt_token_ids: [1, 2] } });
      stream.write({ choice: 1, delta: { token_ids: [5], text: [{ kind: REASONING, text: "hm" }] } });
      stream.write({ choice: 0, started: { model: "m", prompt_token_ids: [1, 2] } });
      const call = { kind: TOOL_CALL, tool_call_id: "c", tool_name: "f" };
      stream.write({ choice: 0, delta: { token_ids: [6], text: [{ ...call, text: "{" }] } });
      stream.write({ choice: 0, delta: { token_ids: [7], text: [{ ...call, text: "}" }] } });
      stream.write({ choice: 1, delta: { token_ids: [8], text: [{ kind: CONTENT, text: "yes" }] } });
      stream.write({ choice: 1, finish: { reason: "stop", stop_token_id: 0, usage: { completion_tokens: 2 } } });
      stream.write({ choice: 0, finish: { reason: "error", error: { code: "unavailable", message: "lost" } } });
      stream.end();
    };
    const { model, promptTokenIds, choices } = await client.complete({ prompt: "a" });
    assert.deepEqual({ model, promptTokenIds }, { model: "m", promptTokenIds: [1, 2] });
    assert.deepEqual(choices[0]!.toolCalls, [{ id: "c", name: "f", arguments: "{}" }]);
    assert.deepEqual(choices[0]!.tokenIds, [6, 7]);
    assert.equal(choices[0]!.error?.code, "unavailable");
    const { text, reasoning, finishReason, stopTokenId, usage } = choices[1]!;
    assert.deepEqual(
      { text, reasoning, finishReason, stopTokenId },
      { text: "yes", reasoning: "hm", finishReason: "stop", stopTokenId: 0 },
    );
    assert.equal(usage.completionTokens, 2);
  });

  it("sends what was asked, and leaves out what was not", async () => {
    let request: v1.GenerateRequest | null = null;
    answer = (stream) => {
      request = stream.request;
      stream.end();
    };
    const sampling = { temperature: 0, seed: 2 ** 53 - 1, stop: ["x"], logitBias: { 7: -1 } };
    const messages = [
      { role: "assistant" as const, content: "", toolCalls: [{ id: "1", name: "f", arguments: "{}" }] },
    ];
    const tools = [{ name: "f", parameters: { type: "object" } }];
    await drain(client.generate({ messages, tools, sampling, requestId: "r", priority: -1 }));
    const sent = v1.GenerateRequest.toObject(request!) as v1.GenerateRequest.$Properties;
    assert.deepEqual(sent.sampling, { temperature: 0, seed: 2 ** 53 - 1, stop: ["x"], logit_bias: { 7: -1 } });
    assert.equal(sent.chat?.tools?.[0]?.parameters_json, '{"type":"object"}');
    assert.equal(sent.chat?.messages?.[0]?.tool_calls?.[0]?.name, "f");
    assert.deepEqual({ id: sent.request_id, priority: sent.priority }, { id: "r", priority: -1 });
  });

  it("names its tenant in every call, and refuses what is no name", async () => {
    const tenants: unknown[] = [];
    answer = (stream) => {
      tenants.push(stream.metadata.get("moesaic-tenant"));
      stream.end();
    };
    const named = new MoesaicClient({ endpoint, tenant: "team-a" });
    await drain(named.generate({ prompt: "a" }));
    await drain(client.generate({ prompt: "a" }));
    named.close();
    assert.deepEqual(tenants, [["team-a"], []]);
    assert.throws(() => new MoesaicClient({ endpoint, tenant: "a b" }), { code: "invalid_argument" });
  });

  it("refuses numbers that the wire would change", async () => {
    const refused = { code: "invalid_argument" };
    await assert.rejects(drain(client.generate({ tokenIds: [1.5] })), refused);
    await assert.rejects(drain(client.generate({ prompt: "a", sampling: { maxTokens: 2 ** 31 } })), refused);
    await assert.rejects(drain(client.generate({ prompt: "a", sampling: { seed: -1 } })), refused);
    assert.equal(numCalls, 0);
  });

  it("tries again while the server is unavailable and nothing has come yet", async () => {
    answer = (stream) => {
      if (numCalls < 3) return fail(stream, new MoesaicError("unavailable", "not ready", { retryAfterMs: 1 }));
      stream.write({ started: {} });
      stream.end();
    };
    assert.deepEqual(
      (await drain(client.generate({ prompt: "a" }))).map(({ type }) => type),
      ["started"],
    );
    assert.equal(numCalls, 3);
    numTokenizeFailures = 2;
    assert.deepEqual(await client.tokenize({ text: "four" }), [4]);
  });

  it("gives up after five attempts", async () => {
    answer = (stream) => fail(stream, new MoesaicError("unavailable", "not ready", { retryAfterMs: 1 }));
    await assert.rejects(drain(client.generate({ prompt: "a" })), { code: "unavailable", message: "not ready" });
    assert.equal(numCalls, 5);
  });

  it("never tries again after the first event, nor what another attempt would not mend", async () => {
    answer = (stream) => {
      stream.write({ started: {} });
      fail(stream, new MoesaicError("unavailable", "lost"));
    };
    await assert.rejects(drain(client.generate({ prompt: "a" })), { code: "unavailable" });
    assert.equal(numCalls, 1);
    answer = (stream) => fail(stream, new MoesaicError("invalid_argument", "no", { place: "sampling" }));
    await assert.rejects(drain(client.generate({ prompt: "a" })), { code: "invalid_argument", place: "sampling" });
    assert.equal(numCalls, 2);
  });

  it("cancels the call when its caller leaves the loop, and when the signal is aborted", async () => {
    let numCancelled = 0;
    let onCancelled = () => {};
    answer = (stream) => {
      stream.on("cancelled", () => {
        numCancelled += 1;
        onCancelled();
      });
      stream.write({ started: {} });
    };
    const seen = () => new Promise<void>((resolve) => (onCancelled = resolve));
    const left = seen();
    for await (const event of client.generate({ prompt: "a" })) {
      assert.equal(event.type, "started");
      break;
    }
    await left;
    const aborted = seen();
    const aborter = new AbortController();
    const stream = client.generate({ prompt: "a" }, { signal: aborter.signal });
    await stream.next();
    aborter.abort();
    await assert.rejects(stream.next(), { code: "cancelled" });
    await aborted;
    await assert.rejects(client.complete({ prompt: "a" }, { signal: aborter.signal }), { code: "cancelled" });
    assert.deepEqual({ numCancelled, numCalls }, { numCancelled: 2, numCalls: 2 });
  });

  it("ends a call at its time limit", async () => {
    answer = () => {};
    await assert.rejects(client.complete({ prompt: "a" }, { timeoutMs: 50 }), { code: "deadline_exceeded" });
  });

  it("makes a server wait for a slow reader", async () => {
    const size = 64 * 1024;
    const numEvents = 400;
    let numWritten = 0;
    let isStalled = false;
    answer = (stream) => {
      const writeOn = () => {
        while (numWritten < numEvents) {
          numWritten += 1;
          if (stream.write({ request_id: "x".repeat(size), started: {} })) continue;
          isStalled = true;
          stream.once("drain", writeOn);
          return;
        }
        stream.end();
      };
      writeOn();
    };
    const stream = client.generate({ prompt: "a" });
    await stream.next();
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    assert.ok(
      isStalled && numWritten < numEvents / 2,
      `${numWritten} of ${numEvents} events were taken from the server`,
    );
    assert.equal((await drain(stream)).length, numEvents - 1);
  });

  it("fills in what a status left at its default", async () => {
    const { replicas, state, reason } = await client.status();
    assert.deepEqual({ state, reason }, { state: "ready", reason: "" });
    assert.equal(replicas[0]!.scheduler?.numRunning, 2);
    assert.equal(replicas[0]!.scheduler?.numPreemptions, 0);
    assert.deepEqual(replicas[0]!.ranks[0]!.collectives, []);
    assert.equal(replicas[0]!.ranks[0]!.arenas, null);
  });

  it("says which address does not answer", async () => {
    const nobody = new MoesaicClient({ endpoint: "127.0.0.1:1" });
    const message =
      /no coordinator answers at 127\.0\.0\.1:1 \(connect ECONNREFUSED 127\.0\.0\.1:1\): is it running there\? Start one/;
    await assert.rejects(nobody.status({ timeoutMs: 20_000 }), { code: "unavailable", message });
    nobody.close();
  });
});

async function drain(events: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const all: GenerateEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

function fail(stream: Stream, error: MoesaicError): void {
  stream.emit("error", Object.assign(new Error(error.message), toGrpcStatus(error)));
}
