import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The repository's root, from wherever this file was compiled to. */
export const ROOT = findRoot(import.meta.dirname);
export const DEMO_MODEL = join(ROOT, "models", "moesaic-demo");
/** Golden values; MOESAIC_FIXTURES names another folder. */
export const FIXTURES = process.env["MOESAIC_FIXTURES"] ?? join(ROOT, "test", "fixtures");
/** Whether the tests that take minutes are wanted. */
export const IS_LONG = process.env["MOESAIC_LONG"] === "1";

/** Why tests that need a fixture must be skipped, or false; for the option `skip`. */
export function skipWithout(fixture: string): string | false {
  const folder = join(FIXTURES, fixture);
  return existsSync(folder) ? false : `${folder} is absent; MOESAIC_FIXTURES can name the folder of fixtures`;
}

function findRoot(folder: string): string {
  return existsSync(join(folder, "package.json")) ? folder : findRoot(dirname(folder));
}
