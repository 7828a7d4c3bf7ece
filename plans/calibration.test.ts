import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { thrownBy } from "../test/thrown.js";
import { knownBy, parseCalibration, renderCalibration } from "./calibration.js";

const DIR = "plans/machines";
const FILES = readdirSync(DIR);

describe("a calibration file", () => {
  it("is read as it was written", () => {
    for (const file of FILES) {
      const read = parseCalibration(readFileSync(`${DIR}/${file}`, "utf8"), file);
      assert.deepEqual(parseCalibration(renderCalibration(read), file), read);
      assert.ok(read.steps.length >= 8 && Object.keys(read.figures).length >= 8, file);
      assert.equal(knownBy(read).source, `calibrated on ${read.machine}, ${read.date}`);
    }
  });

  it("has figures that explain its steps: no known machine is off by more than a fifth in any", () => {
    for (const file of FILES) {
      const { steps } = parseCalibration(readFileSync(`${DIR}/${file}`, "utf8"), file);
      for (const { name, ms, fittedMs } of steps) {
        assert.ok(Math.abs(fittedMs / ms - 1) < 0.2, `${file}, ${name}: ${fittedMs} for ${ms} ms`);
      }
    }
  });

  it("is refused with its place and the field that is wrong", () => {
    const good = JSON.parse(readFileSync(`${DIR}/h100.json`, "utf8")) as Record<string, unknown>;
    const figures = good["figures"] as Record<string, number>;
    const bad: [file: unknown, message: RegExp][] = [
      [[], /expected a calibration as moesaic bench calibrate writes it: the file: /],
      [{ ...good, version: 2 }, /: version: /],
      [{ ...good, date: "yesterday" }, /: date: /],
      [{ ...good, memory_bytes: -1 }, /: memory_bytes: /],
      [{ ...good, figures: { ...figures, read_bytes_per_second: 0 } }, /: figures\.read_bytes_per_second: /],
      [{ ...good, figures: { ...figures, op_us: -1 } }, /: figures\.op_us: /],
      [{ ...good, figures: { ...figures, luck: 1 } }, /luck/],
      [{ ...good, steps: [{}] }, /: steps\.0\.name: /],
    ];
    for (const [file, message] of bad) {
      const error = thrownBy(() => parseCalibration(JSON.stringify(file), "x.json"));
      assert.equal(error.code, "invalid_argument");
      assert.match(error.message, message);
      assert.equal(error.place, "x.json");
    }
    assert.match(thrownBy(() => parseCalibration("{", "x.json")).message, /^expected a calibration in JSON: /);
  });

  it("of the H100 has the steps that were measured", () => {
    const { steps } = parseCalibration(readFileSync(`${DIR}/h100.json`, "utf8"), "h100.json");
    const msOf = (name: string): number => steps.find((step) => step.name === name)!.ms;
    const near = (value: number, measured: number): void =>
      assert.ok(Math.abs(value / measured - 1) < 0.005, `${value}, measured ${measured}`);
    const [throughput, kv] = [column("throughput", "itl_ms_p50"), column("kv", "ms_per_token")];
    near(msOf("decode 64 of 384 tokens"), mean(throughput));
    near(msOf("decode 1 of 1040 tokens"), kv[0]!);
    near(msOf("decode 1 of 16400 tokens"), kv[2]!);
    near(msOf("first token after 1024"), 1_000 * column("kv", "prefill_s")[0]!);
    near(msOf("first token after 128"), mean(column("latency", "ttft_ms")));
  });
});

function column(bench: string, name: string): number[] {
  const [header = "", ...lines] = readFileSync(`test/bench/results/h100-${bench}-20b.csv`, "utf8").trim().split("\n");
  const at = header.split(",").indexOf(name);
  return lines.map((line) => Number(line.split(",")[at]));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
