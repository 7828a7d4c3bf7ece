import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, it } from "node:test";

/** Who may know whom; a folder always knows itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  plans: ["proto"],
  client: ["proto"],
  native: ["plans", "proto"],
  worker: ["native", "plans", "proto"],
  coordinator: ["plans", "proto"],
  dashboard: ["client", "coordinator"],
  sim: ["coordinator", "plans", "proto"],
  cli: ["client", "coordinator", "sim", "worker", "native", "plans", "proto"],
  test: ["cli", "client", "coordinator", "sim", "worker", "native", "plans", "proto"],
};

/** Folders that are entered through some files only: what is behind them is nobody's business. */
const DOORS: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  native: { plans: /^plans\/rank-program\.js$/ },
  worker: { native: /^native\/(index|binding)\.js$/ },
  dashboard: {
    client: /^client\/(camel-case|cluster-status|job)\.js$/,
    coordinator: /^coordinator\/dashboard\/cluster-view\.js$/,
  },
};

/** Packages that a pure folder needs; any other, Node's own included, would let the world in. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = { plans: ["yaml", "zod"] };

const NAMELESS = /(^|\/)(utils?|common|shared|helpers?|misc)(\/|\.|$)/;

/** Without this file, whose samples break the rules on purpose. */
const FILES = Object.keys(MAY_IMPORT)
  .flatMap(sourcesUnder)
  .filter((path) => path !== "test/imports.test.ts");

describe("imports", () => {
  it("go one way", () => {
    assert.ok(FILES.length > 0, "run the tests in the repository's root");
    assert.deepEqual(
      FILES.flatMap((path) => importViolations(path, readFileSync(path, "utf8"))),
      [],
    );
  });

  it("have no folder or file without a noun of its own", () => {
    assert.deepEqual(
      FILES.filter((path) => NAMELESS.test(path)),
      [],
    );
  });

  it("leave argv and the environment to cli", () => {
    assert.deepEqual(
      FILES.flatMap((path) => ambientViolations(path, readFileSync(path, "utf8"))),
      [],
    );
  });
});

// The rules would also hold if nothing were ever found.
describe("the rules themselves", () => {
  const cases: [path: string, source: string, violations: number][] = [
    ["proto/a.ts", `import { lower } from "../plans/lower.js";`, 1],
    ["plans/a.ts", `import { MoesaicError } from "../proto/errors.js";\nexport * from "./b.js";`, 0],
    ["plans/a.ts", `import { readFileSync } from "node:fs";`, 1],
    ["plans/a.test.ts", `import { readFileSync } from "node:fs";\nimport { it } from "node:test";`, 0],
    ["coordinator/api/a.ts", `import type { Engine } from "../../worker/engine.js";`, 1],
    ["coordinator/api/a.ts", `const { native } = await import("../../native/index.js");`, 1],
    [
      "worker/a.ts",
      `import { native } from "../native/index.js";\nimport type { LoadPlan } from "../native/binding.js";`,
      0,
    ],
    ["worker/a.ts", `import { arena } from "../native/arena.js";`, 1],
    ["worker/checkpoint/a.test.ts", `import { hostile } from "../../test/hostile-checkpoint.js";`, 0],
    ["worker/checkpoint/a.ts", `import { hostile } from "../../test/hostile-checkpoint.js";`, 1],
    ["native/index.ts", `import type { RankProgram } from "../plans/rank-program.js";`, 0],
    ["native/index.ts", `import { readFile } from "../plans/rank-program.js";`, 1],
    ["native/index.ts", `import type { ResolvedPlan } from "../plans/resolved-plan.js";`, 1],
    ["client/a.ts", `import { Scheduler } from "../coordinator/scheduler/scheduler.js";`, 1],
    ["dashboard/a.tsx", `import type { ClusterView } from "../coordinator/dashboard/cluster-view.js";`, 0],
    ["dashboard/a.tsx", `import { ClusterWatch } from "../coordinator/dashboard/cluster-watch.js";`, 1],
    ["cli/up.ts", `import { a } from "../coordinator/a.js";\nimport { b } from "../worker/b.js";`, 0],
    ["worker/a.ts", `import "../coordinator/a.js";`, 1],
    ["worker/a.ts", `export { a } from "../../outside.js";`, 1],
  ];
  for (const [path, source, violations] of cases) {
    it(`find ${violations} in ${path}: ${source.split("\n").join(" ")}`, () => {
      assert.equal(importViolations(path, source).length, violations);
    });
  }

  it("find a reader of the environment outside cli", () => {
    assert.equal(ambientViolations("worker/a.ts", "process.env.HOME").length, 1);
    assert.equal(ambientViolations("worker/a.ts", 'process.env["MOESAIC_NATIVE_DIR"]').length, 1);
    assert.equal(ambientViolations("native/index.ts", 'process.env["MOESAIC_NATIVE_DIR"]').length, 0);
    assert.equal(ambientViolations("native/index.ts", 'process.env["HOME"]').length, 1);
    assert.equal(ambientViolations("coordinator/a.ts", "const [, , file] = process.argv;").length, 1);
    assert.equal(ambientViolations("cli/main.ts", "process.argv; process.env.HOME").length, 0);
    assert.equal(ambientViolations("plans/a.test.ts", 'process.env["UPDATE_GOLDEN"]').length, 0);
  });

  it("find a folder without a noun", () => {
    assert.ok(
      NAMELESS.test("worker/utils/a.ts") && NAMELESS.test("cli/helpers.ts") && !NAMELESS.test("proto/sharing.ts"),
    );
  });
});

function importViolations(path: string, source: string): string[] {
  return importsOf(source).flatMap(({ specifier, isType }) => {
    const reason = reasonAgainst(path, specifier, isType);
    return reason === null ? [] : [`${path} imports ${specifier}: ${reason}`];
  });
}

function reasonAgainst(path: string, specifier: string, isType: boolean): string | null {
  const [from = ""] = path.split("/");
  const isTest = path.endsWith(".test.ts");
  if (!specifier.startsWith(".")) {
    const isAllowed = isTest || (PACKAGES[from]?.includes(specifier) ?? true);
    return isAllowed ? null : `${from} is pure, it may import ${PACKAGES[from]?.join(", ")}`;
  }
  const target = normalize(join(dirname(path), specifier));
  const [to = ""] = target.split("/");
  if (to === from || (isTest && to === "test")) return null;
  if (!MAY_IMPORT[from]?.includes(to)) return `${from} may import ${MAY_IMPORT[from]?.join(", ") || "nothing of ours"}`;
  const door = DOORS[from]?.[to];
  if (door !== undefined && !door.test(target)) return `${from} may import ${door.source} alone`;
  return from === "native" && to === "plans" && !isType ? "native may import types of plans alone" : null;
}

function importsOf(source: string): { specifier: string; isType: boolean }[] {
  const statement = /^\s*(?:import|export)\s(type\s)?(?:[^"';]*?\sfrom\s*)?\s*"([^"]+)"/gm;
  const call = /\bimport\(\s*"([^"]+)"/g;
  return [
    ...[...source.matchAll(statement)].map(([, type, specifier]) => ({
      specifier: specifier ?? "",
      isType: Boolean(type),
    })),
    ...[...source.matchAll(call)].map(([, specifier]) => ({ specifier: specifier ?? "", isType: false })),
  ];
}

function ambientViolations(path: string, source: string): string[] {
  if (/^(cli|test)\//.test(path) || path.endsWith(".test.ts")) return [];
  const allowed =
    path === "native/index.ts" ? source.replaceAll(/process\.env\[?\.?"?MOESAIC_NATIVE_DIR\b/g, "") : source;
  return [...allowed.matchAll(/\bprocess\.(argv|env)\b/g)].map(([use]) => `${path} reads ${use}`);
}

function sourcesUnder(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.startsWith("proto/generated"));
}
