import { MoesaicClient } from "../client/client.js";
import { defineCommand } from "./command.js";
import { DEFAULT_ENDPOINT, ENDPOINT_OPTION, JSON_OPTION } from "./options.js";

export const drainCommand = defineCommand({
  usage: "drain",
  describe: "let a running cluster finish what runs, accept nothing new, and leave",
  options: { endpoint: { ...ENDPOINT_OPTION.endpoint, default: DEFAULT_ENDPOINT }, ...JSON_OPTION },
  examples: [["drain", "drain the cluster of this machine"]],
  parse: ({ endpoint }) => ({ endpoint }),
  async run({ endpoint }, { out, json, signal }) {
    const client = new MoesaicClient({ endpoint });
    try {
      const numFinished = await client.drain({ signal });
      await (json
        ? out.json({ num_finished: numFinished })
        : out.line(`drained: ${numFinished} requests were finished`));
      return 0;
    } finally {
      client.close();
    }
  },
});
