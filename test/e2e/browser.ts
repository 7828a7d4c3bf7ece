import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const CHROMIUM = findChromium();

/** Why tests that need a browser must be skipped, or false; for the option `skip`. */
export const skipWithoutBrowser =
  CHROMIUM === null ? "there is no Chromium here; as root on Debian or Ubuntu: apt-get install chromium" : false;

/** A page that goes away with the test. What it says of errors, and what it loads from elsewhere, fails the test. */
export async function openPage(test: TestContext, url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const browser = await launchBrowser();
  test.after(() => browser.close());
  const page = await browser.newPage(options);
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    // A coordinator that is gone or refuses is something that the page itself tells of.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      faults.push(message.text());
  });
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(url).host && !request.url().startsWith("data:"))
      faults.push(request.url());
  });
  test.after(() => {
    if (faults.length > 0) throw new Error(`the page had errors:\n${faults.join("\n")}`);
  });
  await page.goto(url);
  return page;
}

export function launchBrowser(): Promise<Browser> {
  // A browser in a container, run by root, has no sandbox; it sees our own page alone.
  return chromium.launch({ executablePath: CHROMIUM!, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

function findChromium(): string | null {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter(Boolean);
  const files = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return files.find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
