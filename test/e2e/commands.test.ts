import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { DEMO_MODEL, ROOT } from "../paths.js";
import { jsonLines, moesaic, RunningCluster, temporaryFolder } from "./moesaic.js";

const MODEL = ["--model", DEMO_MODEL];

describe("moesaic status", () => {
  it("shows the state of a cluster for people and for programs, as plan explain had foretold its memory", async (test) => {
    const settings = ["--max-model-len", "4096", "--num-blocks", "300", "--max-batched-tokens", "64"];
    const explained = await moesaic(["plan", "explain", ...MODEL, ...settings, "--json"]);
    const [{ arenas }] = jsonLines<{ arenas: Record<string, number> }>(explained) as [
      { arenas: Record<string, number> },
    ];
    const { endpoint } = await RunningCluster.launch(test, {
      engine: { numBlocks: 300 },
      scheduler: { maxBatchedTokens: 64 },
    });
    const [status] = jsonLines<StatusLine>(await moesaic(["status", "--endpoint", endpoint, "--json"]));
    assert.equal(status!.state, "ready");
    const { ranks, scheduler } = status!.replicas[0]!;
    assert.deepEqual(ranks[0]!.arenas, {
      weights: arenas["weights_bytes"],
      kv: arenas["kv_bytes"],
      workspace: arenas["workspace_bytes"],
    });
    assert.deepEqual([scheduler.num_blocks, scheduler.num_free_blocks, scheduler.num_running], [300, 299, 0]);
    const { stdout } = await moesaic(["status", "--endpoint", endpoint]);
    assert.match(stdout, /^test: moesaic-demo, ready, up \d+ s, moesaic /);
    assert.match(stdout, /KV blocks: 299 of 300 free; used: full 0, sliding 0/);
  });
});

describe("moesaic chat", () => {
  it("holds a conversation that knows what was said, and leaves at /exit", async () => {
    const stdin = "What is the capital of Peru?\nWhat about Brazil?\n/exit\nnever said\n";
    const { code, stdout } = await moesaic(["chat", ...MODEL, "--temperature", "0"], { stdin });
    assert.equal(code, 0);
    assert.match(stdout, /^thinking:$/m);
    assert.match(stdout, /^answer:\n.*Lima[\s\S]*^answer:\n.*Brasilia/m);
    assert.equal(stdout.match(/tok\/s/g)?.length, 2);
  });

  it("streams its parts as JSON lines with --json", async () => {
    const args = ["chat", ...MODEL, "--message", "What is the capital of France?", "--temperature", "0", "--json"];
    const events = jsonLines<{ event: string; text: string; reasoning?: string }>(await moesaic(args));
    const textOf = (kind: string) =>
      events
        .filter(({ event }) => event === kind)
        .map(({ text }) => text)
        .join("");
    assert.equal(textOf("content"), "The capital of France is Paris.");
    assert.deepEqual(textOf("reasoning"), events.at(-1)!.reasoning);
    assert.equal(events.at(-1)!.event, "finish");
  });
});

describe("moesaic bench", () => {
  it("measures latency beside the bandwidth of the same run, and appends to a CSV file", async (test) => {
    const csv = join(temporaryFolder(test), "results.csv");
    const plot = join(temporaryFolder(test), "latency.svg");
    const sizes = ["--prompt-len", "16", "--output-len", "8", "--repeats", "2", "--plot", plot];
    for (let run = 0; run < 2; run += 1) {
      const result = await moesaic(["bench", "latency", ...MODEL, ...sizes, "--csv", csv, "--json"]);
      assert.equal(result.code, 0, result.stderr);
      const [figures] = jsonLines<Record<string, number | boolean>>(result);
      assert.equal(figures!["runs_agree"], true);
      assert.equal(figures!["agrees_with_reference"], true);
      for (const name of ["ttft_ms", "itl_ms_p50", "tokens_per_second", "bytes_per_token", "engine_percent"]) {
        assert.ok(Number(figures![name]) > 0, `${name} is ${figures![name]}`);
      }
      assert.ok(Number(figures!["bandwidth_percent"]) < 100, "nothing decodes faster than memory is read");
    }
    assert.match(readFileSync(plot, "utf8"), /^<svg .*tokens of the sequence/s);
    const lines = readFileSync(csv, "utf8").trimEnd().split("\n");
    assert.equal(lines.length, 3);
    assert.match(lines[0]!, /^bench,version,.*tokens_per_second/);
  });

  it("measures the throughput of many streams of a model with random weights", async () => {
    const args = ["--dummy", "gpt-oss-20b:1", "--concurrency", "3", "--prompt-len", "4", "--output-len", "3", "--json"];
    const result = await moesaic([
      "bench",
      "throughput",
      ...args,
      "--max-model-len",
      "64",
      "--max-batched-tokens",
      "32",
    ]);
    assert.equal(result.code, 0, result.stderr);
    const [figures] = jsonLines<Record<string, number | boolean | string>>(result);
    assert.equal(figures!["model"], "dummy:gpt-oss-20b:1");
    assert.ok(Number(figures!["output_tokens_per_second"]) > 0);
  });
});

describe("moesaic doctor", () => {
  it("finds the packages of this build and a kernel for every op", async () => {
    const { code, stdout } = await moesaic(["doctor", "--json"]);
    const { ok, findings } = JSON.parse(stdout) as {
      ok: boolean;
      findings: { name: string; state: string; text: string }[];
    };
    assert.deepEqual({ code, ok }, { code: 0, ok: true });
    const states = Object.fromEntries(findings.map(({ name, state }) => [name, state]));
    assert.deepEqual([states["kernels/cpu"], states["kernels/reference"]], ["ok", "ok"]);
    assert.match(findings.find(({ name }) => name === "ops")!.text, /attention: \w+\/attention/);
    assert.equal(findings.at(-1)!.name, "memory bandwidth", "what takes long comes last");
  });
});

describe("moesaic --help", () => {
  it("tells of every command, and of its flags with defaults and examples", async () => {
    const { code, stdout } = await moesaic(["--help"]);
    assert.equal(code, 0);
    const names = [...stdout.matchAll(/^ {2}moesaic (\w+)/gm)].map(([, name]) => name!);
    assert.ok(names.length >= 10);
    const commandOfGroup: Record<string, string[]> = {
      plan: ["check"],
      kernels: ["list"],
      bench: ["latency"],
      jobs: ["submit"],
    };
    for (const name of names) {
      const help = await moesaic([name, ...(commandOfGroup[name] ?? []), "--help"]);
      assert.match(help.stdout, /Options:[\s\S]*Examples:\n/, `examples of ${name}`);
    }
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    assert.equal((await moesaic(["--version"])).stdout, `${version}\n`);
  });
});

interface StatusLine {
  state: string;
  replicas: {
    ranks: { arenas: Record<string, number> }[];
    scheduler: { num_blocks: number; num_free_blocks: number; num_running: number };
  }[];
}
