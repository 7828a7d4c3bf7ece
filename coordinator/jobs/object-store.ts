import type { Clock } from "../../proto/clock.js";
import { MoesaicError } from "../../proto/errors.js";
import type { Logger } from "../../proto/log.js";
import { v1 } from "../../proto/messages.js";
import type { JobLog, RecordPlace } from "./job-log.js";
import type { JobRoom } from "./job-room.js";
import { WriteOrder } from "./write-order.js";

export interface ObjectStoreOptions {
  room: JobRoom;
  clock: Clock;
  /** Milliseconds since 1970; objects outlive a process and its monotonic clock. */
  unixMs: () => number;
}

export type ObjectKind = NonNullable<v1.KeptObject.$Properties["kind"]>;

/** An object that is whole: what is known of it, and where its content is. */
interface StoredObject {
  id: string;
  document: v1.KeptObject;
  documentBytes: number;
  parts: RecordPlace[];
}

const MAX_OBJECTS = 10_000;
/** Documents are kept in memory: of one, and of all together. */
const MAX_DOCUMENT_BYTES = 64 * 1024;
const MAX_DOCUMENTS_BYTES = 64 * 1024 * 1024;
const EXPIRY_INTERVAL_MS = 60_000;

/**
 * Files, batches and background responses, on top of a log like that of jobs: each is content in parts, which stay on disk, and
 * behind them a document, which is in memory and may be replaced. An object exists when its document is written: what a
 * killed coordinator leaves without one is dropped by the next.
 */
export class ObjectStore {
  /** Whether somebody needs it who is not done with it: then it does not expire. */
  isHeld: (id: string) => boolean = () => false;
  readonly #log: JobLog;
  readonly #options: ObjectStoreOptions;
  readonly #logger: Logger;
  /** Oldest first. */
  readonly #objects = new Map<string, StoredObject>();
  /** Parts of objects that have no document yet. */
  readonly #growing = new Map<string, RecordPlace[]>();
  readonly #writes = new WriteOrder();
  #documentsBytes = 0;
  #isClosed = false;
  #cancelExpiry = (): void => {};

  private constructor(log: JobLog, options: ObjectStoreOptions, logger: Logger) {
    this.#log = log;
    this.#options = options;
    this.#logger = logger;
  }

  /** Reads what earlier coordinators left. */
  static async open(log: JobLog, options: ObjectStoreOptions, logger: Logger): Promise<ObjectStore> {
    const store = new ObjectStore(log, options, logger);
    await store.#recover();
    await store.#expire();
    return store;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelExpiry();
    await this.#writes.settled();
    await this.#log.close();
  }

  /**
   * Adds to the content of an object that has no document yet.
   * @param isInput it comes from outside, and may not take the room of results
   * @throws MoesaicError resource_exhausted, unavailable
   */
  async append(id: string, bytes: Uint8Array, isInput: boolean): Promise<void> {
    this.#checkOpen();
    const { room } = this.#options;
    if (isInput) room.checkInput(bytes.length);
    else room.checkResult(bytes.length);
    if (!this.#growing.has(id)) this.#checkCount();
    const parts = this.#growing.get(id) ?? [];
    this.#growing.set(id, parts);
    parts.push(await this.#log.append(id, { ...this.#head(), part: {} }, bytes));
  }

  /** Drops content that gets no document. Never throws: what cannot be dropped now the next coordinator drops. */
  async abandon(id: string): Promise<void> {
    if (!this.#growing.delete(id)) return;
    await this.#log.drop(id).catch((error: unknown) => {
      this.#logger.warn({ id, text: MoesaicError.from(error).message }, "content of no object was not dropped");
    });
  }

  /** Makes an object of the content that was appended. @throws MoesaicError resource_exhausted, unavailable */
  async create(id: string, document: v1.KeptObject.$Properties): Promise<v1.KeptObject> {
    this.#checkOpen();
    if (!this.#growing.has(id)) this.#checkCount();
    return this.#write(id, document);
  }

  /** Replaces the document. @param change of a copy   @throws MoesaicError not_found; resource_exhausted, unavailable */
  async update(id: string, change: (document: v1.KeptObject) => void): Promise<v1.KeptObject> {
    this.#checkOpen();
    return this.#writes.run(id, async () => {
      const changed = copyOf(this.#require(id).document);
      change(changed);
      return this.#write(id, changed);
    });
  }

  /** @returns null when there is none of that kind for the tenant */
  find(id: string, kind: ObjectKind, tenant: string): v1.KeptObject | null {
    this.#checkOpen();
    const document = this.#objects.get(id)?.document;
    return document !== undefined && document.kind === kind && document.tenant === tenant ? document : null;
  }

  /** @throws MoesaicError not_found */
  get(id: string): v1.KeptObject {
    return this.#require(id).document;
  }

  /** All of a kind, of one tenant or of all, oldest first. */
  list(kind: ObjectKind, tenant: string | null = null): { id: string; document: v1.KeptObject }[] {
    this.#checkOpen();
    return [...this.#objects.values()].filter(
      ({ document }) => document.kind === kind && (tenant === null || document.tenant === tenant),
    );
  }

  /** The content, a part at a time. @throws MoesaicError not_found, also when it is deleted meanwhile */
  async *content(id: string): AsyncIterable<Uint8Array> {
    for (const place of [...this.#require(id).parts]) {
      this.#require(id);
      yield await this.#log.read(id, place);
    }
  }

  /** Nothing happens where there is none. @throws MoesaicError unavailable */
  async delete(id: string): Promise<void> {
    this.#checkOpen();
    await this.#writes.run(id, async () => {
      const object = this.#objects.get(id);
      if (object === undefined) return;
      await this.#log.drop(id);
      this.#objects.delete(id);
      this.#documentsBytes -= object.documentBytes;
    });
  }

  // ---- keeping -----------------------------------------------------------------------------------------------------

  async #write(id: string, document: v1.KeptObject.$Properties): Promise<v1.KeptObject> {
    const body = v1.KeptObject.encode(document).finish();
    const before = this.#objects.get(id);
    const grown = body.length - (before?.documentBytes ?? 0);
    this.#checkDocument(body.length, grown);
    const parts = before?.parts ?? this.#growing.get(id) ?? [];
    await this.#log.append(id, { ...this.#head(), object: {} }, body);
    this.#growing.delete(id);
    this.#documentsBytes += grown;
    const object = { id, document: v1.KeptObject.decode(body), documentBytes: body.length, parts };
    this.#objects.set(id, object);
    return object.document;
  }

  #head(): v1.JobRecord.$Properties {
    return { unix_ms: this.#options.unixMs() };
  }

  #checkDocument(bytes: number, grown: number): void {
    this.#options.room.checkResult(bytes);
    if (bytes > MAX_DOCUMENT_BYTES) {
      throw new MoesaicError("resource_exhausted", `at most ${MAX_DOCUMENT_BYTES} bytes are kept of it, got ${bytes}`);
    }
    if (this.#documentsBytes + grown <= MAX_DOCUMENTS_BYTES) return;
    throw new MoesaicError("resource_exhausted", "too much is kept of files and batches; delete some files");
  }

  #checkCount(): void {
    if (this.#objects.size + this.#growing.size < MAX_OBJECTS) return;
    const text = `at most ${MAX_OBJECTS} files, batches and background responses are kept; delete some`;
    throw new MoesaicError("resource_exhausted", text);
  }

  #require(id: string): StoredObject {
    this.#checkOpen();
    const object = this.#objects.get(id);
    if (object !== undefined) return object;
    throw new MoesaicError("not_found", `${id.slice(0, 128)} is not there: it was deleted, or has expired`);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new MoesaicError("unavailable", "this coordinator leaves; its next one has what is kept");
  }

  // ---- over time ---------------------------------------------------------------------------------------------------

  async #recover(): Promise<void> {
    const found = new Map<string, { parts: RecordPlace[]; document: RecordPlace | null }>();
    for await (const { jobId: id, head, place } of this.#log.recover()) {
      const records = found.get(id) ?? { parts: [], document: null };
      found.set(id, records);
      if (head.part) records.parts.push(place);
      else if (head.object) records.document = place;
    }
    const objects: StoredObject[] = [];
    for (const [id, { parts, document }] of found) {
      if (document === null) await this.#log.drop(id);
      else objects.push(await this.#readBack(id, document, parts));
    }
    const age = ({ document: { created_unix_ms: createdUnixMs }, id }: StoredObject) => `${createdUnixMs}/${id}`;
    for (const object of objects.toSorted((a, b) => (age(a) < age(b) ? -1 : 1))) this.#objects.set(object.id, object);
    this.#documentsBytes = objects.reduce((sum, { documentBytes }) => sum + documentBytes, 0);
    const facts = { numObjects: objects.length, numDropped: found.size - objects.length, bytes: this.#log.bytes };
    if (found.size > 0) this.#logger.info(facts, "files and batches were read back");
  }

  async #readBack(id: string, place: RecordPlace, parts: RecordPlace[]): Promise<StoredObject> {
    const body = await this.#log.read(id, place);
    return { id, document: v1.KeptObject.decode(body), documentBytes: body.length, parts };
  }

  /** Drops what is out of date, now and every minute. */
  async #expire(): Promise<void> {
    const nowMs = this.#options.unixMs();
    const isOver = ({ id, document: { expires_unix_ms: endMs } }: StoredObject) =>
      endMs > 0 && endMs <= nowMs && !this.isHeld(id);
    for (const { id, document } of [...this.#objects.values()].filter(isOver)) {
      await this.delete(id).then(
        () => this.#logger.info({ id, kind: document.kind }, "object was dropped after its time"),
        (error: unknown) => this.#logger.warn({ id, text: MoesaicError.from(error).message }, "object was not dropped"),
      );
    }
    if (this.#isClosed) return;
    this.#cancelExpiry = this.#options.clock.setTimer(EXPIRY_INTERVAL_MS, () => void this.#expire());
  }
}

function copyOf(document: v1.KeptObject): v1.KeptObject {
  return v1.KeptObject.decode(v1.KeptObject.encode(document).finish());
}
