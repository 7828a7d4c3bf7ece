import { constants } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import type { Stats } from "node:fs";
import { MoesaicError } from "../../proto/errors.js";

/**
 * A file open for reading, with its size and time as they were when it was opened. The handle stays open so that
 * the file's identity cannot be taken over by another one while we rely on what we read from it.
 */
export class RegularFile {
  /** As given to `open`; errors name the file by it. */
  readonly path: string;
  readonly bytes: number;
  /** Time of the last change of the content, milliseconds since 1970. */
  readonly modifiedMs: number;
  readonly #handle: FileHandle;
  readonly #identity: string;

  private constructor(path: string, handle: FileHandle, stats: Stats) {
    this.path = path;
    this.bytes = stats.size;
    this.modifiedMs = stats.mtimeMs;
    this.#handle = handle;
    this.#identity = identityOf(stats);
  }

  /**
   * Symbolic links are followed, as the Hugging Face cache is made of them.
   * @throws MoesaicError not_found, failed_precondition (no permission), invalid_argument (not a regular file)
   */
  static async open(path: string): Promise<RegularFile> {
    const handle = await openForReading(path);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw notRegular(path);
      return new RegularFile(path, handle, stats);
    } catch (caught) {
      await handle.close();
      throw unreadable(path, caught);
    }
  }

  /**
   * Exactly `bytes` bytes from `offset`.
   * @throws MoesaicError invalid_argument when the file ends earlier
   */
  async read(offset: number, bytes: number): Promise<Buffer> {
    const buffer = Buffer.alloc(bytes);
    let filled = 0;
    while (filled < bytes) {
      const { bytesRead } = await this.#readSome(buffer, filled, offset + filled);
      if (bytesRead === 0) throw truncated(this.path, offset + bytes, offset + filled);
      filled += bytesRead;
    }
    return buffer;
  }

  /** @throws MoesaicError failed_precondition when the path now leads to other content than was opened */
  async checkUnchanged(): Promise<void> {
    const now = await stat(this.path).catch((caught: unknown) => {
      throw unreadable(this.path, caught);
    });
    if (identityOf(now) === this.#identity) return;
    throw new MoesaicError(
      "failed_precondition",
      `the file changed while it was in use: it had ${this.bytes} bytes, written at ${this.modifiedMs} ms, ` +
        `now it has ${now.size}, written at ${now.mtimeMs} ms; wait until nothing writes to it and load again`,
      { place: this.path },
    );
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #readSome(buffer: Buffer, filled: number, position: number): Promise<{ bytesRead: number }> {
    try {
      return await this.#handle.read(buffer, filled, buffer.length - filled, position);
    } catch (caught) {
      throw unreadable(this.path, caught);
    }
  }
}

/** Non-blocking, because opening a named pipe would otherwise wait for a writer for ever. */
async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (caught) {
    throw unreadable(path, caught);
  }
}

function identityOf(stats: Stats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}`;
}

function notRegular(path: string): MoesaicError {
  return new MoesaicError("invalid_argument", "wanted a regular file, there is a folder or a device", { place: path });
}

function truncated(path: string, wantedBytes: number, thereBytes: number): MoesaicError {
  const message = `the file is truncated: wanted ${wantedBytes} bytes, there are ${thereBytes}; download it again`;
  return new MoesaicError("invalid_argument", message, { place: path });
}

function unreadable(path: string, caught: unknown): MoesaicError {
  if (caught instanceof MoesaicError) return caught;
  const { code, message } = MoesaicError.from(caught);
  return new MoesaicError(code, `wanted a readable file: ${message}`, { place: path, cause: caught });
}
