import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";

/** More than this is two files; the long ones that must be seen whole stay below it. */
const MAX_LINES = 600;
const NOT_OURS = new Set([".git", "node_modules", "dist", "build", "generated", "models"]);
const FILES = filesUnder(".").map((path) => path.replace(/^\.\//, ""));
const SOURCES = FILES.filter((path) => /\.(tsx?|css|mjs|cc|h|cu|cuh|proto)$/.test(path) || path === ".ci/run");

describe("Tidiness", () => {
  it("looks at all of the code", () => {
    assert.ok(SOURCES.length > 150, `${SOURCES.length} sources; run the tests in the repository's root`);
  });

  it(`keeps files under ${MAX_LINES} lines, tests aside`, () => {
    const long = SOURCES.filter((path) => !isTest(path)).filter((path) => numLines(path) > MAX_LINES);
    assert.deepEqual(long, []);
  });

  it("has no folder or file for leftovers", () => {
    const leftovers = /(^|\/)(utils?|common|shared|helpers?|misc|stuff)(\/|\.)/;
    assert.deepEqual(
      SOURCES.filter((path) => leftovers.test(path)),
      [],
    );
  });

  it("leaves no note of work undone", () => {
    assert.deepEqual(linesWith(/\b(TODO|FIXME|XXX|HACK)\b/), []);
  });

  it("prints through the output and the log, never the console", () => {
    const outsideScripts = SOURCES.filter((path) => /\.tsx?$/.test(path));
    assert.deepEqual(linesWith(/(?<![\w.])console\.\w+\(/, outsideScripts), []);
  });

  it("names no folder of somebody's machine", () => {
    assert.deepEqual(linesWith(/(?<![\w./])\/(work|home|Users)\/\w/), []);
  });

  it("has every top folder in the code map of ARCHITECTURE.md", () => {
    const listed = [...readFileSync("ARCHITECTURE.md", "utf8").matchAll(/^\| `([\w.]+)\/` \|/gm)].map(
      ([, name]) => name!,
    );
    assert.deepEqual(new Set(listed), new Set(topFolders()));
  });

  it("includes only the ABI from kernels in native, and nothing of native in kernels", () => {
    const includes = (folder: string): string[] =>
      SOURCES.filter((path) => path.startsWith(`${folder}/`)).flatMap((path) =>
        includesOf(path).map((name) => `${path}: ${name}`),
      );
    assert.deepEqual(
      includes("native").filter(
        (line) => /: (moesaic|kernels|reference|cpu|cuda)\//.test(line) && !line.endsWith(": moesaic/kernel.h"),
      ),
      [],
    );
    assert.deepEqual(
      includes("kernels").filter((line) => /: (\.\.\/)*native\/|: napi|: node_api/.test(line)),
      [],
    );
  });
});

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : filesUnder(`${folder}/${entry.name}`);
    return entry.isFile() ? [`${folder}/${entry.name}`] : [];
  });
}

function isTest(path: string): boolean {
  return path.endsWith(".test.ts") || path.startsWith("test/") || path.startsWith("kernels/test/");
}

function numLines(path: string): number {
  return readFileSync(path, "utf8").split("\n").length - 1;
}

/** `path:line: text` of every match. This file, which spells what it looks for, is left out. */
function linesWith(pattern: RegExp, paths = SOURCES): string[] {
  return paths
    .filter((path) => path !== "test/tidy.test.ts")
    .flatMap((path) =>
      readFileSync(path, "utf8")
        .split("\n")
        .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
    );
}

/** Folders that are part of the repository: hidden and built ones are not for reading. */
function topFolders(): string[] {
  return readdirSync(".", { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map(({ name }) => name)
    .filter((name) => name === "models" || !NOT_OURS.has(name));
}

function includesOf(path: string): string[] {
  return [...readFileSync(path, "utf8").matchAll(/^#include [<"]([^>"]+)[>"]/gm)].map(([, name]) => name!);
}
