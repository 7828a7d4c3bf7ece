import type { DeviceKind } from "../native/binding.js";
import { native } from "../native/index.js";
import { MAX_MESSAGE_BYTES } from "../coordinator/coordinator.js";
import type { Bus } from "../proto/bus/bus.js";
import { openBus } from "../proto/bus/open-bus.js";
import { systemClock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { NativeEngineFactory } from "../worker/native-engine.js";
import type { Logger } from "../proto/log.js";
import { runWorker, type WorkerOptions } from "../worker/worker.js";
import { defineCommand } from "./command.js";
import { packageVersion, type CommandContext } from "./context.js";
import { text, wholeNumber } from "./options.js";
import { JOIN_TOKEN_VARIABLE, LAUNCH_ID_VARIABLE } from "./worker-command.js";

/** Where a worker finds its coordinator. */
type Meeting = { join: string; bus?: undefined } | { bus: string; credentialsFile: string | null; clusterName: string };

export const workerCommand = defineCommand({
  usage: "worker",
  describe: "run one rank that joins a coordinator",
  options: {
    join: text("address HOST:PORT of the coordinator's gRPC API"),
    bus: text("NATS server nats://HOST:PORT or tls://HOST:PORT on which the coordinator is announced"),
    "bus-credentials": text("file with the NATS credentials, with --bus; spec.bus.credentialsFile of the cluster file"),
    cluster: text("name of the cluster to join, with --bus"),
    threads: wholeNumber("threads", "threads of the engine (default: the cores of this machine)", 1, 1_024),
    device: { choices: ["cpu", "cuda"], default: "cpu", requiresArg: true, describe: "where the rank runs" },
  },
  examples: [
    ["worker --join 127.0.0.1:50051", "join a coordinator of this machine with all cores"],
    ["worker --bus nats://10.0.0.5:4222 --cluster chat", "join the cluster chat, wherever its coordinator runs"],
    ["worker --bus tls://10.0.0.5:4222 --bus-credentials nats.creds --cluster chat", "on a bus that wants credentials"],
  ],
  logLevel: "info",
  parse: (args) => ({ meeting: meetingOf(args), threads: args.threads, device: deviceKindOf(args.device) }),
  async run({ meeting, threads, device }, context) {
    const log = context.log.child({ process: "worker" });
    const { join, bus } = await openMeeting(meeting, log);
    try {
      await runWorker({
        join,
        ...secretsOf(context),
        engines: new NativeEngineFactory(threads ?? native.deviceProperties().numCores, device),
        build: packageVersion(),
        maxMessageBytes: MAX_MESSAGE_BYTES,
        clock: systemClock,
        log,
        signal: leaveSignal(context),
      });
    } finally {
      await bus?.close();
    }
    return 0;
  },
});

/** The flag's choices are checked by then. */
function deviceKindOf(device: string): DeviceKind {
  return device === "cuda" ? "cuda" : "cpu";
}

/** @throws MoesaicError invalid_argument unless one way to find a coordinator is given, with what it needs */
function meetingOf(args: {
  join?: string | undefined;
  bus?: string | undefined;
  "bus-credentials"?: string | undefined;
  cluster?: string | undefined;
}): Meeting {
  const { join, bus, "bus-credentials": credentialsFile, cluster } = args;
  if ((join === undefined) === (bus === undefined)) {
    throw new MoesaicError("invalid_argument", "expected one of --join HOST:PORT and --bus nats://HOST:PORT");
  }
  if ((bus === undefined) !== (cluster === undefined)) {
    const message = "expected --bus and --cluster together: the bus says where the coordinator of that cluster is";
    throw new MoesaicError("invalid_argument", message);
  }
  if (bus === undefined && credentialsFile !== undefined) {
    throw new MoesaicError(
      "invalid_argument",
      "--bus-credentials is for --bus; leave it out, or give --bus and --cluster",
    );
  }
  if (join !== undefined) return { join };
  return { bus: busUrlOf(bus ?? ""), credentialsFile: credentialsFile ?? null, clusterName: cluster ?? "" };
}

/** The embedded bus ends with its process: a worker could find nobody on it. */
function busUrlOf(url: string): string {
  if (/^(nats|tls):\/\/\S+$/.test(url)) return url;
  throw new MoesaicError(
    "invalid_argument",
    `--bus: expected nats://HOST:PORT or tls://HOST:PORT, got ${url.slice(0, 80)}`,
  );
}

async function openMeeting(meeting: Meeting, log: Logger): Promise<{ join: WorkerOptions["join"]; bus: Bus | null }> {
  if (meeting.bus === undefined) return { join: meeting.join, bus: null };
  const bus = await openBus({ url: meeting.bus, credentialsFile: meeting.credentialsFile, clientName: "worker" }, log);
  return { join: { bus, clusterName: meeting.clusterName }, bus };
}

/** What the coordinator that launched this worker, or the operator, put into the environment. */
function secretsOf({ env }: CommandContext): { launchId?: string; joinToken?: string } {
  const [launchId, joinToken] = [env[LAUNCH_ID_VARIABLE], env[JOIN_TOKEN_VARIABLE]];
  return { ...(launchId === undefined ? {} : { launchId }), ...(joinToken === undefined ? {} : { joinToken }) };
}

/** A launched worker outlives the terminal's Ctrl-C: it has to finish what runs and leaves when its coordinator says so. */
function leaveSignal({ signal, env }: CommandContext): AbortSignal {
  if (env[LAUNCH_ID_VARIABLE] === undefined) return signal;
  const leave = new AbortController();
  signal.addEventListener("abort", () => {
    if (signal.reason !== "SIGINT") leave.abort(signal.reason);
  });
  return leave.signal;
}
