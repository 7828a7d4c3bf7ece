import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { DEMO_MODEL, IS_LONG, ROOT } from "../paths.js";
import { RunningCluster, temporaryFolder } from "./moesaic.js";

const run = promisify(execFile);
/** A build of the native engine included. */
const COMMAND_TIMEOUT_MS = IS_LONG ? 1_200_000 : 120_000;
const QUESTION =
  '{ messages: [{ role: "user", content: "What is the capital of France?" }], sampling: { temperature: 0 } }';
/** What every consumer says: the answer, and that an error of one module system is one of the other. */
const BODY = `
const client = new MoesaicClient({ endpoint: process.argv[2] });
const { choices } = await client.complete(${QUESTION});
const caught = await client.getJob("none").catch((error) => error);
client.close();
process.stdout.write(JSON.stringify({ text: choices[0].text, isTyped: caught instanceof MoesaicError, code: caught.code }));
`;
const SAID = { text: "The capital of France is Paris.", isTyped: true, code: "not_found" };
const IN_TYPESCRIPT = `
import { MoesaicClient, MoesaicError, type Completion, type GenerateRequest } from "moesaic";
async function ask(endpoint: string, request: GenerateRequest): Promise<Completion> {
  const client = new MoesaicClient({ endpoint });
  try {
    return await client.complete(request);
  } catch (error) {
    throw error instanceof MoesaicError ? new Error(error.code) : error;
  } finally {
    client.close();
  }
}
// @ts-expect-error a temperature is a number
const wrong: GenerateRequest = { prompt: "", sampling: { temperature: "hot" } };
void ask(process.argv[2]!, wrong && ${QUESTION}).then(({ choices }) => process.stdout.write(choices[0]!.text));
`;

describe("the published package", () => {
  it("is installed from its tarball, for import, require and TypeScript, with all that the native build takes", async (test) => {
    const [cluster, app] = await Promise.all([RunningCluster.launch(test), installed(test)]);
    const moduleFile = `import { MoesaicClient, MoesaicError } from "moesaic";\n${BODY}`;
    const commonFile = `const { MoesaicClient, MoesaicError } = require("moesaic");\n(async () => {${BODY}})();`;
    assert.deepEqual(JSON.parse(await app.node("app.mjs", moduleFile, cluster.endpoint)), SAID);
    assert.deepEqual(JSON.parse(await app.node("app.cjs", commonFile, cluster.endpoint)), SAID);
    const both = `const { MoesaicError } = require("moesaic");
      import("moesaic").then((module) => process.stdout.write(String(module.MoesaicError === MoesaicError)));`;
    assert.equal(await app.node("both.cjs", both), "true");

    writeFileSync(join(app.folder, "typed.mts"), IN_TYPESCRIPT);
    writeFileSync(join(app.folder, "typed.cts"), IN_TYPESCRIPT);
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    const types = join(ROOT, "node_modules", "@types");
    const flags = ["--module", "nodenext", "--target", "es2023", "--strict", "--types", "node", "--typeRoots", types];
    await app.run(process.execPath, [tsc, ...flags, "typed.mts", "typed.cts"]);
    for (const file of ["typed.mjs", "typed.cjs"]) {
      assert.equal(await app.run(process.execPath, [file, cluster.endpoint]), SAID.text, file);
    }

    const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
    // TypeScript's moduleResolution node10 knows no exports. Our own compiler has it no more; version 5.9 takes the program above.
    assert.deepEqual({ types: manifest.types, default: manifest.main }, manifest.exports["."]);
    assert.equal(await app.run("npx", ["moesaic", "--version"]), `${manifest.version}\n`);
    const doctor = await app.run("npx", ["moesaic", "doctor"]).catch((error: { stdout: string }) => error.stdout);
    assert.match(doctor, /native: the native addon is not built .*\n.*-> npx moesaic build/);
    const shipped = filesOf(join(app.folder, "node_modules", "moesaic"));
    for (const file of [manifest.main, manifest.types]) assert.ok(shipped.includes(join(file)), file);
    const strangers = shipped.filter((file) => /\.test\.|\/test\/|fixture|\.map$|tsbuildinfo/.test(file));
    assert.deepEqual(strangers, [], "tests in the package");
    const sources = ["native", "kernels"].flatMap((name) => filesOf(join(ROOT, name), name));
    const built = sources.filter((file) => /\.(cc|cu|h|cuh|txt)$/.test(file) && !file.includes("/test/"));
    assert.deepEqual(
      built.filter((file) => !shipped.includes(file)).toSorted(),
      [],
      "sources that are not in the package",
    );
  });

  if (IS_LONG) {
    it("builds its native engine where it was installed, and answers there", async (test) => {
      const app = await installed(test);
      assert.equal(await app.run("npx", ["moesaic", "build"]), "the native engine is built\n");
      const args = ["moesaic", "chat", "--model", DEMO_MODEL, "--message", "What is the capital of France?"];
      assert.match(await app.run("npx", [...args, "--temperature", "0"]), /The capital of France is Paris\./);
    });
  }
});

interface Manifest {
  version: string;
  main: string;
  types: string;
  exports: { ".": { types: string; default: string } };
}

class InstalledApp {
  constructor(readonly folder: string) {}

  async run(program: string, args: readonly string[]): Promise<string> {
    return (await run(program, args, { cwd: this.folder, timeout: COMMAND_TIMEOUT_MS })).stdout;
  }

  /** Writes a program and runs it. */
  node(file: string, text: string, ...args: string[]): Promise<string> {
    writeFileSync(join(this.folder, file), text);
    return this.run(process.execPath, [file, ...args]);
  }
}

/** A folder of somebody else's, where the package was installed as from the registry. */
async function installed(test: TestContext): Promise<InstalledApp> {
  const folder = temporaryFolder(test);
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: ROOT });
  const app = new InstalledApp(join(folder, "app"));
  mkdirSync(app.folder);
  writeFileSync(join(app.folder, "package.json"), '{ "name": "app", "private": true }');
  await app.run("npm", [
    "install",
    "--silent",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    join("..", stdout.trim()),
  ]);
  assert.ok(existsSync(join(app.folder, "node_modules", "moesaic")));
  return app;
}

/** Of a folder and all below it, as paths from it. */
function filesOf(folder: string, prefix = ""): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(prefix, relative(folder, entry.parentPath), entry.name));
}
