import { snakeCased } from "../client/camel-case.js";
import { MoesaicClient } from "../client/client.js";
import type { ClusterStatus } from "../client/cluster-status.js";
import { defineCommand } from "./command.js";
import type { CommandContext } from "./context.js";
import { DEFAULT_ENDPOINT, ENDPOINT_OPTION, flag, JSON_OPTION } from "./options.js";
import { describeStatus } from "./status-text.js";

/** A coordinator answers at once or is not well. */
const TIMEOUT_MS = 10_000;

export const statusCommand = defineCommand({
  usage: "status",
  describe: "show a running cluster: bus, ranks, spares, memory, KV blocks, requests, token placement, bytes sent",
  options: {
    endpoint: { ...ENDPOINT_OPTION.endpoint, default: DEFAULT_ENDPOINT },
    watch: flag("show it again after every change, until interrupted"),
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
      if (watch) for await (const status of client.watchStatus({ signal: context.signal })) await show(status, context);
      else await show(await client.status({ timeoutMs: TIMEOUT_MS, signal: context.signal }), context);
      return 0;
    } finally {
      client.close();
    }
  },
});

function show(status: ClusterStatus, { out, json }: CommandContext): Promise<void> {
  return json ? out.json(snakeCased(status)) : out.line(describeStatus(status));
}
