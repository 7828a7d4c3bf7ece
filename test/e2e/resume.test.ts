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
    const numRunning = async () => (await client.status()).replicas[0]!.scheduler!.numRunning;
    await eventually("nothing runs", async () => (await numRunning()) === 0);
  });
});
