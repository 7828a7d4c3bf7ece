// Runs the kernel tests and every dist/**/*.test.js. `--long` adds the long ones. Prints failures in full, skipped tests
// with their reasons, and as the last line `N passed, N failed`.
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const NATIVE = join(ROOT, "build", "native", "out");
const CONCURRENCY = 2;
/** No test file takes this long unless it hangs, milliseconds. */
const FILE_TIMEOUT_MS = process.argv.includes("--long") ? 3_600_000 : 600_000;

// Tests read files of the repository by their paths from its root.
process.chdir(ROOT);

if (process.argv.includes("--long")) process.env.MOESAIC_LONG = "1";

const total = { passed: 0, failed: 0, skipped: 0 };
await runKernelTests("moesaic_kernel_tests");
// Built where nvcc is; skips where there is no GPU.
if (existsSync(join(NATIVE, "moesaic_cuda_tests"))) await runKernelTests("moesaic_cuda_tests");
await runNodeTests();
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
print(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed === 0 ? 0 : 1;

/** They print lines `ok NAME` and `not ok NAME: why`; anything else, such as a crash, is a failure of its own. */
async function runKernelTests(name) {
  const program = join(NATIVE, name);
  if (!existsSync(program)) return fail(name, `${program} is absent; run npm run build`);
  const child = spawn(program, [NATIVE], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { out: "", err: "" };
  child.stdout.on("data", (bytes) => (output.out += bytes));
  child.stderr.on("data", (bytes) => (output.err += bytes));
  const [code, signal] = await new Promise((done) => {
    child.on("close", (...how) => done(how));
    child.on("error", (error) => done([error.message, null]));
  });
  const lines = output.out.split("\n");
  const failures = lines.filter((line) => line.startsWith("not ok "));
  total.passed += lines.filter((line) => line.startsWith("ok ")).length;
  for (const line of lines.filter((text) => text.startsWith("skipped: "))) {
    total.skipped += 1;
    print(line);
  }
  for (const line of failures) fail(`kernel ${line.slice("not ok ".length)}`, "");
  if (code !== 0 && failures.length === 0) fail(name, `ended with ${signal ?? code}\n${output.err}`);
}

async function runNodeTests() {
  const files = readdirSync(join(ROOT, "dist"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => join(ROOT, "dist", name))
    .toSorted();
  if (files.length === 0) return fail("tests", "there is no test in dist; run npm run build");
  // A file runs as a test of its own around its tests: it counts only where it fails by itself.
  for await (const { type, data } of run({ files, concurrency: CONCURRENCY, timeout: FILE_TIMEOUT_MS })) {
    if (type === "test:stderr") process.stderr.write(data.message);
    if (type === "test:pass") passed(data);
    if (type === "test:fail") failed(data);
  }
}

function passed(data) {
  if (isContainer(data)) return;
  if (data.skip === undefined && data.todo === undefined) {
    total.passed += 1;
    return;
  }
  total.skipped += 1;
  const reason = [data.skip, data.todo].find((text) => typeof text === "string") ?? "no reason given";
  print(`skipped: ${data.name}: ${reason}`);
}

function failed(data) {
  const { error } = data.details;
  // A suite or file fails with its parts, which have been told already.
  if (error?.failureType === "subtestsFailed") return;
  const place = data.file === undefined ? "" : ` (${data.file.replace(`${ROOT}/`, "")}:${data.line})`;
  fail(`${data.name}${place}`, inspect(error?.cause ?? error, { depth: 6 }));
}

function isContainer(data) {
  return data.details?.type === "suite" || data.name.endsWith(".test.js");
}

function fail(name, text) {
  total.failed += 1;
  print(`FAILED: ${name}${text === "" ? "" : `\n${text.replace(/^/gm, "    ")}`}`);
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
