import type { ObjectStore } from "../../jobs/object-store.js";
import { fileDocument } from "./file-document.js";

/** What is written at a time. */
const PIECE_BYTES = 512 * 1024;

export interface LineFileOptions {
  /** One that is there already is written anew: it is of an attempt that was not finished. */
  id: string;
  tenant: string;
  filename: string;
  /** How long it is kept; 0: as long as others. */
  expirySeconds: number;
}

/** A file of the server's making, written line after line; without a line there is none. */
export class LineFile {
  readonly #objects: ObjectStore;
  readonly #options: LineFileOptions;
  #lines: string[] = [];
  #numGathered = 0;
  #numBytes = 0;

  private constructor(objects: ObjectStore, options: LineFileOptions) {
    this.#objects = objects;
    this.#options = options;
  }

  static async begin(objects: ObjectStore, options: LineFileOptions): Promise<LineFile> {
    await objects.abandon(options.id);
    await objects.delete(options.id);
    return new LineFile(objects, options);
  }

  /** @throws MoesaicError resource_exhausted, unavailable */
  async write(line: string): Promise<void> {
    this.#lines.push(line);
    this.#numGathered += line.length;
    if (this.#numGathered >= PIECE_BYTES) await this.#flush();
  }

  /** @returns the file's id, empty when there is no line in it */
  async end(): Promise<string> {
    const { id, tenant, filename, expirySeconds } = this.#options;
    if (this.#lines.length > 0) await this.#flush();
    if (this.#numBytes === 0) return "";
    const file = { filename, purpose: "batch_output", num_bytes: this.#numBytes };
    await this.#objects.create(id, fileDocument(tenant, file, expirySeconds || undefined));
    return id;
  }

  async #flush(): Promise<void> {
    const piece = Buffer.from(`${this.#lines.join("\n")}\n`);
    [this.#lines, this.#numGathered] = [[], 0];
    await this.#objects.append(this.#options.id, piece, false);
    this.#numBytes += piece.length;
  }
}
