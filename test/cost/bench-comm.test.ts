import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { measureCalls } from "../../cli/comm-world.js";
import { MoesaicError } from "../../proto/errors.js";

const RUN = { rows: 4, cols: 32, calls: 3, lateUs: 0 };
const BYTES = RUN.rows * RUN.cols * 4;

describe("measureCalls", () => {
  for (const transport of ["shm", "tcp"] as const) {
    // Results are compared inside: a wrong one is an error.
    it(`runs every collective among processes and counts what they send, over ${transport}`, async () => {
      const sent = { all_reduce: BYTES, reduce_scatter: BYTES / 2, all_gather: BYTES / 2, all_to_all: BYTES / 2 };
      const all = { ...sent, broadcast: BYTES };
      const runs = Object.keys(all).map((collective) => ({ ...RUN, collective: collective as keyof typeof all }));
      const measured = await measureCalls(transport, 2, [...runs, { ...runs[0]!, lateUs: 2_000 }], signal());
      for (const { run, timesUs, sentBytes, allSentBytes } of measured) {
        assert.equal(sentBytes, all[run.collective], run.collective);
        assert.equal(allSentBytes, run.collective === "broadcast" ? BYTES : 2 * all[run.collective]);
        assert.equal(timesUs.length, RUN.calls);
        assert.ok(timesUs.every((us) => us > 0));
      }
    });
  }

  it("ends, and says so, when it is interrupted", async () => {
    const interrupted = measureCalls("shm", 2, [{ ...RUN, collective: "all_reduce", calls: 1_000_000 }], signal(500));
    await assert.rejects(interrupted, (error) => error instanceof MoesaicError && error.code === "cancelled");
  });
});

function signal(abortAfterMs = 60_000): AbortSignal {
  return AbortSignal.timeout(abortAfterMs);
}
