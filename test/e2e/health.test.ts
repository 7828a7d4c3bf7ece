import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { protoPath } from "grpc-health-check";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually, RunningCluster } from "./moesaic.js";

interface HealthAnswer {
  status: string;
}

/** The standard health service, as Kubernetes and load balancers ask it. */
function healthOf(endpoint: string): grpc.Client & {
  check(request: object, callback: (error: grpc.ServiceError | null, answer: HealthAnswer) => void): void;
  watch(request: object): grpc.ClientReadableStream<HealthAnswer>;
} {
  const definition = grpc.loadPackageDefinition(loadSync(protoPath, { enums: String }));
  const { Health } = (definition as never as { grpc: { health: { v1: { Health: grpc.ServiceClientConstructor } } } })
    .grpc.health.v1;
  return new Health(endpoint, grpc.credentials.createInsecure()) as never;
}

describe("health", () => {
  it("is the same over gRPC and HTTP: while ranks are lost, when they are back, and when the cluster drains", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const client = healthOf(cluster.endpoint);
    test.after(() => client.close());
    const check = (): Promise<string> =>
      new Promise((resolve, reject) => {
        client.check({ service: "" }, (error, answer) => (error === null ? resolve(answer.status) : reject(error)));
      });
    const ready = async (): Promise<number> => (await fetch(`http://${cluster.http}/readyz`)).status;
    const watched: string[] = [];
    const stream = client.watch({ service: "" });
    stream.on("data", ({ status }: HealthAnswer) => watched.push(status)).on("error", () => {});
    await eventually("the watch has begun", () => watched.length === 1);
    assert.deepEqual([await check(), await ready()], ["SERVING", 200]);

    const [pid] = await cluster.workerPids();
    process.kill(pid!, "SIGKILL");
    await eventually("the loss and the recovery were told", () => watched.length >= 3);
    assert.deepEqual(watched, ["SERVING", "NOT_SERVING", "SERVING"]);
    await eventually("both say so", async () => (await check()) === "SERVING" && (await ready()) === 200);

    // Something runs, so that the drain takes a while.
    const events = cluster.client.generate({ tokenIds: [1, 2, 3], sampling: { maxTokens: 2_000, ignoreEos: true } });
    await events.next();
    const draining = cluster.client.drain();
    await eventually("the drain was told", () => watched.at(-1) === "NOT_SERVING");
    assert.equal(await ready(), 503);
    for await (const _ of events);
    await draining;
  });
});
