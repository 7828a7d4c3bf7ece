import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { describe, it } from "node:test";
import { MoesaicClient, type GenerateEvent } from "../../client/index.js";
import { eventually, RunningCluster } from "./moesaic.js";

/** Between client and coordinator: cuts every connection when it is told to. */
class CutLink {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(target: string) {
    const port = Number(target.slice(target.lastIndexOf(":") + 1));
    this.#server = createServer((near) => {
      const far = connect(port, "127.0.0.1");
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on("error", () => {}).on("close", () => to.destroy());
        from.pipe(to);
      }
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }
}

describe("a stream that is cut", () => {
  it("goes on by itself where the request is resumable, and no token is lost or comes twice", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const link = new CutLink(cluster.endpoint);
    const client = new MoesaicClient({ endpoint: await link.listen() });
    test.after(() => {
      client.close();
      link.close();
    });
    const request = { tokenIds: [1, 2, 3], sampling: { temperature: 0, ignoreEos: true, maxTokens: 200, n: 2 } };
    const undisturbed = await cluster.client.complete(request);
    const events: GenerateEvent[] = [];
    for await (const event of client.generate({ ...request, resumable: true })) {
      events.push(event);
      if ([50, 150, 250].includes(events.length)) link.cut();
    }
    for (const { choice, tokenIds } of undisturbed.choices.map((made, choice) => ({ ...made, choice }))) {
      const own = events.filter((event) => event.choice === choice);
      assert.deepEqual(
        own.flatMap((event) => (event.type === "delta" ? event.tokenIds : [])),
        tokenIds,
      );
      assert.deepEqual(
        own.map(({ offset }) => offset),
        own.map((_, index) => index + 1),
      );
    }
  });

  it("frees a resumable request at once when its reader leaves the loop", async (test) => {
    const { client } = await RunningCluster.launch(test);
    const endless = { tokenIds: [1, 2, 3], sampling: { ignoreEos: true, temperature: 0 }, resumable: true };
    for await (const event of client.generate(endless)) if (event.type === "delta") break;
    await eventually("nothing runs", async () => (await numRunning(client)) === 0);
  });

  it("is read by two clients where both send one id and one request, which is generated once", async (test) => {
    const { client } = await RunningCluster.launch(test);
    const request = { ...LONG, requestId: "key", resumable: true };
    const first = client.generate(request);
    await firstDelta(first);
    const second = client.generate(request);
    await firstDelta(second);
    assert.equal(await numRunning(client), 1);
    await assert.rejects(client.complete({ ...request, priority: 1 }), {
      code: "failed_precondition",
      place: "request_id",
    });
    // Who leaves says that the request is not wanted any more: the other hears so at once, and does not wait.
    await first.return();
    assert.equal(await finishOf(second), "abort");
    await eventually("nothing runs", async () => (await numRunning(client)) === 0);
  });

  it("stays its own where it is not resumable: two requests of one id are generated twice", async (test) => {
    const { client } = await RunningCluster.launch(test);
    const first = client.generate({ ...LONG, requestId: "label" });
    const second = client.generate({ ...LONG, requestId: "label", sampling: { ...LONG.sampling, maxTokens: 300 } });
    await Promise.all([firstDelta(first), firstDelta(second)]);
    assert.equal(await numRunning(client), 2);
    await first.return();
    assert.equal(await finishOf(second), "length");
  });
});

const LONG = { tokenIds: [1, 2, 3], sampling: { ignoreEos: true, temperature: 0 } };

/** Reads on until tokens have come. */
async function firstDelta(events: AsyncGenerator<GenerateEvent>): Promise<void> {
  for (;;) {
    const { value, done } = await events.next();
    if (done || value.type === "delta") return;
  }
}

/** Reads to the end. @returns why it ended, null where nothing said so */
async function finishOf(events: AsyncGenerator<GenerateEvent>): Promise<string | null> {
  let reason: string | null = null;
  for await (const event of events) if (event.type === "finish") reason = event.reason;
  return reason;
}

async function numRunning(client: MoesaicClient): Promise<number> {
  return (await client.status()).replicas[0]!.scheduler!.numRunning;
}
