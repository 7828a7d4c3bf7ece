import { MoesaicClient } from "../client/client.js";
import { defineCommand } from "./command.js";
import { DEFAULT_ENDPOINT, ENDPOINT_OPTION, JSON_OPTION, wholeNumber } from "./options.js";

export const drainCommand = defineCommand({
  usage: "drain",
  describe: "let a running cluster, or one rank of it, finish what runs and leave",
  options: {
    endpoint: { ...ENDPOINT_OPTION.endpoint, default: DEFAULT_ENDPOINT },
    rank: wholeNumber("rank", "the only rank that is to leave; the cluster goes on when its seat is taken", 0, 1_023),
    ...JSON_OPTION,
  },
  examples: [
    ["drain", "drain the cluster of this machine"],
    ["drain --rank 1", "let rank 1 leave; its seat goes to a spare or to who comes next"],
  ],
  parse: ({ endpoint, rank }) => ({ endpoint, rank }),
  async run({ endpoint, rank }, { out, json, signal }) {
    const client = new MoesaicClient({ endpoint });
    try {
      const numFinished = await client.drain({ signal, ...(rank === undefined ? {} : { rank }) });
      const done = rank === undefined ? `drained: ${numFinished} requests were finished` : `drained: rank ${rank} left`;
      await (json ? out.json({ num_finished: numFinished }) : out.line(done));
      return 0;
    } finally {
      client.close();
    }
  },
});
