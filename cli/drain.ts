import { MoesaicClient } from "../client/client.js";
import { defineCommand } from "./command.js";
import { DEFAULT_ENDPOINT, ENDPOINT_OPTION, JSON_OPTION, wholeNumber } from "./options.js";

export const drainCommand = defineCommand({
  usage: "drain",
  describe: "let a running cluster, or a replica or rank of it, finish what runs and leave",
  options: {
    endpoint: { ...ENDPOINT_OPTION.endpoint, default: DEFAULT_ENDPOINT },
    replica: wholeNumber("replica", "the only replica that is to leave; the others go on", 0, 1_023),
    rank: wholeNumber("rank", "the only rank that is to leave; the cluster goes on when its seat is taken", 0, 1_023),
    ...JSON_OPTION,
  },
  examples: [
    ["drain", "drain the cluster of this machine"],
    ["drain --replica 1", "let replica 1 finish what runs and leave, while the others serve"],
    ["drain --rank 1", "let rank 1 of the first replica leave; its seat goes to a spare or to who comes next"],
  ],
  parse: ({ endpoint, replica, rank }) => ({ endpoint, replica, rank }),
  async run({ endpoint, replica, rank }, { out, json, signal }) {
    const client = new MoesaicClient({ endpoint });
    const what = { ...(replica === undefined ? {} : { replica }), ...(rank === undefined ? {} : { rank }) };
    try {
      const numFinished = await client.drain({ signal, ...what });
      await (json ? out.json({ num_finished: numFinished }) : out.line(doneText(what, numFinished)));
      return 0;
    } finally {
      client.close();
    }
  },
});

function doneText({ replica, rank }: { replica?: number; rank?: number }, numFinished: number): string {
  const of = replica === undefined ? "" : ` of replica ${replica}`;
  if (rank !== undefined) return `drained: rank ${rank}${of} left`;
  const finished = `${numFinished} requests were finished`;
  return replica === undefined ? `drained: ${finished}` : `drained: replica ${replica} left, ${finished}`;
}
