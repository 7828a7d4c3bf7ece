import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, unlink, writeFile, type FileHandle } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import type { v1 } from "../../proto/messages.js";
import { JOB_ID, type JobLog, type KeptRecord, type RecordPlace } from "./job-log.js";
import { encodeRecord, FILE_HEADER, readBody, scanRecords, type ScanEnd } from "./journal-file.js";

const SUFFIX = ".job";
const ID_FILE = "folder-id";
const DAMAGED_SUFFIX = ".damaged";
/** Bytes of records that go out in one write. */
const MAX_GROUP_BYTES = 16 * 1024 * 1024;

interface PendingAppend {
  jobId: string;
  record: Buffer;
  done: (place: RecordPlace) => void;
  failed: (error: MoesaicError) => void;
}

/**
 * Jobs on local disk, a file each: dropping a job is unlinking its file, and damage to one is no damage to another.
 *
 * Records are flushed (fdatasync) before `append` resolves, so what was accepted or reported outlives a power cut. One flush
 * is under way at a time, and all that was appended meanwhile shares the next: the slower the disk, the larger the
 * groups, and a step never waits for either. A record that could not be written whole is cut off again at once.
 */
export class Journal implements JobLog {
  bytes = 0;
  readonly #folder: string;
  readonly #log: Logger;
  readonly #lock: Server;
  /** Valid bytes of each job's file. */
  readonly #sizes = new Map<string, number>();
  #pending: PendingAppend[] = [];
  #writing: Promise<void> | null = null;

  /** @throws MoesaicError failed_precondition when another process has it, or the folder cannot be made */
  static async open(folder: string, log: Logger): Promise<Journal> {
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      return new Journal(folder, await lock(folder), log);
    } catch (caught) {
      if (caught instanceof MoesaicError) throw caught;
      const text = `jobs cannot be kept in ${folder}: ${(caught as Error).message}; name another folder in spec.jobs.directory`;
      throw new MoesaicError("failed_precondition", text, { cause: caught });
    }
  }

  private constructor(folder: string, held: Server, log: Logger) {
    this.#folder = folder;
    this.#lock = held;
    this.#log = log;
  }

  async *recover(): AsyncIterable<KeptRecord> {
    for (const name of (await readdir(this.#folder)).toSorted()) {
      const jobId = name.slice(0, -SUFFIX.length);
      if (name.endsWith(SUFFIX) && JOB_ID.test(jobId)) yield* this.#recoverFile(jobId);
    }
  }

  async append(jobId: string, head: v1.JobRecord.$Properties, body: Uint8Array): Promise<RecordPlace> {
    const record = encodeRecord(head, body);
    const appended = new Promise<RecordPlace>((done, failed) => this.#pending.push({ jobId, record, done, failed }));
    this.#writing ??= this.#write();
    return appended;
  }

  async read(jobId: string, place: RecordPlace): Promise<Uint8Array> {
    const file = await open(this.#path(jobId), "r");
    try {
      const body = await readBody(file, place);
      if (body !== null) return body;
    } finally {
      await file.close();
    }
    throw new MoesaicError("internal", `what was written at byte ${place.at} is not there any more: the disk lost it`, {
      place: this.#path(jobId),
    });
  }

  async drop(jobId: string): Promise<void> {
    await this.#writing;
    const size = this.#sizes.get(jobId);
    if (size === undefined) return;
    await unlink(this.#path(jobId));
    this.#sizes.delete(jobId);
    this.bytes -= size;
  }

  async close(): Promise<void> {
    await this.#writing;
    await new Promise((resolve) => this.#lock.close(resolve));
  }

  #path(jobId: string): string {
    return join(this.#folder, `${jobId}${SUFFIX}`);
  }

  // ---- recovery ----------------------------------------------------------------------------------------------------

  async *#recoverFile(jobId: string): AsyncIterable<KeptRecord> {
    const path = this.#path(jobId);
    const file = await open(path, "r+");
    try {
      const { size } = await file.stat();
      const records = scanRecords(file, size);
      let next = await records.next();
      for (; next.done !== true; next = await records.next()) yield { jobId, ...next.value };
      await this.#mend(jobId, file, size, next.value);
    } finally {
      await file.close();
    }
  }

  /** Cuts off what is no whole record. What a crash cannot have left there is put aside before, for a person to look at. */
  async #mend(jobId: string, file: FileHandle, size: number, { validBytes, ending }: ScanEnd): Promise<void> {
    const path = this.#path(jobId);
    const cutBytes = size - validBytes;
    if (ending === "damaged") {
      await copyRest(file, validBytes, `${path}${DAMAGED_SUFFIX}`);
      this.#log.error(
        { path, validBytes, cutBytes, copy: `${path}${DAMAGED_SUFFIX}` },
        "job file was damaged; what follows the last whole record was put aside, and is computed again",
      );
    } else if (ending === "torn") this.#log.warn({ path, validBytes, cutBytes }, "torn end of a job file was cut off");
    // Without its first line it is no job's file: what is appended to it makes it one again.
    if (cutBytes > 0 || validBytes === 0) await file.truncate(validBytes);
    if (validBytes === 0) await file.write(FILE_HEADER, 0, FILE_HEADER.length, 0);
    if (ending !== "whole") await file.sync();
    this.#grow(jobId, Math.max(validBytes, FILE_HEADER.length));
  }

  // ---- writing -----------------------------------------------------------------------------------------------------

  async #write(): Promise<void> {
    while (this.#pending.length > 0) {
      await Promise.all([...byJob(this.#takeGroup())].map(([jobId, appends]) => this.#writeJob(jobId, appends)));
    }
    // In the same turn as the look at what is pending: who appends after it must find nobody writing.
    this.#writing = null;
  }

  #takeGroup(): PendingAppend[] {
    let bytes = 0;
    const end = this.#pending.findIndex(({ record }) => (bytes += record.length) > MAX_GROUP_BYTES);
    return this.#pending.splice(0, end < 0 ? this.#pending.length : Math.max(1, end));
  }

  async #writeJob(jobId: string, appends: readonly PendingAppend[]): Promise<void> {
    try {
      const begin = await this.#flush(jobId, Buffer.concat(appends.map(({ record }) => record)));
      let at = begin;
      for (const { record, done } of appends) {
        done({ at, size: record.length });
        at += record.length;
      }
    } catch (caught) {
      const error = this.#describe(caught);
      this.#log.warn({ jobId, code: error.code, text: error.message }, "job records were not written");
      for (const { failed } of appends) failed(error);
    }
  }

  /** @returns where the bytes begin */
  async #flush(jobId: string, bytes: Buffer): Promise<number> {
    const size = this.#sizes.get(jobId);
    const file = await open(this.#path(jobId), size === undefined ? "w" : "r+", 0o600);
    try {
      const begin = size ?? FILE_HEADER.length;
      const written = size === undefined ? Buffer.concat([FILE_HEADER, bytes]) : bytes;
      await writeAll(file, written, size ?? 0);
      await file.datasync();
      if (size === undefined) await syncFolder(this.#folder);
      this.#grow(jobId, begin + bytes.length);
      return begin;
    } catch (caught) {
      await this.#undo(jobId, file, size);
      throw caught;
    } finally {
      await file.close();
    }
  }

  /** A disk that takes nothing gives back what it took: the next record must follow a whole one. */
  async #undo(jobId: string, file: FileHandle, size: number | undefined): Promise<void> {
    try {
      if (size === undefined) await unlink(this.#path(jobId));
      else await file.truncate(size);
    } catch (caught) {
      this.#log.error({ jobId, text: (caught as Error).message }, "half a record could not be taken back");
    }
  }

  #grow(jobId: string, size: number): void {
    this.bytes += size - (this.#sizes.get(jobId) ?? 0);
    this.#sizes.set(jobId, size);
  }

  #describe(caught: unknown): MoesaicError {
    const { code, message } = MoesaicError.from(caught);
    if (code !== "resource_exhausted")
      return new MoesaicError(code, `jobs in ${this.#folder}: ${message}`, { cause: caught });
    const text = `jobs in ${this.#folder}: ${message}; free space on that disk, or delete jobs`;
    return new MoesaicError(code, text, { cause: caught });
  }
}

function byJob(appends: readonly PendingAppend[]): Map<string, PendingAppend[]> {
  const groups = new Map<string, PendingAppend[]>();
  for (const append of appends) groups.set(append.jobId, [...(groups.get(append.jobId) ?? []), append]);
  return groups;
}

async function writeAll(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, at + written);
    written += bytesWritten;
  }
}

/** So that a new file's name outlives a power cut too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function copyRest(file: FileHandle, begin: number, path: string): Promise<void> {
  const copy = await open(`${path}.part`, "w", 0o600);
  try {
    const piece = Buffer.alloc(1024 * 1024);
    for (let at = begin; ;) {
      const { bytesRead } = await file.read(piece, 0, piece.length, at);
      if (bytesRead === 0) break;
      await copy.write(piece, 0, bytesRead);
      at += bytesRead;
    }
  } finally {
    await copy.close();
  }
  await rename(`${path}.part`, path);
}

/**
 * One process per folder: a socket in Linux's abstract namespace, which goes with its process however that ends. It is named
 * after an id that lies in the folder, so that every path to the folder leads to one name, and no other folder ever has it.
 * Processes in other network namespaces or on other machines are not kept out.
 */
async function lock(folder: string): Promise<Server> {
  const name = `moesaic-jobs-${await folderId(folder)}`;
  const server = createServer((socket) => socket.destroy());
  server.unref();
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const text = `jobs in ${folder} are another coordinator's, which runs; end it, or name another folder in spec.jobs.directory`;
      reject(new MoesaicError("failed_precondition", text, { cause }));
    });
    server.listen({ path: `\0${name}` }, resolve);
  });
  return server;
}

/** Drawn once, by whoever comes first; a link is there whole or not at all. */
async function folderId(folder: string): Promise<string> {
  const file = join(folder, ID_FILE);
  const drawn = join(folder, `.${randomUUID()}`);
  await writeFile(drawn, randomUUID(), { mode: 0o600, flush: true });
  try {
    await link(drawn, file).catch(ignoreExisting);
    return (await readFile(file, "utf8")).slice(0, 64);
  } finally {
    await unlink(drawn);
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
