// Generates proto/generated/moesaic.{js,d.ts} from the .proto files. `--check` fails when the committed files are stale.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, mkdirSync, copyFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const generatedDir = join(root, "proto/generated");
const files = ["moesaic.js", "moesaic.d.ts"];

const outDir = mkdtempSync(join(tmpdir(), "moesaic-proto-"));
try {
  generate(outDir);
  if (process.argv.includes("--check")) check(outDir);
  else {
    mkdirSync(generatedDir, { recursive: true });
    for (const file of files) copyFileSync(join(outDir, file), join(generatedDir, file));
  }
} finally {
  rmSync(outDir, { recursive: true });
}

function generate(dir) {
  const sources = readdirSync(join(root, "proto/moesaic/v1"))
    .filter((name) => name.endsWith(".proto"))
    .sort()
    .map((name) => join("proto/moesaic/v1", name));
  const pbjs = join(root, "node_modules/protobufjs-cli/bin/pbjs");
  const args = [
    "-t",
    "static-module",
    "-w",
    "esm",
    "--dts",
    "--keep-case",
    "--force-number",
    "--no-delimited",
    "--no-verify",
  ];
  execFileSync(process.execPath, [pbjs, ...args, "-o", join(dir, "moesaic.js"), ...sources], {
    cwd: root,
    stdio: "inherit",
  });
}

function check(dir) {
  const stale = files.filter((file) => read(join(dir, file)) !== read(join(generatedDir, file)));
  if (stale.length > 0) {
    console.error(`generated code is stale (${stale.join(", ")}): run "npm run proto" and commit proto/generated`);
    process.exitCode = 1;
  }
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
