import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { describeDummy } from "../plans/model-description.js";
import { checkFile } from "./file-check.js";

const HEAD = "apiVersion: moesaic.dev/v1\nkind: Cluster\nmetadata: { name: demo }\n";

describe("checkFile", () => {
  it("tells of a sharding plan what cannot be read and what the model does not allow", async (test) => {
    const file = fileWith(test, "worldSize: 64\nexperts: { ep: 64, tpp: 1 }\n");
    const { error, isComplete } = await checkFile(file, describeDummy("gpt-oss-20b"));
    assert.match(error!.message, /2 problems:\n.*experts\.tpp: no such key.*\n.*experts\.ep: expected at most 32/);
    assert.equal(isComplete, true);
    assert.equal((await checkFile(file, null)).isComplete, false);
  });

  it("tells of a cluster file with wrong settings what is wrong with its model and its plan", async (test) => {
    const plan = "{ worldSize: 64, experts: { ep: 64 }, tokens: some }";
    const { error } = await checkFile(
      fileWith(test, `${HEAD}spec:\n  model: dummy:gpt-oss-20b\n  spares: -1\n  plan: ${plan}\n`),
      null,
    );
    assert.match(error!.message, /2 problems:\n.*spec\.spares: .*\n.*spec\.plan\.tokens: /);
    assert.match(error!.message, /1 problem:\n.*experts\.ep: expected at most 32/);
    const folder = `${HEAD}spec:\n  model: nowhere\n  spares: -1\n`;
    assert.match(
      (await checkFile(fileWith(test, folder), null)).error!.message,
      /spares[^]*config\.json.*no such file/,
    );
  });

  it("tells what is not supported beside what the model does not allow", async (test) => {
    const spec = "{ model: dummy:gpt-oss-20b, api: { http: 0.0.0.0:8000 }, plan: { worldSize: 3 } }";
    const { error } = await checkFile(fileWith(test, `${HEAD}spec: ${spec}\n`), null);
    assert.equal(error!.code, "unimplemented");
    assert.match(error!.message, /spec\.api\.http: [^]*worldSize: expected 1, the workers' ranks/);
  });

  it("does not look for a model that would have to be downloaded", async (test) => {
    const { error } = await checkFile(fileWith(test, `${HEAD}spec: { model: "hf://a/b@c" }\n`), null);
    assert.match(error!.message, /1 unsupported setting:\n.*models are not downloaded yet[^\n]*$/);
  });

  it("looks into the plan file that a cluster file names", async (test) => {
    const plan = fileWith(test, "worldSize: 1\nexperts: { ep: 64, tpp: 1 }\n");
    const cluster = fileWith(test, `${HEAD}spec: { model: dummy:gpt-oss-20b, plan: ${plan} }\n`);
    const { error } = await checkFile(cluster, null);
    assert.match(error!.message, /2 problems:\n.*experts\.tpp: no such key.*\n.*experts\.ep: expected at most 32/);
  });

  it("finds nothing wrong with a good file, and says of a missing one that it is", async (test) => {
    const good = fileWith(test, `${HEAD}spec: { model: dummy:gpt-oss-20b, plan: { worldSize: 1 } }\n`);
    assert.deepEqual(await checkFile(good, null), { error: null, isComplete: true });
    assert.equal((await checkFile(`${good}.not`, null)).error!.code, "not_found");
  });
});

function fileWith(test: TestContext, yaml: string): string {
  const folder = mkdtempSync(join(tmpdir(), "moesaic-check-"));
  test.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "file.yaml");
  writeFileSync(file, yaml);
  return file;
}
