import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { GenerateRequest } from "../client/generate-request.js";
import { readJobFile, type JobFile } from "./job-file.js";

describe("readJobFile", () => {
  it("reads requests with their ids, whatever ends the lines, and takes defaults for what they do not say", async (test) => {
    const file = await readJobFile(fileOf(test, '{"id":"ä","prompt":"x"}\r\n\n{"tokens":[1],"max_tokens":2}'), {
      sampling: { maxTokens: 9 },
    });
    assert.equal(file.numRequests, 2);
    assert.deepEqual(await requestsOf(file), [
      { requestId: "ä", prompt: "x", sampling: { maxTokens: 9 } },
      { requestId: "1", tokenIds: [1], sampling: { maxTokens: 2 } },
    ]);
  });

  it("has the same digest for the same requests, and another for others", async (test) => {
    const digestOf = async (text: string, maxTokens = 1) =>
      (await readJobFile(fileOf(test, text), { sampling: { maxTokens } })).digest;
    const digest = await digestOf('{"prompt":"x"}\n{"prompt":"y"}\n');
    assert.equal(await digestOf('\n{ "prompt": "x" }\n\n{"prompt":"y"}'), digest);
    for (const other of [
      '{"prompt":"y"}\n{"prompt":"x"}',
      '{"prompt":"x"}',
      '{"prompt":"x","seed":1}\n{"prompt":"y"}',
    ]) {
      assert.notEqual(await digestOf(other), digest);
    }
    assert.notEqual(await digestOf('{"prompt":"x"}\n{"prompt":"y"}\n', 2), digest);
  });

  it("names what is wrong, and stops reading a file that is no such file", async (test) => {
    const bad = (text: string | Buffer) => readJobFile(fileOf(test, text), {});
    const wrong = (message: RegExp) => ({ code: "invalid_argument", message });
    await assert.rejects(bad(""), wrong(/:1: expected at least one line/));
    await assert.rejects(
      bad('{"id":1,"prompt":"x"}\n{"id":"1","prompt":"x"}'),
      wrong(/:2: id: 1 is that of line 1 too/),
    );
    await assert.rejects(bad(Buffer.from([0x7b, 0xff, 0x7d, 10])), wrong(/:1: .*UTF-8/));
    await assert.rejects(bad(`{"id":"${"x".repeat(129)}","prompt":"x"}`), wrong(/:1: id: at most 128/));
    await assert.rejects(bad("x\n".repeat(5_000)), wrong(/1001 problems:/));
    await assert.rejects(readJobFile("/nowhere/at/all.jsonl", {}), {
      code: "not_found",
      place: "/nowhere/at/all.jsonl",
    });
  });

  it("notices a file that changes between its check and its sending", async (test) => {
    const path = fileOf(test, '{"prompt":"x"}\n');
    const file = await readJobFile(path, {});
    appendFileSync(path, '{"prompt":"y"}\n');
    await assert.rejects(requestsOf(file), { code: "failed_precondition", place: path });
  });
});

async function requestsOf(file: JobFile): Promise<GenerateRequest[]> {
  const all: GenerateRequest[] = [];
  for await (const request of file.requests()) all.push(request);
  return all;
}

function fileOf(test: TestContext, content: string | Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), "moesaic-job-file-"));
  test.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "f.jsonl");
  writeFileSync(path, content);
  return path;
}
