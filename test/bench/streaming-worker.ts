import { MAX_MESSAGE_BYTES } from "../../coordinator/coordinator.js";
import { systemClock } from "../../proto/clock.js";
import { createLogger } from "../../proto/log.js";
import { runWorker } from "../../worker/worker.js";
import { StreamingEngineFactory } from "./streaming-engine.js";

/** For streaming.ts: a rank as `moesaic worker` runs it, with the engine that costs next to nothing. */
const [, , join = "", launchId = "", joinToken = ""] = process.argv;
await runWorker({
  join,
  launchId,
  joinToken,
  engines: new StreamingEngineFactory(),
  build: "bench",
  maxMessageBytes: MAX_MESSAGE_BYTES,
  clock: systemClock,
  log: createLogger({ level: "warn" }),
  signal: new AbortController().signal,
});
