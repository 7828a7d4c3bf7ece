import assert from "node:assert/strict";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { DEMO_MODEL } from "../paths.js";
import { jsonLines, moesaic, temporaryFolder } from "./moesaic.js";

type Line = Record<string, number | boolean | string | null>;

const MODEL = ["--model", DEMO_MODEL, "--device", "cpu", "--json"];

describe("moesaic bench load", () => {
  it("tells what a start takes beside the ceilings of the same run, with golden tokens after each load", async () => {
    const [figures] = await linesOf(["load", ...MODEL, "--repeats", "2", "--max-model-len", "512"]);
    assert.deepEqual([figures!["loads_agree"], figures!["agrees_with_golden"]], [true, true]);
    const names = ["load_ms", "file_gb_per_second", "read_percent", "arena_percent", "peak_rss_bytes"];
    for (const name of names) assert.ok(Number(figures![name]) > 0, `${name} is ${figures![name]}`);
    assert.ok(Number(figures!["first_token_ms"]) > Number(figures!["ready_ms"]));
    assert.ok(Number(figures!["ready_ms"]) > Number(figures!["load_ms"]));
    // All tensors are behind the header, and all of them are read.
    const file = readFileSync(join(DEMO_MODEL, "model.safetensors"));
    assert.equal(figures!["read_bytes"], file.length - 8 - Number(file.readBigUInt64LE(0)));
  });

  it("has no figures when the loaded weights give other tokens than the model's golden ones", async (test) => {
    const result = await moesaic(["bench", "load", "--model", mislabelledModel(test), "--device", "cpu", "--json"]);
    assert.equal(result.code, 1);
    const [line] = jsonLines<{ error: { code: string; message: string } }>(result);
    assert.equal(line!.error.code, "internal");
    assert.match(line!.error.message, /golden_generations\.json .* differ at output token 0/);
  });
});

describe("moesaic bench kernels", () => {
  it("tells the time and bytes of every op, compared with the reference, and appends to a CSV file", async (test) => {
    const csv = join(temporaryFolder(test), "kernels.csv");
    const sizes = ["--rows", "1,3", "--context", "8", "--prefill", "16", "--steps", "2"];
    const lines = await linesOf(["kernels", ...MODEL, ...sizes, "--csv", csv]);
    assert.deepEqual(
      lines.filter(({ op }) => op === "total").map(({ phase, rows }) => [phase, rows]),
      [
        ["decode", 1],
        ["decode", 3],
        ["prefill", 16],
      ],
    );
    assert.ok(lines.every((line) => line["agrees_with_reference"] === true && Number(line["us"]) > 0));
    const experts = lines.filter(({ op }) => op === "experts");
    assert.equal(experts[0]!["experts_hit"], 4, "of one row those that it is routed to");
    assert.ok(Number(experts[1]!["bytes"]) > Number(experts[0]!["bytes"]));
    assert.equal(readFileSync(csv, "utf8").trimEnd().split("\n").length, 1 + lines.length);
  });

  it("compares nothing when the reference itself is measured", async () => {
    const sizes = ["--rows", "1", "--context", "1", "--prefill", "0", "--steps", "1"];
    const lines = await linesOf(["kernels", ...MODEL, ...sizes, "--kernels", "reference"]);
    assert.ok(lines.every((line) => line["agrees_with_reference"] === null));
    assert.ok(lines.some(({ kernel }) => String(kernel).startsWith("reference:experts")));
  });
});

describe("moesaic bench kv", () => {
  it("shows full layers' blocks grow with the context and sliding ones' stay, and draws it", async (test) => {
    const plot = join(temporaryFolder(test), "kv.svg");
    const lines = await linesOf(["kv", ...MODEL, "--contexts", "512,128,1024", "--plot", plot]);
    assert.deepEqual(
      lines.map(({ context }) => context),
      [128, 512, 1_024],
    );
    const [short, , long] = lines;
    // Those of the prompt, and of up to 32 decoded tokens.
    const numUsed = Number(long!["used_blocks_full"]);
    assert.ok(numUsed > 1_024 / 16 && numUsed <= (1_024 + 32) / 16, `${numUsed} blocks`);
    assert.ok(Number(long!["used_blocks_sliding"]) <= Number(short!["used_blocks_sliding"]) + 1);
    assert.ok(Number(long!["kv_bytes_per_step"]) > Number(short!["kv_bytes_per_step"]));
    assert.ok(lines.every((line) => line["other_chunks_agree"] === true && Number(line["ms_per_token"]) > 0));
    assert.match(readFileSync(plot, "utf8"), /^<svg .*<\/svg>\n$/s);
  });

  it("measures several streams of one length, and refuses what cannot fit before it loads anything", async () => {
    const [line] = await linesOf(["kv", ...MODEL, "--contexts", "200", "--streams", "3"]);
    assert.ok(Number(line!["used_blocks_full"]) >= 3 * Math.ceil(200 / 16));
    const result = await moesaic(["bench", "kv", ...MODEL, "--contexts", "200", "--max-model-len", "100"]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /1 streams of up to 232 tokens .*: a sequence may have 100/);
  });
});

async function linesOf(args: readonly string[]): Promise<Line[]> {
  const result = await moesaic(["bench", ...args]);
  assert.equal(result.code, 0, result.stderr);
  return jsonLines<Line>(result);
}

/** The demo model beside a golden generation that it does not make. */
function mislabelledModel(test: TestContext): string {
  const folder = temporaryFolder(test);
  for (const name of readdirSync(DEMO_MODEL)) copyFileSync(join(DEMO_MODEL, name), join(folder, name));
  const file = join(folder, "golden_generations.json");
  const golden = JSON.parse(readFileSync(file, "utf8")) as { generations: { generated_tokens: number[] }[] };
  golden.generations[0]!.generated_tokens[0]! += 1;
  writeFileSync(file, JSON.stringify(golden));
  return folder;
}
