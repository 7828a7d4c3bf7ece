import * as fc from "fast-check";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fuzzedRequests } from "../../../test/fuzz-bodies.js";
import { openApi } from "../../../test/openai-api.js";
import { IS_LONG } from "../../../test/paths.js";

const NUM_RUNS = IS_LONG ? 10_000 : 300;

describe("the HTTP API", () => {
  it(`answers ${NUM_RUNS} bodies of every sort without a fault of its own`, async (test) => {
    const { url, model } = await openApi(test);
    const statuses = new Map<number, number>();
    const property = fc.asyncProperty(fuzzedRequests(), async ({ path, body }) => {
      const headers = { "content-type": "application/json" };
      const response = await fetch(url + path, { method: "POST", headers, body });
      const text = await response.text();
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      assert.ok(response.status < 500, `${response.status}: ${text}`);
      if (response.status !== 200) {
        const { error } = JSON.parse(text) as { error: { message: unknown; type: unknown } };
        assert.ok(typeof error.message === "string" && typeof error.type === "string", text);
      } else assert.doesNotMatch(text, /"error"/);
    });
    await fc.assert(property, { numRuns: NUM_RUNS });
    assert.ok(statuses.get(200)! > 0 && statuses.get(400)! > 0, JSON.stringify([...statuses]));
    assert.equal(model.numLive, 0);
  });
});
