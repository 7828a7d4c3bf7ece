import { readFileSync } from "node:fs";

/** A small safetensors file, whole in memory, for comparing values. */
export class SafetensorsFile {
  readonly #bytes: Buffer;
  readonly #header: Readonly<Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>>;
  readonly #begin: number;

  constructor(path: string) {
    this.#bytes = readFileSync(path);
    this.#begin = 8 + Number(this.#bytes.readBigUInt64LE(0));
    this.#header = JSON.parse(this.#bytes.subarray(8, this.#begin).toString("utf8"));
  }

  shape(name: string): number[] {
    return this.#entry(name).shape;
  }

  float32(name: string): Float32Array {
    return new Float32Array(this.#data(name, "F32"));
  }

  int32(name: string): Int32Array {
    return new Int32Array(this.#data(name, "I32"));
  }

  /** A view of a tensor's bytes as they are in the file. */
  bytes(name: string): Buffer {
    const [begin, end] = this.#entry(name).data_offsets;
    return this.#bytes.subarray(this.#begin + begin, this.#begin + end);
  }

  #data(name: string, dtype: string): ArrayBuffer {
    const entry = this.#entry(name);
    if (entry.dtype !== dtype) throw new Error(`${name} is ${entry.dtype}, not ${dtype}`);
    return Uint8Array.from(this.bytes(name)).buffer;
  }

  #entry(name: string) {
    const entry = this.#header[name];
    if (entry === undefined) throw new Error(`there is no tensor ${name}`);
    return entry;
  }
}
