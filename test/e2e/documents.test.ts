import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { text as readText } from "node:stream/consumers";
import { describe, it } from "node:test";
import { IS_LONG, ROOT } from "../paths.js";
import { RunningCluster, temporaryFolder } from "./moesaic.js";

/** Of a block: why it is not run, or that it takes minutes. In a comment in the line above it. */
const MARK = /^<!-- (?:not run: (?<why>.+)|(?<long>takes minutes)) -->$/;
const REASONS = [
  "it is what runs this test",
  "needs a GPU",
  "needs a second machine",
  "needs a telemetry collector",
  "needs grpcurl",
  "builds again",
];
const BLOCK_TIMEOUT_MS = IS_LONG ? 1_200_000 : 120_000;

interface Block {
  page: string;
  /** Of its first line. */
  line: number;
  script: string;
  mark: RegExpExecArray | null;
}

/** The shell blocks of a page. */
function blocksOf(page: string): Block[] {
  const lines = readFileSync(join(ROOT, page), "utf8").split("\n");
  return lines.flatMap((fence, index) => {
    if (fence !== "```sh") return [];
    const end = lines.indexOf("```", index);
    const above = lines.slice(0, index).findLast((line) => line !== "") ?? "";
    return [{ page, line: index + 2, script: lines.slice(index + 1, end).join("\n"), mark: MARK.exec(above) }];
  });
}

const PAGES = ["README.md", "CONTRIBUTING.md", "examples/README.md"].concat(
  readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
);

// Whoever copies a block gets what it promises. All run in a folder that looks like the repository, beside one cluster.
describe("shell blocks of the documents", () => {
  const blocks = PAGES.flatMap(blocksOf);

  it("say why where they are not run", () => {
    for (const { page, line, mark } of blocks) {
      const why = mark?.groups?.["why"];
      if (why !== undefined) assert.ok(REASONS.includes(why), `${page}:${line}: ${why}`);
    }
    const numRun = blocks.filter(({ mark }) => mark?.groups?.["why"] === undefined).length;
    assert.ok(numRun >= 12 && numRun > blocks.length / 2, `${numRun} of ${blocks.length} are run`);
  });

  it("do what they say", async (test) => {
    const folder = temporaryFolder(test);
    const cluster = await RunningCluster.launch(test, { jobs: { directory: join(folder, "jobs") } });
    const env = prepared(folder, cluster);
    for (const { page, line, script, mark } of blocks) {
      if (mark?.groups?.["why"] !== undefined || (mark?.groups?.["long"] !== undefined && !IS_LONG)) continue;
      const { code, output } = await run(script.replaceAll("127.0.0.1:8000", cluster.http), folder, env);
      assert.equal(code, 0, `${page}:${line}:\n${script}\n\n${output.slice(-2_000)}`);
    }
  });
});

/** A folder with what the blocks name, and programs that stand for those which install or stay. */
function prepared(folder: string, cluster: RunningCluster): NodeJS.ProcessEnv {
  for (const name of ["models", "examples", "build", "dist", "deploy", "test", "node_modules", "package.json"]) {
    symlinkSync(join(ROOT, name), join(folder, name));
  }
  const api = { grpc: "127.0.0.1:0", http: "127.0.0.1:0" };
  const spec = { model: "./models/moesaic-demo", api };
  const document = { apiVersion: "moesaic.dev/v1", kind: "Cluster", metadata: { name: "demo" }, spec };
  writeFileSync(join(folder, "cluster.yaml"), JSON.stringify(document));
  const line = (index: number): string => JSON.stringify({ prompt: `${index}`, max_tokens: 1, temperature: 0 });
  writeFileSync(join(folder, "requests.jsonl"), Array.from({ length: 102 }, (_, index) => line(index)).join("\n"));
  const programs = join(folder, "programs");
  mkdirSync(programs);
  writeFileSync(join(programs, "npx"), STAND_IN, { mode: 0o755 });
  const PATH = `${programs}${delimiter}${process.env["PATH"]}`;
  return {
    ...process.env,
    PATH,
    MOESAIC_ENDPOINT: cluster.endpoint,
    MOESAIC_HTTP: cluster.http,
    NODE: process.execPath,
  };
}

/**
 * `npx moesaic …` of this build, at the test's cluster where it would be at the default one. What stays until it is interrupted is
 * interrupted once it has shown what it shows; JOB is the job that was submitted last.
 */
const STAND_IN = `#!/usr/bin/env bash
set -euo pipefail
[ "$1" = moesaic ] || { echo "only moesaic is there" >&2; exit 1; }
shift
words=("$@")
for index in "\${!words[@]}"; do [ "\${words[$index]}" = JOB ] && words[$index]=$(cat job); done
for index in "\${!words[@]}"; do [ "\${words[$index]}" = 127.0.0.1:50051 ] && words[$index]=$MOESAIC_ENDPOINT; done
line=" \${words[*]} "
case $line in
  *" --endpoint "*|*" --model "*|*" --dummy "*) ;;
  " status "*|" drain "*|" chat "*|" jobs "*) words+=(--endpoint "$MOESAIC_ENDPOINT") ;;
esac
moesaic() { "$NODE" dist/cli/main.js "$@"; }
case $line in
  " up "*) stays=TERM ends=0 ;;
  *" --watch "*) stays=INT ends=130 ;;
  " chat "*)
    case $line in *" --message "*) moesaic "\${words[@]}" ;; *) echo "What is the capital of France?" | moesaic "\${words[@]}" ;; esac
    exit ;;
  *" --detach "*) moesaic "\${words[@]}" | tee detached; head -n 1 detached > job; exit ;;
  *) moesaic "\${words[@]}"; exit ;;
esac
"$NODE" dist/cli/main.js "\${words[@]}" > shown &
for _ in $(seq 600); do if grep -q ready shown; then break; fi; sleep 0.1; done
kill -$stays $!
code=0
wait $! || code=$?
grep -q ready shown
[ $code = $ends ]
`;

async function run(
  script: string,
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number | null; output: string }> {
  const child = spawn("bash", ["-euo", "pipefail", "-c", script], { cwd, env, timeout: BLOCK_TIMEOUT_MS });
  child.stdin.end();
  const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
  const [out, err] = await Promise.all([readText(child.stdout), readText(child.stderr)]);
  return { code: await exited, output: out + err };
}
