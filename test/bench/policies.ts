import { CAPACITY_PER_SECOND, goodputAt, isolationAt } from "../sim/experiments.js";

// What the scheduler's policies do, in simulated time before a machine of the size of one H200: a tenant beside one that
// floods, and goodput by load. The same figures everywhere. Run: node dist/test/bench/policies.js
const UNTIL_MS = 120_000;

print("Two tenants, one at three times the capacity: TTFT p99 of the other, alone and beside it");
for (const [policy, targetStepMs] of [
  ["fifo", 25],
  ["fair", null],
  ["fair", 50],
  ["fair", 25],
  ["fair", 15],
] as const) {
  for (const load of [0.1, 0.3]) {
    const figures = isolationAt(load, { untilMs: UNTIL_MS, policies: { policy, targetStepMs } });
    const { quietMs, floodedMs, floodGapMs, floodPerSecond, numPreemptions } = figures;
    print(
      `  ${policy}, target step ${targetStepMs ?? "none"}, load ${load}: ${ms(quietMs)} -> ${ms(floodedMs)} ` +
        `(${(floodedMs / quietMs).toFixed(2)}x); flood: ${floodPerSecond.toFixed(1)}/s, longest gap p99 ${ms(floodGapMs)}, ` +
        `${numPreemptions} preemptions`,
    );
  }
}

print(`Goodput by load (1 = ${CAPACITY_PER_SECOND} requests/s): first token within 1 s, no gap above 0.1 s`);
for (const [name, policies] of [
  ["no target", { targetTtftMs: null }],
  ["target 1 s", {}],
  ["target 1 s, a quarter of the KV blocks", { numBlocks: 6_000 }],
  ["target 1 s, a quarter of the rows", { maxSequences: 64, maxLogitRows: 64 }],
] as const) {
  let peak = 0;
  for (const load of [0.6, 0.8, 1, 1.2, 1.5, 2, 3]) {
    const { perSecond, admittedPerSecond, ttftMsMedian, ttftMsP99 } = goodputAt(load, { untilMs: UNTIL_MS, policies });
    peak = Math.max(peak, perSecond);
    print(
      `  ${name}, load ${load}: ${perSecond.toFixed(1)}/s, ${((100 * perSecond) / peak).toFixed(0)} % of the peak; ` +
        `admitted ${admittedPerSecond.toFixed(1)}/s, TTFT ${ms(ttftMsMedian)}, p99 ${ms(ttftMsP99)}`,
    );
  }
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
