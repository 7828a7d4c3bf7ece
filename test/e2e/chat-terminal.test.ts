import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { MAIN_FILE, RunningCluster, temporaryFolder } from "./moesaic.js";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const UP = "\u001b[A";
const TAB = "\t";
const WAIT_MS = 30_000;

describe("moesaic chat in a terminal", () => {
  it("answers in markdown with the reasoning dimmed, takes commands, and remembers what was typed", async (test) => {
    const state = temporaryFolder(test);
    const { endpoint } = await RunningCluster.launch(test);
    const chat = Terminal.open(test, ["chat", "--endpoint", endpoint, "--temperature", "0"], { XDG_STATE_HOME: state });
    await chat.shows(/\/help says what there is/);
    chat.type("What is the capital of France?\r");
    await chat.shows(/\^\[2mthinking:\^\[0m\r\n\^\[2m[^]*answer:[^]*The capital of France is Paris\.[^]*tok\/s/);
    chat.type("/se" + TAB);
    await chat.shows(/\/set/);
    chat.type(" effort low\r");
    await chat.shows(/effort: low/);
    chat.type("/set effort none\r");
    await chat.shows(/moesaic: expected low, medium or high/);
    chat.type("/nothing\r");
    await chat.shows(/there is no \/nothing/);
    chat.type("/retry\r");
    await chat.shows(/The capital of France is Paris\.[^]*tok\/s/);
    const file = join(state, "saved.json");
    chat.type(`/save ${file}\r`);
    await chat.shows(/2 messages are in/);
    const { messages } = JSON.parse(readFileSync(file, "utf8")) as { messages: { role: string; content: string }[] };
    assert.deepEqual(messages, [
      { role: "user", content: "What is the capital of France?" },
      { role: "assistant", content: "The capital of France is Paris." },
    ]);
    chat.type('"""\rWhat is the\rcapital of Italy?\r"""\r');
    await chat.shows(/Rome[^]*tok\/s/);
    chat.type(CTRL_D);
    assert.equal(await chat.exited, 0);

    const history = join(state, "moesaic", "chat-history");
    assert.equal(statSync(history).mode & 0o777, 0o600);
    const next = Terminal.open(test, ["chat", "--endpoint", endpoint], { XDG_STATE_HOME: state });
    await next.shows(/> /);
    next.type(UP + UP);
    await next.shows(/capital of Italy\?/);
    next.type(`${CTRL_C}/exit\r`);
    assert.equal(await next.exited, 0);
  });

  it("ends an answer with Ctrl-C and goes on; a second one in an empty line leaves; keeps no history when told so", async (test) => {
    const state = temporaryFolder(test);
    const { endpoint } = await RunningCluster.launch(test);
    const args = ["chat", "--endpoint", endpoint, "--no-history", "--ignore-eos", "--max-tokens", "4000"];
    const chat = Terminal.open(test, args, { XDG_STATE_HOME: state, NO_COLOR: "1" });
    await chat.shows(/> /);
    chat.type("Tell me a story\r");
    await chat.shows(/thinking:\r\n|answer:\r\n/);
    chat.type(CTRL_C);
    await chat.shows(/moesaic: the answer was ended/);
    assert.doesNotMatch(chat.all, /\^\[2m/, "NO_COLOR");
    chat.type(`half a line${CTRL_C}`);
    await chat.shows(/> \^\[3G$/);
    chat.type(CTRL_C);
    await chat.shows(/Ctrl-C again, or Ctrl-D, leaves/);
    chat.type(CTRL_C);
    assert.equal(await chat.exited, 0);
    assert.ok(!existsSync(join(state, "moesaic")));
  });
});

/** `moesaic …` on a pseudo terminal, as util-linux's `script` makes one. */
class Terminal {
  /** Everything that it has shown; escapes are ^. */
  all = "";
  readonly exited: Promise<number | null>;
  readonly #process: ChildProcess;
  /** What `shows` has not seen yet. */
  #from = 0;

  static open(test: TestContext, args: readonly string[], env: Record<string, string>): Terminal {
    const quoted = [process.execPath, MAIN_FILE, ...args].map((word) => `'${word}'`).join(" ");
    const terminal = new Terminal(
      spawn("script", ["--quiet", "--return", "--flush", "--command", quoted, "/dev/null"], {
        env: { ...process.env, TERM: "xterm", ...env },
        stdio: ["pipe", "pipe", "inherit"],
      }),
    );
    test.after(() => terminal.#process.kill("SIGKILL"));
    return terminal;
  }

  private constructor(child: ChildProcess) {
    this.#process = child;
    this.exited = once(child, "close").then(([code]) => code as number | null);
    child.stdout!.setEncoding("utf8").on("data", (text: string) => (this.all += text.replaceAll("\u001b", "^")));
    child.stdin!.on("error", () => {});
  }

  type(keys: string): void {
    this.#process.stdin!.write(keys);
  }

  /** Waits for something that it has not shown before. */
  async shows(what: RegExp): Promise<void> {
    const endMs = performance.now() + WAIT_MS;
    for (let found = null; found === null;) {
      found = what.exec(this.all.slice(this.#from));
      if (found !== null) this.#from += found.index + found[0].length;
      else if (performance.now() > endMs)
        assert.fail(`${what} did not come, but ${JSON.stringify(this.all.slice(this.#from))}`);
      else {
        await new Promise((resolve) => {
          setTimeout(resolve, 20);
        });
      }
    }
  }
}
