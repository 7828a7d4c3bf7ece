import { dirname } from "node:path";
import type { Coordinator } from "../coordinator/coordinator.js";
import { MoesaicError } from "../proto/errors.js";
import { defineCommand, type ExitCode } from "./command.js";
import type { CommandContext } from "./context.js";
import { loaded, startCoordinator } from "./local-cluster.js";
import { startOpenTelemetry } from "./open-telemetry.js";
import { JSON_OPTION, wholeNumber } from "./options.js";
import { readClusterSpec } from "./text-file.js";

export const upCommand = defineCommand({
  usage: "up <file>",
  describe: "launch the cluster of a YAML file and stay; Ctrl-C drains",
  positionals: { file: { describe: "cluster file" } },
  options: {
    ...JSON_OPTION,
    "grace-ms": {
      ...wholeNumber("grace-ms", "longest wait for running requests when it ends, milliseconds", 0, 2 ** 31 - 1),
      default: "30000",
    },
  },
  examples: [
    ["up cluster.yaml", "launch and stay"],
    ["up cluster.yaml --json", "one JSON line per event; the event ready has the addresses"],
  ],
  logLevel: "info",
  parse: (args, { file }) => ({ file: String(file), graceMs: Number(args["grace-ms"]) }),
  async run({ file, graceMs }, context) {
    context.out.onClosed = () => {}; // A cluster goes on when nobody reads its events.
    const spec = await readClusterSpec(file);
    const telemetry = await startOpenTelemetry(context.env);
    const coordinator = await startCoordinator(spec, dirname(file), context, telemetry?.tracer);
    try {
      return await serve(coordinator, context);
    } finally {
      await coordinator.drain(graceMs);
      await telemetry?.stop();
      await tell(context, { event: "stopped" }, "stopped");
    }
  },
});

/** Until somebody ends it; throws when the cluster cannot go on. */
async function serve(coordinator: Coordinator, context: CommandContext): Promise<ExitCode> {
  const { signal } = context;
  const { grpcAddress: grpc, httpAddress: http } = coordinator;
  try {
    await loaded(coordinator, context);
  } catch (caught) {
    if (signal.aborted) return 0;
    throw MoesaicError.from(caught);
  }
  const ready = { event: "ready", grpc, http, pid: process.pid };
  await tell(context, ready, `ready: gRPC ${grpc}, HTTP http://${http}; Ctrl-C drains`);
  const failure = await Promise.race([coordinator.failed, coordinator.drainRequested, ended(signal)]);
  if (failure instanceof MoesaicError) throw failure;
  await tell(context, { event: "draining" }, "draining: running requests are finished, new ones refused");
  return 0;
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function tell({ json, out }: CommandContext, event: Record<string, unknown>, text: string): Promise<void> {
  return json ? out.json(event) : out.line(text);
}
