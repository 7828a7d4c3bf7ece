import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { assert } from "../proto/errors.js";

/** A float32 tensor of a file to be written. */
export interface TensorSpec {
  name: string;
  shape: readonly number[];
}

/**
 * Writes a safetensors file piece by piece, so that tensors larger than memory can pass through. The file appears under its
 * name when it is complete, or not at all.
 */
export class SafetensorsWriter {
  readonly #path: string;
  readonly #file: FileHandle;
  /** First byte of each tensor in the file, and its bytes. */
  readonly #ranges: ReadonlyMap<string, { offset: number; bytes: number }>;
  #bytesMissing: number;

  static async create(path: string, tensors: readonly TensorSpec[]): Promise<SafetensorsWriter> {
    const { header, ranges } = layout(tensors);
    const file = await open(unfinished(path), "w");
    await file.write(header, 0, header.length, 0);
    return new SafetensorsWriter(path, file, ranges);
  }

  private constructor(path: string, file: FileHandle, ranges: ReadonlyMap<string, { offset: number; bytes: number }>) {
    this.#path = path;
    this.#file = file;
    this.#ranges = ranges;
    this.#bytesMissing = [...ranges.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** @param firstElement index of the first value within the tensor */
  async write(name: string, firstElement: number, values: Float32Array): Promise<void> {
    const range = this.#ranges.get(name);
    assert(range !== undefined, `tensor ${name} is in the header`);
    assert(firstElement * 4 + values.byteLength <= range.bytes, `values fit into ${name}`);
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#file.write(
        bytes,
        done,
        bytes.length - done,
        range.offset + firstElement * 4 + done,
      );
      done += bytesWritten;
    }
    this.#bytesMissing -= bytes.length;
  }

  async finish(): Promise<void> {
    assert(this.#bytesMissing === 0, "every value has been written once");
    await this.#file.close();
    await rename(unfinished(this.#path), this.#path);
  }

  async abandon(): Promise<void> {
    await this.#file.close();
    await rm(unfinished(this.#path), { force: true });
  }
}

/** 8 bytes of header length, the JSON header padded with spaces to a multiple of 8, then the tensors one after another. */
function layout(tensors: readonly TensorSpec[]) {
  let end = 0;
  const entries = tensors.map(({ name, shape }) => {
    const begin = end;
    end += shape.reduce((product, size) => product * size, 4);
    return [name, { dtype: "F32", shape, data_offsets: [begin, end] as const }] as const;
  });
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  const ranges = entries.map(([name, { data_offsets: offsets }]) => {
    const [begin, until] = offsets;
    return [name, { offset: header.length + begin, bytes: until - begin }] as const;
  });
  return { header, ranges: new Map(ranges) };
}

function unfinished(path: string): string {
  return `${path}.unfinished`;
}
