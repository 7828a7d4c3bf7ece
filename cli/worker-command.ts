import type { CoordinatorOptions } from "../coordinator/coordinator.js";
import { MAIN_FILE, type CommandContext } from "./context.js";

/** Set for workers that a coordinator launched: it decides when they leave, not a Ctrl-C that reaches the whole terminal. */
export const LAUNCH_ID_VARIABLE = "MOESAIC_LAUNCH_ID";
/** What a rank of another machine has to present; in the environment, where other users do not see it. */
export const JOIN_TOKEN_VARIABLE = "MOESAIC_JOIN_TOKEN";

/** How the local workers of a cluster are started: this program again, as `moesaic worker`. */
export function workerCommandOf(context: CommandContext): CoordinatorOptions["workerCommand"] {
  return (join, { launchId, threads, joinToken }) => ({
    command: process.execPath,
    args: [MAIN_FILE, "worker", "--join", join, "--threads", String(threads), "--log-level", context.logLevel],
    env: { ...definedOnly(context.env), [LAUNCH_ID_VARIABLE]: launchId, [JOIN_TOKEN_VARIABLE]: joinToken },
  });
}

function definedOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
