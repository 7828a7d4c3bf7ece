import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { HarmonyText } from "../coordinator/api/choice-text.js";
import { openServedModel } from "../coordinator/api/model.js";
import { chatParameters } from "../coordinator/api/openai/chat-request.js";
import { completionParameters } from "../coordinator/api/openai/completion-request.js";
import { responseParameters } from "../coordinator/api/openai/response-request.js";
import { Metrics } from "../coordinator/metrics.js";
import { keyedBlockHash } from "../coordinator/scheduler/block-hash.js";
import { Scheduler } from "../coordinator/scheduler/scheduler.js";
import { MoesaicClient } from "../client/index.js";
import { CLUSTER_SPEC_DEFAULTS } from "../plans/cluster-spec-defaults.js";
import { checkSupported, parseClusterSpec } from "../plans/cluster-spec.js";
import { kvGroupsOf } from "../plans/kv-groups.js";
import { native, packagePath } from "../native/index.js";
import { explainPlan } from "../plans/explain.js";
import { lower } from "../plans/lower.js";
import { describeDummy, describeModel } from "../plans/model-description.js";
import type { RankProgram } from "../plans/rank-program.js";
import { resolvePlan } from "../plans/resolved-plan.js";
import { parseShardingPlan } from "../plans/sharding-plan.js";
import { silentLogger } from "../proto/log.js";
import { v1 } from "../proto/messages.js";
import { serviceDefinition, type ServiceClass } from "../proto/rpc.js";
import { FINISH_NONE, FINISH_STOP, type StepPlan, type StepResult } from "../proto/step.js";

/** Documents a reader meets first, by path from the repository's root, where tests run. */
const PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", ...pagesOf("docs")];
const MAIN = "dist/cli/main.js";
const PROGRAM = /^(npx moesaic|node dist\/cli\/main\.js) /;
const MODEL_DIR = "models/moesaic-demo";

// ---- commands ------------------------------------------------------------------------------------------------------

describe("README", () => {
  it("begins with the command that shows it and the command that tests it", () => {
    const commands = blocksOf("README.md")
      .flatMap(({ lines }) => lines)
      .filter((line) => /^(npm|npx|make|\.\/)/.test(line));
    assert.deepEqual(commands.slice(0, 2), ["npm ci && npm run demo", "npm ci && npm test"]);
  });

  it("uses the client as it is", () => {
    const code = blocksOf("README.md").filter(({ language }) => language === "ts");
    assert.ok(code.length > 0);
    const calls = code.flatMap(({ lines }) => [...lines.join("\n").matchAll(/\bclient\.(\w+)\(/g)]);
    assert.ok(calls.length >= 2);
    for (const [, name] of calls) assert.ok(Object.hasOwn(MoesaicClient.prototype, name!), `the client has no ${name}`);
  });

  it("lists every command that the program has, and no other", async () => {
    const listed = [...readFileSync("README.md", "utf8").matchAll(/^\| `moesaic (.+?)` \|/gm)].map(([, text]) =>
      words(text!),
    );
    assert.deepEqual(new Set(listed.map(([first]) => first)), new Set(await subcommands([])));
    for (const path of listed) assert.ok(await isCommand(path), `moesaic ${path.join(" ")}`);
  });
});

describe("command lines in the documents", () => {
  for (const { page, line } of commandLines()) {
    it(`${page}: ${line}`, async () => {
      const command = line.replace(PROGRAM, "");
      const path = words(command);
      assert.ok(await isCommand(path), `there is no command ${path.join(" ")}`);
      const help = await helpOf(path);
      const flags = [...command.matchAll(/(?<=\s)--[\w-]+/g)].map(([flag]) => flag);
      for (const flag of flags) assert.match(help, new RegExp(`${flag}(?![\\w-])`), `it has no ${flag}`);
    });
  }

  it("are found", () => assert.ok(commandLines().length >= 8));
});

interface Block {
  language: string;
  lines: string[];
}

function blocksOf(page: string): Block[] {
  const found = readFileSync(page, "utf8").matchAll(/^```(\w*)\n([\s\S]*?)^```/gm);
  return [...found].map(([, language, body]) => ({ language: language!, lines: body!.trimEnd().split("\n") }));
}

function commandLines(): { page: string; line: string }[] {
  return PAGES.flatMap((page) =>
    blocksOf(page)
      .flatMap(({ lines }) => lines)
      .filter((line) => PROGRAM.test(line))
      .map((line) => ({ page, line })),
  );
}

function pagesOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".md"))
    .map((name) => `${folder}/${name}`);
}

const GROUPS = ["plan", "bench", "jobs", "kernels"];

/** The words of a command line that name the command: one, or two of a group. */
function words(line: string): string[] {
  const [first = "", second = ""] = line.split(/\s+/);
  return GROUPS.includes(first) ? [first, second] : [first];
}

const helps = new Map<string, Promise<string>>();

/** What `moesaic PATH --help` prints; each is asked for once. */
function helpOf(path: readonly string[]): Promise<string> {
  const key = path.join(" ");
  const help =
    helps.get(key) ?? promisify(execFile)(process.execPath, [MAIN, ...path, "--help"]).then(({ stdout }) => stdout);
  helps.set(key, help);
  return help;
}

/** For what it does not know the program prints its own help, so the usage line must say the command's name. */
async function isCommand(path: readonly string[]): Promise<boolean> {
  return path[0] !== "" && new RegExp(`^moesaic ${path.join(" ")}\\b`).test(await helpOf(path));
}

async function subcommands(path: readonly string[]): Promise<string[]> {
  const found = (await helpOf(path)).matchAll(/^ {2}moesaic (\S+)/gm);
  return [...found].map(([, name]) => name!);
}

// ---- paths and names -----------------------------------------------------------------------------------------------

describe("paths in the documents", () => {
  for (const page of PAGES) {
    it(`${page} names files that exist`, () => {
      const missing = pathsOf(page).filter((path) => !existsSync(path) && !isBuilt(path));
      assert.deepEqual(missing, []);
    });
  }

  it("are found in ARCHITECTURE.md", () => assert.ok(pathsOf("ARCHITECTURE.md").length > 60));

  it("have the functions that stand in brackets beside them", () => {
    const named = PAGES.flatMap(functionsOf);
    assert.ok(named.length > 30);
    const missing = named.filter(
      ({ path, name }) => !new RegExp(`(?<!\\w)${name}\\b`).test(readFileSync(path, "utf8")),
    );
    assert.deepEqual(missing, []);
  });
});

/** In backticks and with a folder: `plans/lower.ts`, `docs/`; patterns with a star stand for many. */
function pathsOf(page: string): string[] {
  const text = readFileSync(page, "utf8").replace(/^```[\s\S]*?^```/gm, "");
  const inTicks = [...text.matchAll(/`([\w.-]+\/[\w./-]*)`/g)].map(([, path]) => path!);
  const linked = [...text.matchAll(/\]\(([\w./-]+)(#[\w-]+)?\)/g)].map(([, path]) => path!);
  return [
    ...inTicks.filter((path) => !path.startsWith("application/")),
    ...linked.map((path) => relativeTo(page, path)),
  ];
}

function relativeTo(page: string, path: string): string {
  return page.includes("/") ? `${page.slice(0, page.lastIndexOf("/"))}/${path}` : path;
}

/** Not in the repository, made by the build. */
function isBuilt(path: string): boolean {
  return /^(build|dist)\//.test(path);
}

/** `path` (`name`, `Class.name`): the last part of each name is to be found in the file. */
function functionsOf(page: string): { path: string; name: string }[] {
  const found = readFileSync(page, "utf8").matchAll(/`([\w./-]+\.(?:ts|cc|h|mjs))` \(((?:`[^`]+`(?:, )?)+)\)/g);
  return [...found].flatMap(([, path, names]) =>
    [...names!.matchAll(/`([^`]+)`/g)].map(([, name]) => ({ path: path!, name: name!.split(/[.:]+/).at(-1)! })),
  );
}

// ---- reference pages -----------------------------------------------------------------------------------------------

describe("docs/cluster-yaml.md", () => {
  it("has every key with its default", () => {
    const rows = readFileSync("docs/cluster-yaml.md", "utf8").matchAll(/^\| `(spec\.[\w.[\]]+)` \| (.+?) \|/gm);
    const listed = Object.fromEntries([...rows].map(([, path, value]) => [path!, value!]));
    const defaults = Object.fromEntries(CLUSTER_SPEC_DEFAULTS.map((row) => [row.path, String(row.default ?? "none")]));
    assert.deepEqual(listed, defaults);
  });
});

describe("docs/api.md", () => {
  it("is what the comments in client/ say", async () => {
    await promisify(execFile)(process.execPath, ["scripts/build-api-reference.mjs", "--check"]);
    const page = readFileSync("docs/api.md", "utf8");
    const methods = Object.getOwnPropertyNames(MoesaicClient.prototype).filter((name) => name !== "constructor");
    for (const name of methods) assert.match(page, new RegExp(`^  ${name}\\(`, "m"), `${name} is not in it`);
  });
});

describe("docs/grpc.md", () => {
  it("has every call and every field that a client sees", () => {
    // That it is what the comments say is checked with docs/api.md.
    const page = readFileSync("docs/grpc.md", "utf8");
    for (const service of [v1.Inference, v1.Jobs, v1.Cluster]) {
      for (const { path } of Object.values(serviceDefinition(service as ServiceClass<object>))) {
        assert.match(page, new RegExp(`^\\| \`${path.split("/")[2]}\` \\|`, "m"), path);
      }
    }
    const fields = Object.keys(
      v1.StatusResponse.toObject(v1.StatusResponse.create({}), { defaults: true, arrays: true }),
    );
    assert.ok(fields.length > 8);
    for (const field of fields) assert.match(page, new RegExp(`^\\| \`${field}\` \\| \\d+ \\|`, "m"));
  });
});

describe("YAML in the documents", () => {
  for (const [index, { page, text }] of yamlBlocks().entries()) {
    it(`${page}, block ${index} of all, is accepted`, () => {
      if (/^kind: ShardingPlan/m.test(text)) assert.equal(parseShardingPlan(text, page).kind, "ShardingPlan");
      else checkSupported(parseClusterSpec(text, page));
    });
  }

  it("is found", () => assert.ok(yamlBlocks().length >= 4));
});

function yamlBlocks(): { page: string; text: string }[] {
  return PAGES.flatMap((page) =>
    blocksOf(page)
      .filter(({ language }) => language === "yaml")
      .map(({ lines }) => ({ page, text: lines.join("\n") })),
  );
}

describe("docs/operating.md", () => {
  it("lists the metrics that there are, with their kinds", async () => {
    const rendered = await new Metrics("demo", () => []).render();
    const kinds = Object.fromEntries(
      [...rendered.matchAll(/^# TYPE ((?:moesaic_|vllm:)\w+) (\w+)$/gm)].map(([, name, kind]) => [name!, kind!]),
    );
    const rows = readFileSync("docs/operating.md", "utf8").matchAll(/^\| `((?:moesaic_|vllm:)\w+)` \| (\w+) \|/gm);
    assert.deepEqual(Object.fromEntries([...rows].map(([, name, kind]) => [name!, kind!])), kinds);
  });
});

// ---- the explained plan --------------------------------------------------------------------------------------------

// Computed for the same numbers of tokens and blocks as on the page. What depends on the machine is left out there.
describe("From plan to program, in ARCHITECTURE.md", () => {
  it("shows what plan explain prints of gpt-oss-20b", () => {
    const shown = blocksOf("ARCHITECTURE.md").find(({ lines }) => lines[0]!.startsWith("dummy:gpt-oss-20b"))!;
    const printed = new Set(explain20b().split("\n").map(plain));
    const lines = shown.lines
      .map((line) => plain(line.split("←")[0]!))
      .filter((line) => !/^(workspace|total 15)/.test(line));
    assert.ok(lines.length > 20);
    assert.deepEqual(
      lines.filter((line) => !printed.has(line)),
      [],
    );
  });
});

function explain20b(): string {
  const limits = { maxBatchedTokens: 512, maxSequences: 256, maxSeqLen: 32_112, blockSize: 16, numBlocks: 2_049 };
  const model = describeDummy("gpt-oss-20b");
  const programOf = (dequantize: boolean) =>
    lower(model, resolvePlan("auto", model, 1), 0, { limits, precision: "exact", dequantize });
  const sizesOf = (program: RankProgram) =>
    native.describeProgram(program, {
      packages: ["cpu", "reference"].map(packagePath),
      numThreads: 2,
      device: "cpu",
      deterministic: true,
    });
  const program = programOf(false);
  const sizes = { sizes: sizesOf(program), otherSizes: sizesOf(programOf(true)) };
  const rest = { dequantize: false, choices: [], defaults: [], readBytesPerSecond: null };
  return explainPlan({ modelName: "dummy:gpt-oss-20b", program, ...sizes, ...rest }).text;
}

function plain(line: string): string {
  return line.trim().replaceAll(/ +/g, " ");
}

// ---- parameters of the HTTP API ------------------------------------------------------------------------------------

describe("docs/http-api.md", () => {
  const endpoints: [section: string, parameters: readonly string[]][] = [
    ["Chat completions", chatParameters],
    ["Completions", completionParameters],
    ["Responses", responseParameters],
  ];
  const shared = parametersOf("Sampling, for all three");
  for (const [section, parameters] of endpoints) {
    it(`lists every parameter of ${section.toLowerCase()}, and no other`, () => {
      const own = parametersOf(section);
      assert.deepEqual(
        parameters.filter((name) => !own.includes(name) && !shared.includes(name)),
        [],
      );
      assert.deepEqual(
        own.filter((name) => !parameters.includes(name)),
        [],
      );
    });
  }

  it("lists no parameter of sampling that there is not", () => {
    const known = new Set(endpoints.flatMap(([, parameters]) => parameters));
    assert.ok(shared.length > 15 && shared.every((name) => known.has(name)));
  });
});

/** Names in backticks in the first column of a section's table. */
function parametersOf(section: string): string[] {
  const [, text = ""] = readFileSync("docs/http-api.md", "utf8").split(`\n## ${section}\n`);
  const rows = text.split("\n## ")[0]!.matchAll(/^\| (`.+?`) \| /gm);
  return [...rows].flatMap(([, names]) => [...names!.matchAll(/`(\w+)`/g)].map(([, name]) => name!));
}

// ---- the followed token --------------------------------------------------------------------------------------------

interface Golden {
  messages: { role: "user"; content: string }[];
  template_args: { model_identity: string; knowledge_cutoff: string; current_date: string; reasoning_effort: "low" };
  prompt_tokens: number[];
  generated_tokens: number[];
}

// The scheduler runs the golden request with the golden tokens as results; what it plans is what the page says.
describe("Follow one token, in ARCHITECTURE.md", () => {
  const page = readFileSync("ARCHITECTURE.md", "utf8");
  const [golden] = (readJson(`${MODEL_DIR}/golden_generations.json`) as { generations: [Golden] }).generations;
  const description = describeModel(readJson(`${MODEL_DIR}/config.json`), "config.json");

  it("has the prompt's ids as the model renders it, and the answer's", async () => {
    const model = await openServedModel("demo", description, MODEL_DIR, 1_024);
    const { model_identity: modelIdentity, knowledge_cutoff: knowledgeCutoff, ...template } = golden.template_args;
    const { current_date: currentDate, reasoning_effort: reasoningEffort } = template;
    const options = { modelIdentity, knowledgeCutoff, currentDate, reasoningEffort };
    const tokenIds = model.renderer!.render(golden.messages, [], options);
    assert.equal(tokenIds.length, 81);
    assert.ok(page.replaceAll(/\s+/g, " ").includes(tokenIds.join(" ")), "the prompt's ids");
    assert.ok(page.includes(golden.generated_tokens.join(" ")), "the answer's ids");
  });

  it("has the plans of steps 1, 4 and 17", () => {
    const plans = planSteps(golden, description);
    assert.equal(plans.length, golden.generated_tokens.length);
    for (const number of [1, 17]) {
      const [full, sliding] = plans[number - 1]!.blockDeltas.map((deltas) => `[${[...deltas].join(",")}]`);
      assert.match(page, new RegExp(`^step ${number} +full ${escaped(full!)} +sliding ${escaped(sliding!)}$`, "m"));
    }
    const { tokenIds, positions, queryStarts, seqLens, blockDeltas } = plans[3]!;
    assert.deepEqual([[...tokenIds], [...positions], [...queryStarts], [...seqLens]], [[2026], [83], [0, 1], [84]]);
    assert.ok(blockDeltas.every((deltas) => deltas.length === 0));
    assert.match(page, /Step 4: token 2026 at position 83, `queryStarts` \[0, 1\], `seqLens` \[84\]/);
  });

  it("has the first text with token 19", async () => {
    const { tokenizer, harmony } = await openServedModel("demo", description, MODEL_DIR, 1_024);
    const text = new HarmonyText(tokenizer!, harmony!, [], "call");
    const steps = golden.generated_tokens.map((tokenId) => text.push(tokenId).deltas.map((delta) => delta.text));
    assert.deepEqual(steps.slice(0, 4), [[], [], [], ["4"]]);
    assert.equal(golden.generated_tokens[3], 19);
    assert.ok(page.includes(`\`${steps.flat().join("")}\``), "the answer's text");
  });
});

function planSteps(
  { prompt_tokens: promptTokenIds, generated_tokens: outputs }: Golden,
  description: ReturnType<typeof describeModel>,
): StepPlan[] {
  const { vocabSize } = description;
  const limits = { maxSeqLen: 1_024, blockSize: 16, numBlocks: 257, maxBatchedTokens: 512, maxSequences: 8 };
  const blockHash = keyedBlockHash([1, 2]);
  const config = { vocabSize, kvGroups: kvGroupsOf(description), maxLogitRows: 8, maxWaiting: 8, blockHash, ...limits };
  const scheduler = new Scheduler(config, silentLogger);
  const off = { topK: 0, topP: 1, minP: 0, presencePenalty: 0, frequencyPenalty: 0, repetitionPenalty: 1 };
  const rules = { maxSeqLen: 1_024, minSeqLen: 0, stopTokenIds: [2020], logitBias: [], numTopLogprobs: -1 };
  const sampling = { temperature: 0, seed: 0, ...off, ...rules };
  scheduler.add(
    { seqId: 1, requestId: "r", promptTokenIds, sampling, priority: 0, deadlineMs: null, wantsLogits: false },
    0,
  );
  return outputs.map((tokenId, index) => {
    const plan = scheduler.schedule(index)!;
    scheduler.apply(resultOf(plan, tokenId, index === outputs.length - 1), index);
    return plan;
  });
}

function resultOf({ epoch, stepId, seqRows }: StepPlan, tokenId: number, isLast: boolean): StepResult {
  return {
    ...{ epoch, stepId, seqRows, tokenIds: Int32Array.of(tokenId) },
    finishes: Int32Array.of(isLast ? FINISH_STOP : FINISH_NONE),
    logprobs: Float32Array.of(NaN),
    numTopLogprobs: 0,
    topTokenIds: new Int32Array(),
    topLogprobs: new Float32Array(),
    logits: new Float32Array(),
    engineUs: 0,
    runsOn: false,
  };
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}

function escaped(text: string): string {
  return text.replaceAll(/[[\]]/g, "\\$&");
}
