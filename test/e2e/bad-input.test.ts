import * as grpc from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { PROTOCOL_VERSION, v1 } from "../../proto/messages.js";
import { createClient } from "../../proto/rpc.js";
import { DEMO_MODEL } from "../paths.js";
import { jsonLines, moesaic, RunningCluster, temporaryFolder } from "./moesaic.js";

const MODEL = ["--model", DEMO_MODEL];

/** Command lines that are wrong, with the exit code and what standard error must say. */
const WRONG_USAGE: readonly [name: string, args: string[], code: number, message: RegExp][] = [
  ["no command", [], 2, /expected a command/],
  ["an unknown command", ["genrate"], 2, /genrate; did you mean generate\?/],
  ["an unknown flag", ["generate", ...MODEL, "--max-token", "3"], 2, /max-token; did you mean max-tokens\?/],
  ["a command of a group that is missing", ["plan"], 2, /plan needs one of: explain, check/],
  ["no model", ["generate", "--tokens", "1"], 2, /expected one of --endpoint, --model, got none/],
  [
    "two ways to a model",
    ["generate", ...MODEL, "--endpoint", "127.0.0.1:1", "--tokens", "1"],
    2,
    /got --\w+ and --\w+/,
  ],
  [
    "a layout for a running cluster",
    ["generate", "--endpoint", "127.0.0.1:1", "--tp", "2", "--tokens", "1"],
    2,
    /leave out --tp/,
  ],
  ["no input", ["generate", ...MODEL], 2, /expected one of --prompt, --tokens and --input, got none/],
  ["two inputs", ["generate", ...MODEL, "--prompt", "a", "--tokens", "1"], 2, /got --prompt and --tokens/],
  [
    "tokens that are none",
    ["generate", ...MODEL, "--tokens", "1,x"],
    2,
    /--tokens: expected token ids such as 1,2,3, got 1,x/,
  ],
  [
    "a number that is none",
    ["generate", ...MODEL, "--tokens", "1", "--seed", "abc"],
    2,
    /--seed: expected a whole number/,
  ],
  ["a flag given twice", ["generate", ...MODEL, ...MODEL, "--tokens", "1"], 2, /--model: expected once/],
  [
    "a number given twice",
    ["generate", ...MODEL, "--tokens", "1", "--seed", "1", "--seed", "2"],
    2,
    /--seed: expected a whole number.*got 1,2/,
  ],
  [
    "an impossible block size",
    ["generate", ...MODEL, "--tokens", "1", "--block-size", "12"],
    2,
    /--block-size: expected a power of two/,
  ],
  ["an unknown device", ["generate", ...MODEL, "--tokens", "1", "--device", "tpu"], 2, /device/],
  ["an unknown log level", ["generate", ...MODEL, "--tokens", "1", "--log-level", "loud"], 2, /log-level/],
  ["an input file that is absent", ["generate", ...MODEL, "--input", "absent.jsonl"], 2, /absent\.jsonl/],
  [
    "a model that is absent",
    ["generate", "--model", "absent-model", "--tokens", "1"],
    1,
    /absent-model\/config\.json: there is no such file/,
  ],
  ["a dummy shape that is unknown", ["bench", "latency", "--dummy", "gpt-oss-21b"], 1, /did you mean gpt-oss-20b\?/],
  [
    "a layout that the model does not have",
    ["generate", ...MODEL, "--tokens", "1", "--ep", "17"],
    1,
    /expected at most 16, the experts there are, got 17/,
  ],
  [
    "an endpoint where nobody listens",
    ["status", "--endpoint", "127.0.0.1:1"],
    1,
    /no coordinator answers at 127\.0\.0\.1:1/,
  ],
  ["a job where nobody listens", ["jobs", "list", "--endpoint", "127.0.0.1:1"], 1, /no coordinator answers.*Start one/],
  ["a drain where nobody listens", ["drain", "--endpoint", "127.0.0.1:1"], 1, /no coordinator answers.*Start one/],
  ["a chat where nobody listens", ["chat", "--endpoint", "127.0.0.1:1", "--message", "a"], 1, /no coordinator answers/],
  ["a file that is missing", ["up"], 2, /expected <file>, which is missing; see moesaic up --help/],
  ["two files that are missing", ["plan", "diff", "a"], 2, /expected <before> <after>, which is missing/],
  ["a file of a group that is missing", ["jobs", "submit"], 2, /see moesaic jobs submit --help/],
  ["a flag that is missing", ["logits", ...MODEL], 2, /expected --out, which is missing; see moesaic logits --help/],
  ["another log level", ["doctor", "--log-level", "loud"], 2, /--log-level: expected one of debug, .*, got loud$/m],
  ["another shell", ["completion", "tcsh"], 2, /<shell>: expected one of bash, zsh, fish, got tcsh$/m],
  ["a folder for a file", ["up", "docs"], 1, /docs: expected a cluster file, got a folder; name the file in it/],
  ["no trace", ["sim", "--dummy", "gpt-oss-20b", "--trace", "absent"], 2, /absent/],
  ["a worker without a coordinator", ["worker"], 2, /expected one of --join HOST:PORT and --bus/],
  ["a cluster file that is absent", ["up", "absent.yaml"], 1, /absent\.yaml/],
];

const COMMANDS = [
  ...["up x", "worker", "status", "drain", "generate", "chat", "logits", "sim", "build", "completion bash", "doctor"],
  ...["submit x", "list", "watch x", "get x", "cancel x", "delete x"].map((name) => `jobs ${name}`),
  ...["explain", "check x", "diff x y"].map((name) => `plan ${name}`),
  ...["list", "explain"].map((name) => `kernels ${name}`),
  ...["latency", "throughput", "batch", "comm", "load", "kernels", "kv", "trace", "calibrate"].map(
    (name) => `bench ${name}`,
  ),
];

describe("moesaic with wrong usage", () => {
  it("sends who gives a flag that no command has to the command's own help", async () => {
    for (const command of COMMANDS) {
      const words = command.split(" ").filter((word) => word.length > 1);
      const name = words.filter((word) => word !== "bash").join(" ");
      const out = name === "logits" ? ["--out", "x"] : [];
      const { code, stdout, stderr } = await moesaic([...command.split(" "), ...out, "--frobnicate"]);
      assert.equal(stderr, `moesaic: Unknown argument: frobnicate; see moesaic ${name} --help\n`);
      assert.deepEqual([code, stdout], [2, ""], command);
    }
  });

  for (const [name, args, code, message] of WRONG_USAGE) {
    it(`refuses ${name} with exit code ${code}`, async () => {
      const result = await moesaic(args);
      assert.match(result.stderr, message);
      assert.match(result.stderr, /^moesaic: /);
      assert.doesNotMatch(result.stderr, /\n {4}at /, "no stack for what a user did");
      assert.deepEqual({ code: result.code, stdout: result.stdout }, { code, stdout: "" });
    });
  }

  it("also tells the error on standard output with --json", async () => {
    const result = await moesaic(["generate", "--model", "absent-model", "--tokens", "1", "--json"]);
    const [{ error }] = jsonLines<{ error: Record<string, unknown> }>(result) as [{ error: Record<string, unknown> }];
    assert.equal(error["code"], "not_found");
    assert.match(String(error["place"]), /absent-model/);
  });

  it("tells every bad line of an input file and runs nothing", async (test) => {
    const lines = [
      '{"tokens":[1]}',
      "{",
      '{"tokens":[1],"prompt":"a"}',
      '{"tokens":[1.5]}',
      '{"tokens":[1],"max_token":3}',
      '{"id":1}',
    ];
    const file = fileWith(test, "requests.jsonl", lines.join("\n"));
    const { code, stdout, stderr } = await moesaic(["generate", ...MODEL, "--input", file]);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
    assert.match(stderr, /5 problems/);
    for (const line of [2, 3, 4, 5, 6]) assert.match(stderr, new RegExp(`requests\\.jsonl:${line}: `));
    assert.match(stderr, /max_token: no such key; did you mean max_tokens\?/);
  });
});

describe("moesaic up with a bad cluster file", () => {
  const head = "apiVersion: moesaic.dev/v1\nkind: Cluster\nmetadata: { name: a }\n";
  const cases: [name: string, yaml: string, message: RegExp][] = [
    ["broken YAML", `${head}spec: { model: [`, /cluster\.yaml:4:/],
    [
      "an unknown key",
      `${head}spec:\n  model: ${DEMO_MODEL}\n  replica: 1\n`,
      /cluster\.yaml:6:3: spec\.replica: no such key; did you mean replicas\?/,
    ],
    [
      "what is not there yet",
      `${head}spec:\n  model: ${DEMO_MODEL}\n  engine: { precision: fast }\n`,
      /cluster\.yaml:6:24: spec\.engine\.precision: fast has kernels on GPUs alone/,
    ],
  ];
  for (const [name, yaml, message] of cases) {
    it(`refuses ${name}`, async (test) => {
      const result = await moesaic(["up", fileWith(test, "cluster.yaml", yaml), "--log-level", "error"]);
      assert.match(result.stderr, message);
      assert.equal(result.code, 1);
    });
  }

  it("tells why a model cannot be loaded and ends with exit code 1", async (test) => {
    const folder = temporaryFolder(test);
    cpSync(DEMO_MODEL, folder, { recursive: true });
    writeFileSync(join(folder, "model.safetensors"), "not a checkpoint, only some bytes");
    const yaml = `${head}spec:\n  model: ${folder}\n  api: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" }\n`;
    const result = await moesaic(["up", fileWith(test, "cluster.yaml", yaml), "--json", "--log-level", "error"]);
    assert.match(result.stderr, /moesaic: .*model\.safetensors/);
    assert.equal(result.code, 1);
  });

  it("is checked by plan check without being launched, every file", async (test) => {
    const good = fileWith(test, "good.yaml", `${head}spec:\n  model: ${DEMO_MODEL}\n`);
    const bad = fileWith(test, "bad.yaml", `${head}spec:\n  model: 7\n  spares: -1\n`);
    const { code, stdout } = await moesaic(["plan", "check", good, bad]);
    assert.equal(code, 1);
    assert.match(stdout, /good\.yaml: ok\n/);
    assert.match(stdout, /bad\.yaml: 2 problems/);
  });
});

describe("a running cluster", () => {
  it("refuses bad requests by their place and serves on", async (test) => {
    const { client } = await RunningCluster.launch(test, { maxModelLen: 64 });
    const refuses = async (request: Parameters<typeof client.complete>[0], message: RegExp): Promise<void> => {
      await assert.rejects(client.complete(request), { code: "invalid_argument", message });
    };
    await refuses({ tokenIds: Array.from({ length: 65 }, () => 1) }, /65 tokens.*64/);
    await refuses({ tokenIds: [] }, /./);
    await refuses({ tokenIds: [-1] }, /-1/);
    await refuses({ tokenIds: [2_048] }, /2048/);
    await refuses({ prompt: "a", sampling: { temperature: 3, topP: 0 } }, /temperature.*top_p/);
    await refuses({ prompt: "a", sampling: { temperature: NaN } }, /temperature/);
    await refuses({ prompt: "a", sampling: { maxTokens: 0.5 } }, /whole number/);
    await refuses({ messages: [] }, /at least one message/);
    await assert.rejects(client.complete({ prompt: "a", model: "another" }), { code: "not_found" });
    const { choices } = await client.complete({ tokenIds: [1], sampling: { maxTokens: 1 } });
    assert.equal(choices[0]!.tokenIds.length, 1);
  });

  it("refuses a worker of another protocol version, and a worker it has no seat for", async (test) => {
    const { endpoint } = await RunningCluster.launch(test);
    await assert.rejects(
      attach(endpoint, PROTOCOL_VERSION + 1),
      new RegExp(`protocol: the rank speaks version ${PROTOCOL_VERSION + 1}, this coordinator ${PROTOCOL_VERSION}`),
    );
    await assert.rejects(attach(endpoint, PROTOCOL_VERSION), /no free seat/);
  });
});

/** A worker that only says Hello; rejects with what it is told. */
async function attach(endpoint: string, protocolVersion: number): Promise<void> {
  const channel = new grpc.Client(endpoint, grpc.credentials.createInsecure());
  try {
    const stream = createClient(v1.Rank, channel).attach({ deadline: Date.now() + 20_000 });
    const ended = new Promise<void>((resolve, reject) => {
      stream.on("error", reject);
      stream.on("end", resolve);
      stream.resume();
    });
    stream.write({ hello: { protocol_version: protocolVersion, host_id: "test", pid: 1 } });
    await ended;
  } finally {
    channel.close();
  }
}

function fileWith(test: TestContext, name: string, text: string): string {
  const file = join(temporaryFolder(test), name);
  writeFileSync(file, text);
  return file;
}
