// Builds everything: native code into build/native/out, TypeScript into dist. Says nothing when all goes well.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildNative } from "./build-native.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, "dist");
const BUILD_INFO = join(ROOT, "build", "tsc.tsbuildinfo");
const MAIN_FILE = join(DIST, "cli", "main.js");
const GENERATED = join("proto", "generated");

try {
  await buildNative();
  compile();
  copyGenerated();
  removeOrphans();
  chmodSync(MAIN_FILE, 0o755);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

function compile() {
  // What is remembered of the last build is wrong once its output is gone.
  if (!existsSync(MAIN_FILE)) rmSync(BUILD_INFO, { force: true });
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  const args = [
    tsc,
    "-p",
    ROOT,
    "--incremental",
    "--tsBuildInfoFile",
    BUILD_INFO,
    "--pretty",
    process.stderr.isTTY ? "true" : "false",
  ];
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`TypeScript has errors:\n${stdout}${stderr}`.trimEnd());
}

/** Generated code is JavaScript already: the compiler reads its types and leaves it where it is. */
function copyGenerated() {
  mkdirSync(join(DIST, GENERATED), { recursive: true });
  for (const name of readdirSync(join(ROOT, GENERATED))) {
    copyFileSync(join(ROOT, GENERATED, name), join(DIST, GENERATED, name));
  }
}

/** Output whose source is gone would still be tested and published. */
function removeOrphans() {
  for (const name of readdirSync(DIST, { recursive: true, encoding: "utf8" })) {
    const base = name.replace(/(\.d\.ts|\.js|\.json)(\.map)?$/, "");
    if (base === name) continue;
    const sources = [`${base}.ts`, `${base}.js`, `${base}.json`, `${base}.d.ts`];
    if (!sources.some((source) => existsSync(join(ROOT, source)))) rmSync(join(DIST, name));
  }
}
