import { appendFile } from "node:fs/promises";
import { native } from "../native/index.js";
import type { BenchCollective, CollectiveRun } from "../native/binding.js";
import type { Transport } from "../plans/machine-profile.js";
import { renderSection } from "../plans/text-table.js";
import { csvOf, machineFigures, type Figures } from "./bench-report.js";
import { defineCommand } from "./command.js";
import { measureCalls, type MeasuredCalls } from "./comm-world.js";
import type { CommandContext } from "./context.js";
import { JSON_OPTION, text, wholeNumber } from "./options.js";
import { median, quantile } from "./timed-run.js";

const COLLECTIVES: readonly BenchCollective[] = [
  "all_reduce",
  "reduce_scatter",
  "all_gather",
  "all_to_all",
  "broadcast",
];
/** Tokens of steps that decode, and of one that prefills. */
const ROWS = [1, 8, 64, 512];
const DECODE_ROWS_MAX = 64;
/** Calls before those that count: they touch memory for the first time. */
const WARM_UP_CALLS = 5;
/** Longer than any rank looks for others before it sleeps. */
const LATE_US = 300;

export const commCommand = defineCommand({
  usage: "comm",
  describe: "collectives among ranks of this machine: time and GB/s beside what a copy or a plain socket takes",
  options: {
    ranks: { ...wholeNumber("ranks", "ranks, each a process", 2, 16), default: "2" },
    transport: {
      choices: ["shm", "tcp", "both"],
      requiresArg: true,
      default: "both",
      describe: "what carries the bytes",
    },
    hidden: { ...wholeNumber("hidden", "float32 values of a token's hidden state", 1, 65_536), default: "2880" },
    calls: {
      ...wholeNumber("calls", "calls of each collective and size; their median is told", 10, 100_000),
      default: "200",
    },
    csv: text("file to append the figures to"),
    ...JSON_OPTION,
  },
  examples: [
    ["bench comm", "2 ranks, over shared memory and over tcp"],
    ["bench comm --ranks 4 --transport tcp --json", "a JSON line for each collective and size"],
  ],
  parse: (args) => ({
    numRanks: Number(args.ranks),
    transports: (args.transport === "both" ? ["shm", "tcp"] : [args.transport]) as Transport[],
    hidden: Number(args.hidden),
    numCalls: Number(args.calls),
    csv: args.csv,
  }),
  async run({ numRanks, transports, hidden, numCalls, csv }, context) {
    const runs = COLLECTIVES.flatMap((collective) => ROWS.map((rows) => runOf(collective, rows, hidden, numCalls)));
    for (const transport of transports) {
      const rivals = await measureRivals(transport, runs, numRanks);
      const measured = await measureCalls(transport, numRanks, [...runs, ...runs.map(late)], context.signal);
      const rows = runs.map((run, index) =>
        figuresOf(measured[index]!, measured[index + runs.length]!, rivals.get(bytesToOne(run, numRanks))!),
      );
      await report(transport, rows, { numRanks, hidden, csv }, context);
    }
    return 0;
  },
});

function runOf(collective: BenchCollective, rows: number, cols: number, numCalls: number): CollectiveRun {
  // Large ones take longer and scatter less.
  const calls = rows > 64 ? Math.ceil(numCalls / 4) : numCalls;
  return { collective, rows, cols, calls: calls + WARM_UP_CALLS, lateUs: 0 };
}

function late(run: CollectiveRun): CollectiveRun {
  return { ...run, lateUs: LATE_US };
}

/**
 * By bytes, microseconds that nothing can do without, for what a rank of the collective sends to one other: of shared memory
 * a copy in and one out, of tcp what a plain socket takes.
 */
async function measureRivals(
  transport: Transport,
  runs: readonly CollectiveRun[],
  numRanks: number,
): Promise<Map<number, number>> {
  const medians = new Map<number, number>();
  for (const run of runs) {
    const bytes = bytesToOne(run, numRanks);
    if (medians.has(bytes)) continue;
    const { calls } = run;
    const measured = transport === "shm" ? native.measureCopy(bytes, calls) : native.measureSocket(bytes, calls);
    const times = [...(await measured)].slice(WARM_UP_CALLS);
    medians.set(bytes, (transport === "shm" ? 2 : 1) * median(times));
  }
  return medians;
}

/** What one rank has for one other; of uneven parts the largest. */
function bytesToOne({ collective, rows, cols }: CollectiveRun, numRanks: number): number {
  const isWhole = collective === "all_reduce" || collective === "broadcast";
  return 4 * cols * (isWhole ? rows : Math.ceil(rows / numRanks));
}

function figuresOf({ run, ...together }: MeasuredCalls, woken: MeasuredCalls, rivalUs: number) {
  const timesUs = together.timesUs.slice(WARM_UP_CALLS);
  const us = median(timesUs);
  return {
    collective: run.collective,
    rows: run.rows,
    bytes: 4 * run.rows * run.cols,
    sent_bytes: together.sentBytes,
    all_sent_bytes: together.allSentBytes,
    calls: timesUs.length,
    us_p50: us,
    us_p99: quantile(timesUs, 0.99),
    woken_us_p50: median(woken.timesUs.slice(WARM_UP_CALLS)),
    gb_per_second: together.sentBytes / us / 1e3,
    bound_us: rivalUs,
    bound_percent: (100 * rivalUs) / us,
    results_agree: true,
  };
}

type CommFigures = ReturnType<typeof figuresOf>;

/**
 * The two figures of plan explain. A round: the smallest all_reduce of ranks of which others have to be woken, as where they do
 * not come at the same time, less its bytes. Bytes per second: from what 64 rows take longer, the largest of steps that decode.
 */
export function linkFigures(
  rows: readonly Pick<CommFigures, "collective" | "rows" | "sent_bytes" | "us_p50" | "woken_us_p50">[],
): { link_us: number; link_gbits: number } {
  const sums = rows.filter(({ collective, rows: count }) => collective === "all_reduce" && count <= DECODE_ROWS_MAX);
  const [small, large] = [sums[0]!, sums.at(-1)!];
  const usPerByte = Math.max(1e-9, (large.us_p50 - small.us_p50) / (large.sent_bytes - small.sent_bytes));
  return { link_us: Math.max(0.1, small.woken_us_p50 - small.sent_bytes * usPerByte), link_gbits: 8 / usPerByte / 1e3 };
}

interface Head {
  numRanks: number;
  hidden: number;
  csv: string | undefined;
}

async function report(
  transport: Transport,
  rows: readonly CommFigures[],
  { numRanks, hidden, csv }: Head,
  { out, json }: CommandContext,
): Promise<void> {
  const link = linkFigures(rows);
  const bound = transport === "shm" ? "a copy in and one out" : "a plain socket";
  const head = { bench: "comm", ...machineFigures(1), transport, ranks: numRanks, hidden, late_us: LATE_US, bound };
  const lines: Figures[] = rows.map((row) => ({ ...head, ...row, ...link }));
  if (json) for (const line of lines) await out.json(line);
  else await out.write(textOf(transport, rows, link, { numRanks, hidden }));
  if (csv !== undefined) await appendFile(csv, await csvOf(lines, csv));
}

function textOf(
  transport: Transport,
  rows: readonly CommFigures[],
  link: ReturnType<typeof linkFigures>,
  { numRanks, hidden }: Omit<Head, "csv">,
): string {
  const { name, numCores } = native.deviceProperties();
  const busy = numRanks > numCores ? "; more ranks than cores: they take turns" : "";
  const table = renderSection(
    `${transport}: ${numRanks} ranks on ${numCores} cores of ${name}, rows of ${hidden} float32${busy}`,
    rows.map((row) => [
      row.collective,
      String(row.rows),
      String(row.sent_bytes),
      row.us_p50.toFixed(1),
      row.us_p99.toFixed(1),
      row.woken_us_p50.toFixed(1),
      row.gb_per_second.toFixed(2),
      row.bound_us.toFixed(1),
      `${row.bound_percent.toFixed(0)} %`,
    ]),
    [
      "",
      "rows",
      "B a rank sends",
      "us",
      "us p99",
      "us woken",
      "GB/s",
      transport === "shm" ? "us copied" : "us socket",
      "",
    ],
  );
  const how =
    `us: the median, from when all ranks have begun to when all are done; woken: rank 0 comes ${LATE_US} us late and the\n` +
    "others sleep. GB/s: of the busiest rank. Last: the time beside, which is a copy in and one out of what goes to one other\n" +
    "rank, or a plain socket's. Every result was checked.";
  const flags = `--link-us ${link.link_us.toPrecision(3)} --link-gbits ${link.link_gbits.toPrecision(3)}`;
  return `${table}\n${how} For plan explain: ${flags}\n\n`;
}
