// Takes the pictures of docs/dashboard.md: a cluster of the demo model on two ranks, some minutes into its work.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MAIN_FILE = join(ROOT, "dist", "cli", "main.js");
const BUSY_MS = 110_000;
const SHOWN_MS = 70_000;
const PICTURES = [
  { name: "light", width: 1280, colorScheme: "light" },
  { name: "dark", width: 1280, colorScheme: "dark", height: 900 },
  { name: "narrow", width: 360, colorScheme: "light", height: 1200 },
];
const SPEC = {
  apiVersion: "moesaic.dev/v1",
  kind: "Cluster",
  metadata: { name: "demo" },
  spec: {
    model: join(ROOT, "models", "moesaic-demo"),
    maxModelLen: 4096,
    api: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" },
    plan: { kind: "ShardingPlan", worldSize: 2, attention: { tp: 1 }, experts: { ep: 2, tp: 1 } },
    workers: [{ ranks: 2, threads: 1 }],
  },
};
const PROMPTS = [
  "What is the capital of France?",
  "What is 12 + 30?",
  "Write a haiku about the sea.",
  "Say hello to Ada.",
];

const { launchBrowser } = await import(join(ROOT, "dist", "test", "e2e", "browser.js"));
const folder = mkdtempSync(join(tmpdir(), "moesaic-pictures-"));
SPEC.spec.jobs = { directory: join(folder, "jobs") };
const file = join(folder, "cluster.yaml");
writeFileSync(file, JSON.stringify(SPEC));
const cluster = spawn(process.execPath, [MAIN_FILE, "up", file, "--json", "--log-level", "error"], {
  stdio: ["ignore", "pipe", "inherit"],
});
const browser = await launchBrowser();
try {
  const { http, grpc } = await ready(cluster);
  const ends = performance.now() + BUSY_MS;
  const chats = Array.from({ length: 5 }, (_, index) => keepAsking(http, index, ends));
  await submitJob(grpc);
  const pages = await Promise.all(PICTURES.map((picture) => open(http, picture)));
  await pause(SHOWN_MS);
  for (const [index, page] of pages.entries()) await take(page, PICTURES[index]);
  await Promise.all(chats);
} finally {
  await browser.close();
  cluster.kill("SIGTERM");
  await new Promise((resolve) => cluster.once("exit", resolve));
  rmSync(folder, { recursive: true, force: true });
}

async function ready(child) {
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.event === "ready") return event;
  }
  throw new Error("moesaic up ended before it was ready");
}

async function keepAsking(http, index, ends) {
  while (performance.now() < ends) {
    const messages = [{ role: "user", content: PROMPTS[index % PROMPTS.length] }];
    const body = JSON.stringify({ model: "moesaic-demo", messages, temperature: 1, reasoning_effort: "high" });
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`http://${http}/v1/chat/completions`, { method: "POST", headers, body });
    await answer.text();
    await pause(150 * index);
  }
}

async function submitJob(grpc) {
  const jobFile = join(folder, "job.jsonl");
  writeFileSync(jobFile, Array.from({ length: 40 }, () => '{"prompt": "Once", "max_tokens": 24}\n').join(""));
  const args = ["jobs", "submit", jobFile, "--endpoint", grpc, "--job-id", "of-the-night", "--json"];
  const child = spawn(process.execPath, [MAIN_FILE, ...args], { stdio: "ignore" });
  await new Promise((resolve) => child.once("exit", resolve));
}

async function open(http, { width, height = 900, colorScheme }) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  await page.goto(`http://${http}/dashboard/`);
  await page.locator("canvas").waitFor();
  return page;
}

async function take(page, { name, height }) {
  await page.screenshot({ path: join(ROOT, "docs", `dashboard-${name}.png`), fullPage: height === undefined });
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
