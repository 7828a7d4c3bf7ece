import { randomUUID } from "node:crypto";
import type { WorkerCommand } from "../coordinator/cluster/worker-launcher.js";
import type { ClusterSpec } from "../plans/cluster-spec.js";
import { MAIN_FILE, type CommandContext } from "./context.js";

/** Set for workers that a coordinator launched: it decides when they leave, not a Ctrl-C that reaches the whole terminal. */
export const LAUNCH_ID_VARIABLE = "MOESAIC_LAUNCH_ID";

/** How the local workers of a cluster are started: this program again, as `moesaic worker`. */
export function workerCommandOf({ spec }: ClusterSpec, context: CommandContext): (join: string) => WorkerCommand {
  const threads = spec.workers[0]?.threads ?? "auto";
  return (join) => ({
    command: process.execPath,
    args: [
      ...[MAIN_FILE, "worker", "--join", join, "--log-level", context.logLevel],
      ...(threads === "auto" ? [] : ["--threads", String(threads)]),
    ],
    env: { ...definedOnly(context.env), [LAUNCH_ID_VARIABLE]: randomUUID() },
  });
}

function definedOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
