// Builds everything: native code into build/native/out, TypeScript into dist, and the dashboard's page beside it. Says nothing
// when all goes well.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle } from "esbuild";
import { buildNative } from "./build-native.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, "dist");
const BUILD_INFO = join(ROOT, "build", "tsc.tsbuildinfo");
const PAGE = join(ROOT, "dashboard");
const PAGE_BUILD_INFO = join(ROOT, "build", "tsc-dashboard.tsbuildinfo");
/** What browsers load: coordinator/dashboard/dashboard-endpoints.ts serves it. */
const ASSETS = join(DIST, "dashboard", "assets");
const MAIN_FILE = join(DIST, "cli", "main.js");
const GENERATED = join("proto", "generated");

try {
  await buildNative();
  // What is remembered of the last build is wrong once its output is gone.
  if (!existsSync(MAIN_FILE)) rmSync(BUILD_INFO, { force: true });
  compile(ROOT, BUILD_INFO);
  copyGenerated();
  await buildPage();
  removeOrphans();
  chmodSync(MAIN_FILE, 0o755);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

/** @param project folder of a tsconfig.json */
function compile(project, buildInfo) {
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  const isPretty = process.stderr.isTTY ? "true" : "false";
  const args = [tsc, "-p", project, "--incremental", "--tsBuildInfoFile", buildInfo, "--pretty", isPretty];
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`TypeScript has errors:\n${stdout}${stderr}`.trimEnd());
}

/** Checks its types, and puts all that it needs into one script. */
async function buildPage() {
  compile(PAGE, PAGE_BUILD_INFO);
  await bundle({
    entryPoints: [join(PAGE, "main.tsx")],
    tsconfig: join(PAGE, "tsconfig.json"),
    outfile: join(ASSETS, "page.js"),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    // Part of the script, whose licence wants to be named.
    banner: { js: "/*! with Preact, MIT licence, copyright (c) 2015-present Jason Miller */" },
    logLevel: "silent",
  });
  for (const name of ["index.html", "page.css"]) copyFileSync(join(PAGE, name), join(ASSETS, name));
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
    if (base === name || name.startsWith(join("dashboard", "assets"))) continue;
    const sources = [`${base}.ts`, `${base}.js`, `${base}.json`, `${base}.d.ts`];
    if (!sources.some((source) => existsSync(join(ROOT, source)))) rmSync(join(DIST, name));
  }
}
