import { native } from "../native/index.js";
import { MAX_MESSAGE_BYTES } from "../coordinator/coordinator.js";
import { systemClock } from "../proto/clock.js";
import { NativeEngineFactory } from "../worker/native-engine.js";
import { runWorker } from "../worker/worker.js";
import { defineCommand } from "./command.js";
import { packageVersion, type CommandContext } from "./context.js";
import { text, wholeNumber } from "./options.js";
import { LAUNCH_ID_VARIABLE } from "./worker-command.js";

/** Longest wait for a coordinator to be reachable: it may be starting at the same time. */
const JOIN_TIMEOUT_MS = 30_000;

export const workerCommand = defineCommand({
  usage: "worker",
  describe: "run one rank that joins a coordinator",
  options: {
    join: { ...text("address HOST:PORT of the coordinator's gRPC API"), demandOption: true },
    threads: wholeNumber("threads", "threads of the engine (default: the cores of this machine)", 1, 1_024),
  },
  examples: [["worker --join 127.0.0.1:50051", "join a coordinator of this machine with all cores"]],
  logLevel: "info",
  parse: ({ join, threads }) => ({ join, threads }),
  async run({ join, threads }, context) {
    await runWorker({
      join,
      joinTimeoutMs: JOIN_TIMEOUT_MS,
      engines: new NativeEngineFactory(threads ?? native.deviceProperties().numCores),
      build: packageVersion(),
      maxMessageBytes: MAX_MESSAGE_BYTES,
      clock: systemClock,
      log: context.log.child({ process: "worker" }),
      signal: leaveSignal(context),
    });
    return 0;
  },
});

/** A launched worker outlives the terminal's Ctrl-C: it has to finish what runs and leaves when its coordinator says so. */
function leaveSignal({ signal, env }: CommandContext): AbortSignal {
  if (env[LAUNCH_ID_VARIABLE] === undefined) return signal;
  const leave = new AbortController();
  signal.addEventListener("abort", () => {
    if (signal.reason !== "SIGINT") leave.abort(signal.reason);
  });
  return leave.signal;
}
