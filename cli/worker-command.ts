import type { CoordinatorOptions } from "../coordinator/coordinator.js";
import { MAIN_FILE, type CommandContext } from "./context.js";

/** Set for workers that a coordinator launched: it decides when they leave, not a Ctrl-C that reaches the whole terminal. */
export const LAUNCH_ID_VARIABLE = "MOESAIC_LAUNCH_ID";
/** What a rank of another machine has to present; in the environment, where other users do not see it. */
export const JOIN_TOKEN_VARIABLE = "MOESAIC_JOIN_TOKEN";

/** How the local workers of a cluster are started: this program again, as `moesaic worker`. */
export function workerCommandOf(context: CommandContext): CoordinatorOptions["workerCommand"] {
  return (join, { launchId, threads, device, index, joinToken }) => ({
    command: process.execPath,
    args: [
      ...[MAIN_FILE, "worker", "--join", join, "--threads", String(threads), "--device", device],
      ...["--log-level", context.logLevel],
    ],
    env: {
      ...definedOnly(context.env),
      ...(device === "cuda" ? { [GPUS_VARIABLE]: gpuOf(index, context.env[GPUS_VARIABLE]) } : {}),
      [LAUNCH_ID_VARIABLE]: launchId,
      [JOIN_TOKEN_VARIABLE]: joinToken,
    },
  });
}

/** CUDA's own: the GPUs that a process sees, by number or UUID. An engine uses the first. */
const GPUS_VARIABLE = "CUDA_VISIBLE_DEVICES";

function gpuOf(index: number, visible: string | undefined): string {
  return visible === undefined ? String(index) : (visible.split(",")[index]?.trim() ?? "");
}

function definedOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
