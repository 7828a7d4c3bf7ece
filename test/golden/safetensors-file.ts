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

  #data(name: string, dtype: string): ArrayBuffer {
    const entry = this.#entry(name);
    if (entry.dtype !== dtype) throw new Error(`${name} is ${entry.dtype}, not ${dtype}`);
    const [begin, end] = entry.data_offsets;
    return Uint8Array.from(this.#bytes.subarray(this.#begin + begin, this.#begin + end)).buffer;
  }

  #entry(name: string) {
    const entry = this.#header[name];
    if (entry === undefined) throw new Error(`there is no tensor ${name}`);
    return entry;
  }
}
