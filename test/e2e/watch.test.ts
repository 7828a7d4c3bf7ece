import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { delimiter, join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { freePort } from "../bus/nats-server.js";
import { eventually, MAIN_FILE, RunningCluster, temporaryFolder } from "./moesaic.js";

describe("moesaic status --watch", () => {
  it("goes on when its coordinator was away, and ends with an interruption", async (test) => {
    const folder = temporaryFolder(test);
    const settings = { api: { grpc: `127.0.0.1:${await freePort()}`, http: "127.0.0.1:0" } };
    const first = await RunningCluster.launch(test, settings, folder);
    const args = [MAIN_FILE, "status", "--endpoint", first.endpoint, "--watch", "--json"];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    test.after(() => child.kill("SIGKILL"));
    const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
    const states: string[] = [];
    createInterface({ input: child.stdout }).on("line", (line) => {
      states.push((JSON.parse(line) as { state: string }).state);
    });
    let told = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (told += text));
    await eventually("it shows the cluster", () => states.includes("ready"));
    first.process.kill("SIGKILL");
    await eventually("it says that the coordinator is away", () => /waiting for it to come back/.test(told));
    states.length = 0;
    await RunningCluster.launch(test, settings, folder);
    await eventually("it shows the next one", () => states.includes("ready"));
    child.kill("SIGINT");
    assert.equal(await exited, 130);
    // Not with every try. A coordinator that has just begun to listen may cut the first one off.
    assert.ok(told.match(/waiting for it to come back/g)!.length <= 2, told);
  });

  it("fails at once where there never was one", async () => {
    const args = [MAIN_FILE, "status", "--endpoint", `127.0.0.1:${await freePort()}`, "--watch"];
    await assert.rejects(promisify(execFile)(process.execPath, args), { code: 1 });
  });
});

describe("moesaic completion", () => {
  it("completes commands, options and choices in bash", async (test) => {
    const folder = temporaryFolder(test);
    writeFileSync(join(folder, "moesaic"), `#!/bin/sh\nexec '${process.execPath}' '${MAIN_FILE}' "$@"\n`, {
      mode: 0o755,
    });
    const env = { ...process.env, PATH: `${folder}${delimiter}${process.env["PATH"]}` };
    const complete = async (line: string): Promise<string[]> => {
      const words = line.split(" ");
      const script = [
        "source <(moesaic completion bash)",
        `COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})`,
        `COMP_CWORD=${words.length - 1}`,
        "_moesaic",
        'printf "%s\\n" "${COMPREPLY[@]}"',
      ];
      const { stdout } = await promisify(execFile)("bash", ["-c", script.join("\n")], { env });
      return stdout.split("\n").filter(Boolean);
    };
    assert.deepEqual(await complete("moesaic ker"), ["kernels"]);
    assert.deepEqual(await complete("moesaic plan ex"), ["explain"]);
    assert.ok((await complete("moesaic chat --max-t")).includes("--max-tokens"));
    assert.deepEqual(await complete("moesaic chat --reasoning-effort h"), ["high"]);
    assert.deepEqual(await complete("moesaic completion f"), ["fish"]);
  });
});
