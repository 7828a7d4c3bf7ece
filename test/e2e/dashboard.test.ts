import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { AxeResults, RunOptions } from "axe-core";
import type { Page } from "playwright-core";
import { skipWithoutBrowser, openPage } from "./browser.js";
import { eventually, moesaic, RunningCluster, temporaryFolder, type ClusterSettings } from "./moesaic.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PLAN = { kind: "ShardingPlan", worldSize: 2, attention: { tp: 1 }, experts: { ep: 2, tp: 1 }, tokens: "auto" };
const TWO_RANKS: ClusterSettings = { plan: PLAN, workers: [{ ranks: 2, threads: 1 }] };
/** A busy machine renders late. */
const PATIENCE = { timeout: 30_000 };

// Run in the page, whose types these tests do not have.
const NAME_OF_FOCUSED = `(() => {
  const element = document.activeElement;
  return (element.getAttribute("aria-label") ?? element.closest("label")?.textContent ?? element.textContent).trim();
})()`;
const TOO_WIDE = `[...document.querySelectorAll("body *")]
  .filter((element) => element.closest(".scroll, .skip") === null)
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .map((element) => element.outerHTML.slice(0, 80))`;

function dashboardOf({ http }: RunningCluster): string {
  return `http://${http}/dashboard/`;
}

/** Waits for a text in a part of the page. */
async function shows(page: Page, selector: string, text: RegExp): Promise<void> {
  await page.locator(selector, { hasText: text }).first().waitFor(PATIENCE);
}

/** Sequences that run, one after the other, until their test ends or the cluster does. */
function keepBusy(test: TestContext, { client }: RunningCluster, count: number): void {
  const aborter = new AbortController();
  test.after(() => aborter.abort());
  const run = async (seed: number): Promise<void> => {
    const sampling = { temperature: 1, maxTokens: 3_500, ignoreEos: true, seed };
    for (;;) await client.complete({ tokenIds: [1, 2, 3, 4 + seed], sampling }, { signal: aborter.signal });
  };
  for (let seed = 0; seed < count; seed += 1) void run(seed).catch(() => {});
}

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const options: RunOptions = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
  const results = await page.evaluate<AxeResults>(`axe.run(${JSON.stringify(options)})`);
  assert.ok(results.passes.length > 20, `${results.passes.length} checks passed`);
  return results.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
}

describe("dashboard in a browser", { skip: skipWithoutBrowser }, () => {
  it("shows a cluster at work: throughput, latencies, ranks, experts, steps, jobs and events", async (test) => {
    const jobs = { directory: temporaryFolder(test) };
    const cluster = await RunningCluster.launch(test, { ...TWO_RANKS, jobs });
    keepBusy(test, cluster, 4);
    const page = await openPage(test, dashboardOf(cluster));
    await eventually("the title says so", async () => (await page.title()).startsWith("test: ready"));
    await shows(page, ".tiles div", /Output tokens\s*[1-9][\d.]*k?\/s/);
    await shows(page, ".tiles div", /Time to first token\s*[\d.]+ m?s/);
    await shows(page, ".tiles div", /Inter-token latency\s*[\d.]+ m?s/);
    await shows(page, ".tiles div", /Running\s*4/);
    for (const title of [
      "Throughput",
      "Time to first token",
      "Inter-token latency",
      "Batch occupancy",
      "KV blocks in use",
    ]) {
      await page.locator(`svg[role=img][aria-label^="${title}, last five minutes"]`).waitFor(PATIENCE);
    }
    await page.locator('svg[aria-label^="Replica 0, ready: rank 0 ready on "]').waitFor(PATIENCE);
    assert.equal(await page.locator("line.link-shm").count(), 1);
    await shows(page, "#topology tbody tr", /^0\.1\s*ready.*100 %.*by shm/);
    await shows(page, "#experts tbody tr", /Layer \d+, expert \d+/);
    await shows(page, "#timeline .legend li", /rank 0: [\d.]+ ms a step, [\d.]+ % in collectives/);
    await shows(page, "#timeline .legend li", /rank 1: [\d.]+ ms a step/);
    assert.ok((await page.locator("rect.step").count()) > 20);
    await shows(page, "#events tbody tr", /replica ready/);
    await shows(page, "#jobs", /No job has been submitted/);
    const file = join(temporaryFolder(test), "job.jsonl");
    writeFileSync(file, '{"prompt": "The capital of France is", "max_tokens": 4}\n');
    const submitted = await moesaic([
      "jobs",
      "submit",
      file,
      "--endpoint",
      cluster.endpoint,
      "--job-id",
      "of-the-test",
    ]);
    assert.equal(submitted.code, 0, submitted.stderr);
    await shows(page, "#jobs tbody tr", /of-the-test\s*finished/);
  });

  it("is reached by the keyboard alone, and its heat map too", async (test) => {
    const cluster = await RunningCluster.launch(test, TWO_RANKS);
    await cluster.client.complete({ tokenIds: [1, 2, 3], sampling: { maxTokens: 64, ignoreEos: true } });
    const page = await openPage(test, dashboardOf(cluster));
    await page.locator("canvas").waitFor(PATIENCE);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent.trim()"), "Skip to the overview");
    const reached = new Set<string>();
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate<string>(NAME_OF_FOCUSED));
    }
    const wanted = [
      /^Overview$/,
      /^Pause$/,
      /^Theme/,
      /^Ranks$/,
      /^the last 30 seconds/,
      /heat map of \d+ layers/,
      /busiest experts$/,
    ];
    for (const name of [
      ...wanted,
      /^Step timeline/,
      /^List of events$/,
      /^Conversation$/,
      /^Message$/,
      /^Effort/,
      /^Temperature/,
    ]) {
      assert.ok(
        [...reached].some((one) => name.test(one)),
        `${name} is not among ${[...reached].join(", ")}`,
      );
    }
    await page.locator("canvas").focus();
    for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp"])
      await page.keyboard.press(key);
    await shows(page, ".cell-text", /^Layer 0, expert 1: /);
  });

  it("answers in its chat, stops when told, and says what went wrong", async (test) => {
    const cluster = await RunningCluster.launch(test);
    const page = await openPage(test, dashboardOf(cluster));
    const message = page.getByLabel("Message");
    await message.waitFor(PATIENCE);
    await page.getByLabel("Effort").selectOption("high");
    await message.fill("What is the capital of France?");
    await message.press("Enter");
    await shows(page, ".turn-assistant", /Paris/);
    await shows(page, ".turn-assistant", /pieces in/);
    assert.equal(await page.locator(".turn-assistant summary").count(), 1, "the reasoning is folded away");
    await page.getByRole("button", { name: "New chat" }).click();
    assert.equal(await page.locator(".turn").count(), 0);
    await page.getByLabel("Temperature").fill("9");
    await message.fill("Hello");
    await message.press("Enter");
    assert.equal(await page.locator(".turn").count(), 0, "no temperature is above 2");
    await page.getByLabel("Temperature").fill("0");
    await message.fill("word ".repeat(5_000));
    await page.getByRole("button", { name: "Send" }).click();
    await shows(page, ".turn-assistant", /It failed: .*4096/);
    // Long enough to be stopped: the answer is held back until then.
    await page.route("**/v1/chat/completions", () => {});
    await message.fill("Count.");
    await message.press("Enter");
    await page.getByRole("button", { name: "Stop" }).click();
    await shows(page, ".turn-assistant", /Stopped\./);
  });

  for (const colorScheme of ["light", "dark"] as const) {
    it(`breaks no rule of WCAG 2.2 AA that axe knows, ${colorScheme}`, async (test) => {
      const cluster = await RunningCluster.launch(test, TWO_RANKS);
      keepBusy(test, cluster, 2);
      const page = await openPage(test, dashboardOf(cluster), { colorScheme });
      await page.locator("rect.step").first().waitFor(PATIENCE);
      await page.locator("canvas").waitFor(PATIENCE);
      assert.deepEqual(await violations(page), []);
      // The other one, chosen by hand, wins over the system's.
      const background = (): Promise<string> => page.evaluate("getComputedStyle(document.body).backgroundColor");
      const before = await background();
      await page.getByLabel("Theme").selectOption(colorScheme === "light" ? "dark" : "light");
      assert.notEqual(await background(), before);
      assert.deepEqual(await violations(page), []);
      await page.reload();
      await page.locator("h2").first().waitFor(PATIENCE);
      assert.notEqual(await background(), before, "the choice is remembered");
    });
  }

  it("fits screens from 360 to 2,560 pixels", async (test) => {
    const cluster = await RunningCluster.launch(test, TWO_RANKS);
    await cluster.client.complete({ tokenIds: [1, 2, 3], sampling: { maxTokens: 64, ignoreEos: true } });
    const page = await openPage(test, dashboardOf(cluster));
    await page.locator("canvas").waitFor(PATIENCE);
    for (const width of [360, 768, 1_280, 2_560]) {
      await page.setViewportSize({ width, height: 900 });
      const wide = await page.evaluate<string[]>(TOO_WIDE);
      assert.deepEqual(wide, [], `at ${width} pixels`);
      const isScrolled = await page.evaluate<boolean>("document.documentElement.scrollWidth > innerWidth");
      assert.equal(isScrolled, false, `at ${width} pixels`);
    }
  });

  it("says that it is loading, what is missing, and that the coordinator is gone; and goes on when it is back", async (test) => {
    const folder = temporaryFolder(test);
    const cluster = await RunningCluster.launch(test, TWO_RANKS, folder);
    const page = await openPage(test, dashboardOf(cluster));
    let isHeld = true;
    await page.route("**/dashboard/watch", (route) => (isHeld ? undefined : route.continue()));
    await page.goto(dashboardOf(cluster));
    await shows(page, ".waiting", /Asking the coordinator/);
    isHeld = false;
    await page.goto(dashboardOf(cluster));
    await shows(page, "#overview", /Nothing has run yet|Throughput/);
    await shows(page, "#timeline", /No rank has told of a step yet/);
    const [, pid] = await cluster.workerPids();
    process.kill(pid!, "SIGKILL");
    await shows(page, "#events tbody tr", /rank lost/);
    await eventually("it is ready again", async () => (await cluster.client.status()).state === "ready");
    await shows(page, "header .state", /ready/);

    await page.getByRole("button", { name: "Pause" }).click();
    const uptime = (): Promise<string | null> => page.locator("header small").textContent();
    const paused = await uptime();
    await page.waitForTimeout(2_500);
    assert.equal(await uptime(), paused);
    await page.getByRole("button", { name: "Paused" }).click();
    await eventually("it goes on", async () => (await uptime()) !== paused);

    const api = { grpc: cluster.endpoint, http: cluster.http };
    await cluster.close();
    await shows(page, ".notice", /has not answered since .* Trying again/);
    assert.equal(await page.getByRole("button", { name: "Send" }).isDisabled(), true);
    const next = await RunningCluster.launch(test, { ...TWO_RANKS, api }, folder);
    await page.locator(".notice").waitFor({ ...PATIENCE, state: "detached" });
    await shows(page, "header .state", /ready/);
    await next.close();
  });
});
