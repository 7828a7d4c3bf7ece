import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { quantile } from "../../cli/timed-run.js";
import type { StreamingReport, StreamingTask } from "./streaming-clients.js";

// What the coordinator streams: 512 gRPC clients, each with its own connection and one request after the other, over a worker whose
// engine costs next to nothing. Every token is checked. Coordinator, worker and clients share the cores that this process may run on;
// meant are two. Ends with code 1 below 40,000 tokens a second, or when the coordinator's memory grows after it has warmed up.
// Run: taskset -c 0,1 node dist/test/bench/streaming.js [seconds, default 60; 600 for the memory]
const NUM_CLIENTS = 512;
const PROMPT_LEN = 16;
const OUTPUT_LEN = 512;
const VOCAB_SIZE = 2_048;
const WANTED_TOKENS_PER_SECOND = 40_000;
/** The first seconds are the compiler's and the heap's. */
const WARM_UP_SECONDS = 10;
/** By which the memory of the last quarter may lie above that of the second, a part: a heap breathes. */
const MOST_GROWTH = 0.1;
const TELL_EVERY_SECONDS = 10;

const numSeconds = Number(process.argv[2] ?? 60);
const coordinator = start("streaming-coordinator.js", [String(NUM_CLIENTS)]);
const [{ endpoint }] = (await once(coordinator, "message")) as [{ endpoint: string }];
const clients = start("streaming-clients.js", []);
const task: StreamingTask = {
  endpoint,
  numClients: NUM_CLIENTS,
  firstSeed: 1,
  promptLen: PROMPT_LEN,
  outputLen: OUTPUT_LEN,
  vocabSize: VOCAB_SIZE,
};
clients.send(task);
const gone = new AbortController();
clients.once("exit", () => gone.abort());
const worker = Number(
  readFileSync(`/proc/${coordinator.pid}/task/${coordinator.pid}/children`, "utf8").trim().split(" ")[0],
);
process.exitCode = (await watch()) ? 0 : 1;
clients.disconnect();
// They would take the end of their streams for lost tokens.
await once(clients, "exit");
coordinator.disconnect();

interface Second extends StreamingReport {
  /** CPU time of all processes, seconds. */
  cpuSeconds: number;
  rssBytes: number;
}

async function watch(): Promise<boolean> {
  const seconds: Second[] = [];
  let cpuBefore = cpuSeconds();
  while (seconds.length < numSeconds + WARM_UP_SECONDS) {
    const report = await nextReport();
    const cpu = cpuSeconds();
    seconds.push({ ...report, cpuSeconds: cpu - cpuBefore, rssBytes: rssBytes(coordinator.pid!) });
    cpuBefore = cpu;
    if (seconds.length % TELL_EVERY_SECONDS === 0) tell(`${seconds.length} s`, seconds.slice(-TELL_EVERY_SECONDS));
  }
  const counted = seconds.slice(WARM_UP_SECONDS);
  tell("all", counted);
  const quarter = Math.ceil(counted.length / 4);
  const growth = meanRss(counted.slice(-quarter)) / meanRss(counted.slice(quarter, 2 * quarter)) - 1;
  print(`coordinator's memory: last quarter over second ${(100 * growth).toFixed(1)} %`);
  return tokensPerSecond(counted) >= WANTED_TOKENS_PER_SECOND && growth <= MOST_GROWTH;
}

/** @throws when the clients ended instead, which says what was wrong */
async function nextReport(): Promise<StreamingReport> {
  const [report] = (await once(clients, "message", { signal: gone.signal })) as [StreamingReport];
  return report;
}

function tell(what: string, seconds: readonly Second[]): void {
  const all = <T>(of: (second: Second) => T[]): T[] => seconds.flatMap(of);
  const sum = (of: (second: Second) => number): number => seconds.reduce((total, second) => total + of(second), 0);
  const numTokens = sum((second) => second.numTokens);
  const ms = (values: number[], q: number): string => quantile(values, q).toFixed(1);
  const [gaps, ttfts] = [all((second) => second.gapsMs), all((second) => second.ttftsMs)];
  print(
    `${what.padEnd(6)} ${tokensPerSecond(seconds).toFixed(0)} tok/s, ${(numTokens / sum((second) => second.numMessages)).toFixed(2)} a message, ` +
      `${((1e6 * sum((second) => second.cpuSeconds)) / numTokens).toFixed(1)} us CPU a token, ` +
      `gaps p50 ${ms(gaps, 0.5)} p99 ${ms(gaps, 0.99)} ms, TTFT p50 ${ms(ttfts, 0.5)} p99 ${ms(ttfts, 0.99)} ms, ` +
      `${sum((second) => second.numFinished)} requests, RSS ${(meanRss(seconds) / 2 ** 20).toFixed(0)} MiB, ` +
      `${availableParallelism()} cores, load ${loadavg()[0]!.toFixed(1)}`,
  );
}

function tokensPerSecond(seconds: readonly Second[]): number {
  return seconds.reduce((total, { numTokens }) => total + numTokens, 0) / seconds.length;
}

function meanRss(seconds: readonly Second[]): number {
  return seconds.reduce((total, { rssBytes: bytes }) => total + bytes, 0) / seconds.length;
}

/** User and system time of coordinator, worker, clients and this process; a clock tick is a hundredth of a second on Linux. */
function cpuSeconds(): number {
  const ticks = [coordinator.pid!, worker, clients.pid!, process.pid].map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / 100;
}

function rssBytes(pid: number): number {
  return 1_024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? NaN);
}

function start(file: string, args: string[]): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, { stdio: "inherit" });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
