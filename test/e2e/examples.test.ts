import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../paths.js";
import { RunningCluster, temporaryFolder } from "./moesaic.js";

const run = promisify(execFile);
const FOLDER = join(ROOT, "examples");
const PARIS = "The capital of France is Paris.";
const WEATHER =
  /^calls get_current_weather\(\{"location": ?"Venice"\}\)\nThe weather in Venice is cloudy with a temperature of -8 degrees\.\n$/;

/** What each prints to standard output. */
const PRINTED: Record<string, RegExp> = {
  "batch.mjs": /^France: The capital of France is Paris\.\nItaly: .*Rome\.\nJapan: .*Tokyo\.\nSpain: .*\nEgypt: .*\n$/,
  "cancel.mjs": /^cancelled\n$/,
  "json-schema.mjs": /^\{"city":".*","population":\d+,"isCapital":(true|false)\}\n$/,
  "logprobs.mjs": /^("[^\n]*" [01]\.\d{3}: "[^\n]*" [01]\.\d{3}, "[^\n]*" [01]\.\d{3}\n){3}$/,
  "openai-chat.mjs": new RegExp(`^${PARIS}\n$`),
  "openai-curl.sh": new RegExp(`"content":"${PARIS}"[^]*data: [^]*data: \\[DONE\\]`),
  "openai-responses.mjs": WEATHER,
  "reflection.mjs": /^methods: .*Generate.*\n.+\n$/,
  "resume.mjs": /^200 tokens, 1 cut, the same as without\n$/,
  "stream-chat.mjs": new RegExp(`^${PARIS}\n$`),
  "tools.mjs": WEATHER,
};

describe("examples/", () => {
  it("print what they should, against one cluster", async (test) => {
    const cluster = await RunningCluster.launch(test, { jobs: { directory: temporaryFolder(test) } });
    const env = { ...process.env, MOESAIC_ENDPOINT: cluster.endpoint, MOESAIC_HTTP: cluster.http };
    const listed = readFileSync(join(FOLDER, "README.md"), "utf8");
    for (const name of readdirSync(FOLDER).filter((file) => file !== "README.md")) {
      const program = name.endsWith(".sh") ? "bash" : process.execPath;
      const { stdout } = await run(program, [join(FOLDER, name)], { env, timeout: 60_000 });
      assert.match(stdout, PRINTED[name] ?? assert.fail(`nothing is said of what ${name} prints`), name);
      assert.ok(listed.includes(`(${name})`), `${name} is not in the list`);
    }
  });
});
