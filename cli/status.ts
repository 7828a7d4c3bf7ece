import { setTimeout as sleep } from "node:timers/promises";
import { snakeCased } from "../client/camel-case.js";
import { MoesaicClient } from "../client/client.js";
import type { ClusterStatus } from "../client/cluster-status.js";
import { MoesaicError } from "../proto/errors.js";
import { defineCommand } from "./command.js";
import type { CommandContext } from "./context.js";
import { DEFAULT_ENDPOINT, ENDPOINT_OPTION, flag, JSON_OPTION } from "./options.js";
import { describeStatus } from "./status-text.js";

/** A coordinator answers at once or is not well. */
const TIMEOUT_MS = 10_000;
const RETRY_MS = 1_000;
/** The terminal's other screen, so that what was there before is there again. */
const OPEN_SCREEN = "\u001b[?1049h";
const CLEAR_SCREEN = "\u001b[H\u001b[J";
const CLOSE_SCREEN = "\u001b[?1049l";

export const statusCommand = defineCommand({
  usage: "status",
  describe: "show a running cluster: bus, ranks, spares, memory, KV blocks, requests, token placement, bytes sent",
  options: {
    endpoint: { ...ENDPOINT_OPTION.endpoint, default: DEFAULT_ENDPOINT },
    watch: flag("show it again after every change, until interrupted, also when its coordinator was away"),
    ...JSON_OPTION,
  },
  examples: [
    ["status", "once, for people"],
    ["status --watch --json", "a JSON line after every change"],
  ],
  parse: ({ endpoint, watch }) => ({ endpoint, watch }),
  async run({ endpoint, watch }, context) {
    const client = new MoesaicClient({ endpoint });
    try {
      if (watch) await watchCluster(client, context);
      else await show(await client.status({ timeoutMs: TIMEOUT_MS, signal: context.signal }), context);
      return 0;
    } finally {
      client.close();
    }
  },
});

/** Until interrupted. A coordinator that goes away may come back, or its standby take over. */
async function watchCluster(client: MoesaicClient, context: CommandContext): Promise<void> {
  const { out, stderr, json, signal } = context;
  const isScreen = out.isTerminal && !json;
  let hasBegun = false;
  if (isScreen) await out.write(OPEN_SCREEN);
  try {
    for (let told = ""; ;) {
      try {
        for await (const status of client.watchStatus({ signal })) {
          if (isScreen) await out.write(CLEAR_SCREEN);
          await show(status, context);
          [hasBegun, told] = [true, ""];
        }
      } catch (caught) {
        const error = MoesaicError.from(caught);
        if (signal.aborted || !hasBegun || error.code !== "unavailable") throw caught;
        if (error.message !== told) stderr.write(`moesaic: ${error.describe()}; waiting for it to come back\n`);
        told = error.message;
      }
      await sleep(RETRY_MS, undefined, { signal });
    }
  } finally {
    if (isScreen) await out.write(CLOSE_SCREEN);
  }
}

function show(status: ClusterStatus, { out, json }: CommandContext): Promise<void> {
  return json ? out.json(snakeCased(status)) : out.line(describeStatus(status));
}
