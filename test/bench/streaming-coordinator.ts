import { fileURLToPath } from "node:url";
import { Coordinator } from "../../coordinator/coordinator.js";
import { parseClusterSpec } from "../../plans/cluster-spec.js";
import { systemClock } from "../../proto/clock.js";
import { createLogger } from "../../proto/log.js";
import { DEMO_MODEL } from "../paths.js";

/**
 * For streaming.ts: a coordinator as `moesaic up` runs it, with the demo model's tokenizer, for as many streams as it is told. Says its
 * address once it serves, and ends with the channel to its parent.
 */
const numStreams = Number(process.argv[2]);
const WORKER = fileURLToPath(new URL("./streaming-worker.js", import.meta.url));
const spec = {
  apiVersion: "moesaic.dev/v1",
  kind: "Cluster",
  metadata: { name: "streaming" },
  spec: {
    model: DEMO_MODEL,
    workers: [{ ranks: 1, device: "cpu" }],
    engine: { numBlocks: 150_000 },
    api: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" },
    scheduler: { maxSequences: numStreams, maxBatchedTokens: 16 * numStreams },
  },
};
const coordinator = await Coordinator.start({
  spec: parseClusterSpec(JSON.stringify(spec), "streaming"),
  engineChoices: [],
  baseDir: ".",
  workerCommand: (join, { launchId, joinToken }) => ({
    command: process.execPath,
    args: [WORKER, join, launchId, joinToken],
    env: process.env as Record<string, string>,
  }),
  dummySeed: 1,
  build: "bench",
  clock: systemClock,
  log: createLogger({ level: "warn" }),
});
await coordinator.whenReady();
process.once("disconnect", () => void coordinator.drain(0));
process.send?.({ endpoint: coordinator.grpcAddress });
