import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { silentLogger } from "../../proto/log.js";
import { Journal } from "./journal.js";
import type { RecordPlace } from "./job-log.js";

describe("Journal", () => {
  it("gives back what was appended, whole, in order, however large", async (test) => {
    const folder = folderOf(test);
    const bodies = ["", "x", "y".repeat(700_000), "z".repeat(3)];
    const written = await filled(folder, bodies);
    const { journal, places } = await reopened(test, folder);
    assert.deepEqual(places, written);
    assert.deepEqual(await bodiesOf(journal, places), bodies);
  });

  // A power cut, or a kill between two writes, leaves a beginning of the last record.
  it("cuts off a torn end wherever it was torn, keeps what is before it, and goes on behind that", async (test) => {
    const folder = folderOf(test);
    const places = await filled(folder, ["first", "second"]);
    const path = join(folder, "a.job");
    const whole = readFileSync(path);
    for (let cut = places[1]!.at + 1; cut < whole.length; cut += 1) {
      writeFileSync(path, whole.subarray(0, cut));
      const opened = await reopened(test, folder);
      assert.deepEqual(opened.places, places.slice(0, 1), `cut at ${cut}`);
      const place = await opened.journal.append("a", { unix_ms: 9 }, Buffer.from("third"));
      await opened.journal.close();
      const { journal, places: after } = await reopened(test, folder);
      assert.deepEqual([after.length, after[1]], [2, place]);
      assert.deepEqual(await bodiesOf(journal, after), ["first", "third"]);
      await journal.close();
    }
  });

  it("begins a file anew whose very first line is torn", async (test) => {
    const folder = folderOf(test);
    await filled(folder, ["only"]);
    truncateSync(join(folder, "a.job"), 5);
    const { journal, places } = await reopened(test, folder);
    assert.deepEqual(places, []);
    await journal.append("a", {}, Buffer.from("again"));
    await journal.close();
    const { journal: later, places: after } = await reopened(test, folder);
    assert.deepEqual(await bodiesOf(later, after), ["again"]);
  });

  // Zeros are what some file systems leave where the data of a grown file had not arrived.
  it("takes a last record of zeros for a torn one", async (test) => {
    const folder = folderOf(test);
    const places = await filled(folder, ["first", "second"]);
    const path = join(folder, "a.job");
    const bytes = readFileSync(path).fill(0, places[1]!.at + 12);
    writeFileSync(path, bytes);
    assert.deepEqual((await reopened(test, folder)).places, places.slice(0, 1));
    assert.throws(() => readFileSync(`${path}.damaged`), { code: "ENOENT" });
  });

  it("puts what follows a damaged record aside, and leaves other jobs alone", async (test) => {
    const folder = folderOf(test);
    const places = await filled(folder, ["first", "second", "third"]);
    await filled(folder, ["other"], "b");
    const path = join(folder, "a.job");
    const bytes = readFileSync(path);
    bytes[places[1]!.at + 15]! ^= 1;
    writeFileSync(path, bytes);
    const { places: left } = await reopened(test, folder);
    assert.equal(left.length, 1);
    assert.deepEqual(left[0], places[0]);
    assert.deepEqual(readFileSync(`${path}.damaged`), bytes.subarray(places[1]!.at));
    assert.deepEqual(readFileSync(path), bytes.subarray(0, places[1]!.at));
  });

  it("survives any one byte of a file changed, with no record that was not written", async (test) => {
    const folder = folderOf(test);
    const places = await filled(folder, ["first", "second"]);
    const path = join(folder, "a.job");
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at += 1) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x55;
      writeFileSync(path, bytes);
      const { journal, places: left } = await reopened(test, folder);
      const expected = places.filter((place) => at >= 14 && place.at + place.size <= at);
      assert.deepEqual(left, expected, `byte ${at}`);
      await journal.close();
    }
  });

  it("says that a body is not what was written, rather than give it", async (test) => {
    const folder = folderOf(test);
    const [place] = await filled(folder, ["first"]);
    const { journal } = await reopened(test, folder);
    const path = join(folder, "a.job");
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    await assert.rejects(journal.read("a", place!), { code: "internal", place: path });
  });

  it("keeps nothing of a record that a full disk did not take, and goes on when there is room", async (test) => {
    const folder = folderOf(test);
    const { journal } = await reopened(test, folder);
    const path = join(folder, "a.job");
    symlinkSync("/dev/full", path);
    const full = { code: "resource_exhausted", message: /no space left.*free space/s };
    await assert.rejects(journal.append("a", {}, Buffer.from("first")), full);
    const first = await journal.append("a", {}, Buffer.from("first"));
    renameSync(path, `${path}.kept`);
    symlinkSync("/dev/full", path);
    await assert.rejects(journal.append("a", {}, Buffer.from("lost")), full);
    renameSync(`${path}.kept`, path);
    const second = await journal.append("a", {}, Buffer.from("second"));
    await journal.close();
    const { journal: later, places } = await reopened(test, folder);
    assert.deepEqual(places, [first, second]);
    assert.deepEqual(await bodiesOf(later, places), ["first", "second"]);
  });

  it("belongs to one at a time", async (test) => {
    const folder = folderOf(test);
    const { journal } = await reopened(test, folder);
    await assert.rejects(Journal.open(folder, silentLogger), { code: "failed_precondition", message: /another/ });
    await journal.close();
    await reopened(test, folder);
  });

  it("counts its bytes, and gives those of a dropped job back", async (test) => {
    const folder = folderOf(test);
    await filled(folder, ["x".repeat(1_000)]);
    const { journal } = await reopened(test, folder);
    assert.equal(journal.bytes, readFileSync(join(folder, "a.job")).length);
    await journal.append("b", {}, Buffer.from("y".repeat(500)));
    await journal.drop("a");
    assert.equal(journal.bytes, readFileSync(join(folder, "b.job")).length);
    await journal.drop("a");
  });

  it("refuses a folder that cannot be made", async (test) => {
    const file = join(folderOf(test), "file");
    writeFileSync(file, "");
    const refused = Journal.open(join(file, "jobs"), silentLogger);
    await assert.rejects(refused, { code: "failed_precondition", message: /spec\.jobs\.directory/ });
  });

  // It was named after the folder's inode, which the next folder may have while who had the first one still runs.
  it("is one coordinator's, by whatever path, and does not keep a new folder from another", async (test) => {
    const folder = folderOf(test);
    const held = await Journal.open(folder, silentLogger);
    const other = join(folderOf(test), "link");
    symlinkSync(folder, other);
    for (const path of [folder, other]) {
      await assert.rejects(Journal.open(path, silentLogger), {
        code: "failed_precondition",
        message: /another coordinator/,
      });
    }
    rmSync(folder, { recursive: true });
    const next = await Journal.open(folder, silentLogger);
    await Promise.all([held.close(), next.close()]);
  });
});

function folderOf(test: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "moesaic-journal-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function filled(folder: string, bodies: readonly string[], jobId = "a"): Promise<RecordPlace[]> {
  const journal = await Journal.open(folder, silentLogger);
  for await (const record of journal.recover()) assert.notEqual(record.jobId, jobId);
  const appends = bodies.map((body, index) => journal.append(jobId, { unix_ms: index }, Buffer.from(body)));
  const places = await Promise.all(appends);
  await journal.close();
  return places;
}

/** And what it has of job a. */
async function reopened(test: TestContext, folder: string): Promise<{ journal: Journal; places: RecordPlace[] }> {
  const journal = await Journal.open(folder, silentLogger);
  test.after(() => journal.close());
  const places: RecordPlace[] = [];
  for await (const { jobId, place } of journal.recover()) if (jobId === "a") places.push(place);
  return { journal, places };
}

async function bodiesOf(journal: Journal, places: readonly RecordPlace[]): Promise<string[]> {
  const bodies = await Promise.all(places.map((place) => journal.read("a", place)));
  return bodies.map((body) => Buffer.from(body).toString());
}
