import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MoesaicError } from "../../proto/errors.js";
import {
  filledSafetensors,
  hostileFolders,
  safetensors,
  writeFolder,
  writeLinked,
} from "../../test/hostile-checkpoint.js";
import { openCheckpoint, readJsonFile, type Checkpoint } from "./checkpoint.js";

const repoRoot = findRepoRoot(import.meta.dirname);
const entry = { dtype: "U8", shape: [4], data_offsets: [0, 4] };

let dir = "";
before(async () => {
  dir = await mkdtemp(join(tmpdir(), "moesaic-checkpoint-"));
});
after(() => rm(dir, { recursive: true }));

describe("openCheckpoint", () => {
  // Totals are those of the published shape table at the sizes in each config.json.
  const models = [
    { path: "test/fixtures/tiny-a", files: 1, tensors: 79, bytes: 7_617_152, blocks: [8, 512, 8, 16] },
    { path: "test/fixtures/tiny-b", files: 2, tensors: 60, bytes: 6_456_468, blocks: [6, 704, 9, 16] },
    { path: "models/moesaic-demo", files: 1, tensors: 117, bytes: 12_823_968, blocks: [16, 512, 6, 16] },
  ];
  for (const { path, files, tensors, bytes, blocks } of models) {
    const modelDir = join(repoRoot, path);
    const skip = existsSync(modelDir) ? false : `${path} is not there`;
    it(`finds every tensor of ${path}`, { skip }, async () => {
      await usingCheckpoint(modelDir, (checkpoint) => {
        assert.equal(checkpoint.files.length, files);
        assert.equal(checkpoint.tensors.size, tensors);
        assert.equal(totalBytes(checkpoint), bytes);
        const experts = checkpoint.tensor("model.layers.1.mlp.experts.gate_up_proj_blocks");
        assert.equal(experts.dtype, "U8");
        assert.deepEqual(experts.shape, blocks);
      });
    });
  }

  it("names the file of each tensor of a sharded checkpoint, and ignores tensors the index does not name", async () => {
    const modelDir = join(dir, "sharded");
    const weightMap = { a: "y.safetensors", b: "x.safetensors" };
    await writeFolder(modelDir, {
      "model.safetensors.index.json": JSON.stringify({
        metadata: { total_size: 8, other: [null, 1.5e3] },
        weight_map: weightMap,
      }),
      "x.safetensors": safetensors({ b: entry, unused: { ...entry, data_offsets: [4, 8] } }, 8),
      "y.safetensors": safetensors({ a: entry }, 4),
    });
    await usingCheckpoint(modelDir, (checkpoint) => {
      assert.deepEqual([...checkpoint.tensors.keys()], ["a", "b"]);
      for (const [name, fileName] of Object.entries(weightMap)) {
        const { file, fileIndex } = checkpoint.tensor(name);
        assert.equal(file, join(modelDir, fileName));
        assert.equal(checkpoint.files[fileIndex]?.path, file);
      }
    });
  });

  it("follows symbolic links to regular files", async () => {
    const modelDir = join(dir, "linked");
    await mkdir(modelDir);
    await writeLinked(join(modelDir, "model.safetensors"), join(dir, "blob"), safetensors({ a: entry }, 4));
    await usingCheckpoint(modelDir, (checkpoint) => assert.equal(checkpoint.tensor("a").bytes, 4));
  });

  it("refuses a link to a device, a folder or nothing, and a named pipe without waiting for its writer", async () => {
    const targets = { device: "/dev/zero", folder: dir, nothing: join(dir, "absent") };
    for (const [name, target] of Object.entries(targets)) {
      const modelDir = join(dir, `link-to-${name}`);
      await mkdir(modelDir);
      await symlink(target, join(modelDir, "model.safetensors"));
      const code = name === "nothing" ? "not_found" : "invalid_argument";
      await assert.rejects(openCheckpoint(modelDir), { name: "MoesaicError", code }, name);
    }
    const modelDir = join(dir, "pipe");
    await mkdir(modelDir);
    execFileSync("mkfifo", [join(modelDir, "model.safetensors")]);
    await assert.rejects(openCheckpoint(modelDir), { code: "invalid_argument", message: /regular file/ });
  });

  for (const [folderIndex, { name, files, code, place, message }] of hostileFolders.entries()) {
    it(`refuses ${name}`, async () => {
      const modelDir = join(dir, `hostile-${folderIndex}`);
      await writeFolder(modelDir, files);
      await assert.rejects(openCheckpoint(modelDir), (error) => {
        assert.ok(error instanceof MoesaicError, String(error));
        assert.equal(error.code, code);
        assert.ok(error.place?.startsWith(modelDir) && error.place.includes(place), `place ${error.place}`);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  it("says that a folder is not there", async () => {
    await assert.rejects(openCheckpoint(join(dir, "no", "such")), {
      code: "not_found",
      place: join(dir, "no", "such"),
    });
  });
});

describe("Checkpoint", () => {
  it("names similar tensors when one is missing", async () => {
    await usingSingle(
      "near",
      ["model.layers.0.mlp.router.weight", "model.layers.0.mlp.router.bias", "lm_head.weight"],
      (c) => {
        assert.throws(() => c.tensor("model.layers.7.mlp.router.weight"), {
          code: "not_found",
          message: /model\.layers\.7.*similar names that are there: model\.layers\.0\.mlp\.router\.weight, .*bias$/,
        });
        assert.throws(() => c.tensor("xyz"), { code: "not_found", message: /nothing there has a similar name/ });
      },
    );
  });

  it("knows size and time of its files, and that nothing changed", async () => {
    await usingSingle("same", ["a"], async (checkpoint) => {
      const [file] = checkpoint.files;
      assert.equal(file?.bytes, safetensors({ a: entry }, 4).length);
      assert.ok(Math.abs(file.modifiedMs - Date.now()) < 60_000);
      await checkpoint.checkUnchanged();
    });
  });

  it("notices a file that grew after its header was read", async () => {
    await usingSingle("grown", ["a"], async (checkpoint, path) => {
      await appendFile(path, "x");
      await assert.rejects(checkpoint.checkUnchanged(), {
        code: "failed_precondition",
        place: path,
        message: /changed/,
      });
    });
  });

  it("notices a file that was replaced by one of the same size", async () => {
    await usingSingle("replaced", ["a"], async (checkpoint, path) => {
      await writeFile(`${path}.new`, safetensors({ a: entry }, 4));
      await rename(`${path}.new`, path);
      await assert.rejects(checkpoint.checkUnchanged(), { code: "failed_precondition", place: path });
    });
  });

  it("notices a file that was removed", async () => {
    await usingSingle("removed", ["a"], async (checkpoint, path) => {
      await rm(path);
      await assert.rejects(checkpoint.checkUnchanged(), { code: "not_found", place: path });
    });
  });
});

describe("readJsonFile", () => {
  const wrong = [
    { name: "two equal keys", text: '{"a":{"b":1,"b":2}}', at: 12, message: /key b once/ },
    { name: "a trailing comma", text: '{"a":1,}', at: 7, message: /wanted "\\""/ },
    { name: "a comment", text: "// no\n{}", at: 0, message: /JSON value/ },
    { name: "text after the value", text: "{} 1", at: 3, message: /wanted the end/ },
    { name: "nothing", text: "", at: 0, message: /the end of the text/ },
    { name: "a leading zero", text: "[01]", at: 1, message: /JSON value/ },
    { name: "a very long number", text: `[${"1".repeat(5000)}]`, at: 66, message: /wanted "\]"/ },
  ];
  for (const { name, text, at, message } of wrong) {
    it(`refuses ${name}`, async () => {
      const path = join(dir, "config.json");
      await writeFile(path, text);
      await assert.rejects(readJsonFile(path, 10_000), {
        code: "invalid_argument",
        place: `${path}: byte ${at}`,
        message,
      });
    });
  }

  it("gives the value", async () => {
    const value = { a: [1, -2.5e-3, true, null, "é\u2028\n"], b: {} };
    const path = join(dir, "value.json");
    await writeFile(path, JSON.stringify(value, null, 2));
    assert.deepEqual(await readJsonFile(path, 10_000), value);
  });

  it("refuses more values than a checkpoint's files have", async () => {
    const path = join(dir, "many.json");
    await writeFile(path, `[${"0,".repeat(2 ** 20)}0]`);
    await assert.rejects(readJsonFile(path, 2 ** 22), { code: "invalid_argument", message: /at most 1048576 values/ });
  });

  it("refuses a file over the limit before reading it", async () => {
    const path = join(dir, "large.json");
    await writeFile(path, JSON.stringify("x".repeat(100)));
    await assert.rejects(readJsonFile(path, 99), {
      code: "resource_exhausted",
      place: path,
      message: /at most 99 bytes.* 102/,
    });
  });
});

async function usingCheckpoint(modelDir: string, use: (checkpoint: Checkpoint) => Promise<void> | void): Promise<void> {
  const checkpoint = await openCheckpoint(modelDir);
  try {
    await use(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

/** A checkpoint of one file with tensors of the given names. */
async function usingSingle(
  folder: string,
  names: string[],
  use: (checkpoint: Checkpoint, path: string) => Promise<void> | void,
): Promise<void> {
  const tensors = names.map((name) => ({ name, dtype: "U8" as const, shape: [4] }));
  await writeFolder(join(dir, folder), { "model.safetensors": filledSafetensors(tensors, () => 0) });
  await usingCheckpoint(join(dir, folder), (checkpoint) => use(checkpoint, join(dir, folder, "model.safetensors")));
}

function totalBytes(checkpoint: Checkpoint): number {
  return [...checkpoint.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
}

function findRepoRoot(from: string): string {
  return existsSync(join(from, "package.json")) ? from : findRepoRoot(dirname(from));
}
