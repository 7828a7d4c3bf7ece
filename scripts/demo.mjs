// The demo: launches the cluster of deploy/demo.yaml, asks it a question, drains it, and checks that nothing is left.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MAIN = join(ROOT, "dist", "cli", "main.js");
const QUESTION = "What is the capital of France?";
const READY_DEADLINE_MS = 60_000;
const EXIT_DEADLINE_MS = 30_000;

try {
  await demo();
} catch (error) {
  process.stderr.write(`demo: ${error.message}\n`);
  process.exitCode = 1;
}

async function demo() {
  print("$ moesaic up deploy/demo.yaml");
  const args = ["up", join(ROOT, "deploy", "demo.yaml"), "--json", "--log-level", "warn"];
  const cluster = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(cluster, "exit");
  try {
    const { grpc, http } = await within(READY_DEADLINE_MS, "the cluster to be ready", ready(cluster, exited));
    print(`ready: gRPC ${grpc}, HTTP http://${http}\n`);
    const workers = childrenOf(cluster.pid);
    await ask(grpc);
    print("\ndraining");
    cluster.kill("SIGTERM");
    const [code, signal] = await within(EXIT_DEADLINE_MS, "the cluster to leave", exited);
    if (code !== 0) throw new Error(`the cluster ended with ${signal ?? `exit code ${code}`}`);
    const left = workers.filter(isRunning);
    if (left.length > 0) throw new Error(`worker processes are left: ${left.join(", ")}`);
    print("the cluster has left, no process remains");
  } finally {
    if (cluster.exitCode === null && cluster.signalCode === null) cluster.kill("SIGKILL");
  }
}

/** The event `ready` of the cluster, or an error when it ends before. */
function ready(cluster, exited) {
  return new Promise((resolve, reject) => {
    createInterface({ input: cluster.stdout }).on("line", (line) => {
      const event = JSON.parse(line);
      if (event.event === "ready") resolve(event);
    });
    exited.then(
      ([code, signal]) => reject(new Error(`the cluster ended with ${signal ?? `exit code ${code}`}`)),
      reject,
    );
  });
}

async function ask(endpoint) {
  print(`$ moesaic chat --endpoint ${endpoint} --message "${QUESTION}"`);
  const args = ["chat", "--endpoint", endpoint, "--message", QUESTION, "--temperature", "0"];
  const chat = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "inherit", "inherit"] });
  const [code] = await once(chat, "exit");
  if (code !== 0) throw new Error(`the question ended with exit code ${code}`);
}

async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms / 1_000} s for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Where the system tells (Linux), else none. */
function childrenOf(pid) {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number) : [];
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
