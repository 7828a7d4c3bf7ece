import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { DEMO_MODEL } from "../paths.js";
import { jsonLines, moesaic, temporaryFolder } from "./moesaic.js";

type Line = Record<string, string | number | boolean | null>;

const DRAWN = ["--model", DEMO_MODEL, "--requests", "40", "--prompt-len", "uniform:10:80", "--output-len", "20"];

describe("moesaic sim", () => {
  it("prints and draws the same bytes for the same seed, and others for another", async (test) => {
    const folder = temporaryFolder(test);
    const run = async (seed: string, name: string) => {
      const plot = join(folder, name);
      const result = await moesaic(["sim", ...DRAWN, "--rate", "5,20,80", "--seed", seed, "--json", "--plot", plot]);
      assert.equal(result.code, 0, result.stderr);
      return { stdout: result.stdout, svg: readFileSync(plot, "utf8") };
    };
    const [one, again, other] = [await run("1", "a.svg"), await run("1", "b.svg"), await run("2", "c.svg")];
    assert.deepEqual(one, again);
    assert.notEqual(one.stdout, other.stdout);
    assert.match(one.svg, /^<svg .*TTFT, ms.*ITL, ms.*goodput.*busy.*<\/svg>\n$/s);
  });

  it("shows latency grow with the rate until the cluster is busy", async () => {
    const lines = jsonLines<Line>(await moesaic(["sim", ...DRAWN, "--json"]));
    assert.equal(lines.length, 8, "from little to more than it can do");
    const of = (key: string): number[] => lines.map((line) => Number(line[key]));
    assert.deepEqual(
      of("rate"),
      of("rate").toSorted((a, b) => a - b),
    );
    assert.ok(of("ttft_ms_p99").at(-1)! > 2 * of("ttft_ms_p99")[0]!);
    assert.ok(of("busy_percent").at(-1)! > 95 && of("busy_percent")[0]! < 90);
    assert.ok(lines.every(({ requests, refused }) => requests === 40 && refused === 0));
  });

  it("answers how many H100 a published trace needs, in which layout, and why", async (test) => {
    const trace = join(temporaryFolder(test), "azure.csv");
    const lines = Array.from({ length: 60 }, (_, index) => {
      const second = String(Math.floor(index / 6)).padStart(2, "0");
      return `2023-11-16 18:17:${second}.${(index % 6) + 1},${400 + 7 * index},${20 + (index % 9)}`;
    });
    writeFileSync(trace, ["TIMESTAMP,ContextTokens,GeneratedTokens", ...lines, ""].join("\n"));
    const promises = ["--ttft-ms", "700", "--itl-ms", "60"];
    const args = [
      "sim",
      "--dummy",
      "gpt-oss-20b",
      "--devices",
      "h100",
      "--max",
      "4",
      "--trace",
      trace,
      ...promises,
      "--json",
    ];
    const result = jsonLines<Line>(await moesaic(args));
    const [{ devices_needed: needed, why } = {}] = result;
    assert.match(String(needed), /^[1-4]: (one replica|\d replicas)/);
    assert.match(String(why), /p99 TTFT \d+ ms, ITL [\d.]+ ms, busy \d+ %/);
    assert.equal(result.filter(({ keeps }) => keeps === "best").length, 1);
  });

  it("says before it does anything what it cannot do", async (test) => {
    const folder = temporaryFolder(test);
    const bad = join(folder, "bad.jsonl");
    writeFileSync(bad, '{"timestamp": 0, "input_length": 5, "output_length": 1}\n{"timestamp": 1}\n');
    const cases: [args: string[], message: RegExp][] = [
      [["--trace", bad], /bad\.jsonl:2: input_length: /],
      [["--trace", join(folder, "none.csv")], /there is no such file; expected a trace/],
      [["--calibration", join(folder, "none.json")], /expected a calibration file, or the name of a known machine/],
      [["--rate", "0"], /--rate: expected numbers above 0, or inf/],
      [["--prompt-len", "normal:3"], /--prompt-len: expected tokens such as 512/],
      [["--devices", "h100"], /give --ttft-ms, --itl-ms or both/],
      [["--devices", "h100", "--ttft-ms", "9", "--rate", "1,2"], /give one --rate/],
    ];
    for (const [args, message] of cases) {
      const result = await moesaic(["sim", "--model", DEMO_MODEL, ...args]);
      assert.equal(result.code, 2, args.join(" "));
      assert.match(result.stderr, message);
    }
    const small = await moesaic(["sim", "--dummy", "gpt-oss-120b", "--rate", "1"]);
    assert.equal(small.code, 1);
    assert.match(small.stderr, /memory: weights .*; use a larger machine or a smaller model/);
  });
});

describe("moesaic bench calibrate and bench trace", () => {
  it("writes a calibration that sim and plan explain take", async (test) => {
    const file = join(temporaryFolder(test), "machine.json");
    const sizes = ["--streams", "1,4", "--prompts", "16,64", "--repeats", "1"];
    const measured = await moesaic(["bench", "calibrate", "--model", DEMO_MODEL, ...sizes, "--out", file, "--json"]);
    assert.equal(measured.code, 0, measured.stderr);
    const lines = jsonLines<Line>(measured);
    assert.ok(
      lines.length >= 4 && lines.every((line) => Number(line["measured_ms"]) > 0 && Number(line["fitted_ms"]) > 0),
    );
    const simulated = jsonLines<Line>(
      await moesaic(["sim", ...DRAWN, "--rate", "10", "--calibration", file, "--json"]),
    );
    assert.equal(simulated[0]!["requests"], 40);
    const explained = await moesaic(["plan", "explain", "--model", DEMO_MODEL, "--tp", "2", "--calibration", file]);
    assert.match(explained.stdout, /overhead of an op .* calibrated on /);
  });

  it("sends a trace and tells what its clients saw", async () => {
    const result = await moesaic(["bench", "trace", ...DRAWN, "--rate", "40,inf", "--json"]);
    assert.equal(result.code, 0, result.stderr);
    const lines = jsonLines<Line>(result);
    assert.deepEqual(
      lines.map(({ requests, refused }) => [requests, refused]),
      [
        [40, 0],
        [40, 0],
      ],
    );
    assert.ok(lines.every((line) => Number(line["output_tokens_per_second"]) > 0 && Number(line["ttft_ms_p50"]) > 0));
  });
});
