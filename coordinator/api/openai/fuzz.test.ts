import * as fc from "fast-check";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { v1 } from "../../../proto/messages.js";
import { fuzzedLines, fuzzedRequests, type FuzzedRequest } from "../../../test/fuzz-bodies.js";
import { openApi } from "../../../test/openai-api.js";
import { IS_LONG } from "../../../test/paths.js";
import type { BatchEndpoint } from "./batch-body.js";
import { batchRequests, problemsOf } from "./batch-request.js";

const NUM_RUNS = IS_LONG ? 10_000 : 300;
/** What the stores keep of a half's responses, and what V8 learns; a leak of some kilobytes a request is more. */
const MAX_GROWTH_BYTES = 24 * 1024 * 1024;

describe("the HTTP API", () => {
  it(`answers ${NUM_RUNS} bodies of every sort without a fault of its own, in flat memory`, async (test) => {
    const { url, model } = await openApi(test);
    const statuses = new Map<number, number>();
    const property = fc.asyncProperty(fuzzedRequests(), async (fuzzed) => {
      const status = await checkedStatus(url, fuzzed);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    });
    await fc.assert(property, { numRuns: NUM_RUNS / 2 });
    const before = heapBytes();
    model.specs.length = 0;
    await fc.assert(property, { numRuns: NUM_RUNS / 2 });
    model.specs.length = 0;
    const grown = heapBytes() - before;
    test.diagnostic(
      `${JSON.stringify(Object.fromEntries(statuses))}, heap ${before} B, ${grown} B more after the second half`,
    );
    assert.ok(grown < MAX_GROWTH_BYTES, `the heap grew by ${grown} bytes`);
    assert.ok(statuses.get(200)! > 0 && statuses.get(400)! > 0, JSON.stringify([...statuses]));
    assert.equal(model.numLive, 0);
  });
});

describe("the lines of a batch", () => {
  it(`are run or refused, whatever ${NUM_RUNS} of them are: what is found right can be run`, async (test) => {
    let numRight = 0;
    const property = fc.asyncProperty(fuzzedLines(), async ({ endpoint, line }) => {
      const content = async function* () {
        yield Buffer.from(line);
      };
      const problems = await problemsOf(content(), endpoint as BatchEndpoint);
      assert.ok(problems.every(({ code, message }) => code !== "" && message !== ""));
      if (problems.length > 0) return;
      for await (const { request, customId } of batchRequests(content(), endpoint as BatchEndpoint)) {
        assert.ok(customId !== "" && v1.GenerateRequest.encode(request).finish().length > 0);
        numRight += 1;
      }
    });
    await fc.assert(property, { numRuns: NUM_RUNS });
    test.diagnostic(`${numRight} of ${NUM_RUNS} were right`);
    assert.ok(numRight > NUM_RUNS / 20);
  });
});

async function checkedStatus(url: string, { path, type, body }: FuzzedRequest): Promise<number> {
  const headers = { "content-type": type };
  const response = await fetch(url + path, { method: "POST", headers, body });
  const text = await response.text();
  assert.ok(response.status < 500, `${response.status}: ${text}`);
  if (response.status === 200) assert.doesNotMatch(text, /^data: \{"error"|^\{"error"/m);
  else {
    const { error } = JSON.parse(text) as { error: { message: unknown; type: unknown } };
    assert.ok(typeof error.message === "string" && typeof error.type === "string", text);
  }
  return response.status;
}

/** After a collection, so that garbage does not count. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}
