import { join } from "node:path";
import { MoesaicError } from "../../proto/errors.js";
import { shown } from "./json-cursor.js";
import { readJsonFile } from "./json-file.js";
import { RegularFile } from "./regular-file.js";
import { MAX_TENSORS, readHeaderOf, tensorPlace, type TensorEntry } from "./safetensors.js";

export { readJsonFile } from "./json-file.js";

const INDEX_NAME = "model.safetensors.index.json";
const SINGLE_NAME = "model.safetensors";
/** The largest published indexes, with a tensor per expert, are under 16 MB. */
const MAX_INDEX_BYTES = 32 * 2 ** 20;
/** Every shard stays open while the checkpoint is; published checkpoints have up to 200. */
const MAX_FILES = 512;

/** A tensor of a checkpoint and where its bytes are. */
export interface TensorInfo extends TensorEntry {
  /** Path of the file, as errors name it. */
  readonly file: string;
  /** The same file as an index of `Checkpoint.files`. */
  readonly fileIndex: number;
}

export interface CheckpointFile {
  readonly path: string;
  /** Size when the header was read. */
  readonly bytes: number;
  /** Last change of the content when the header was read, milliseconds since 1970. */
  readonly modifiedMs: number;
}

/** The safetensors files of one model folder with checked headers. Holds the files open until `close`. */
export class Checkpoint {
  readonly files: readonly CheckpointFile[];
  /** By name. Of a sharded checkpoint exactly the tensors that the index names. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #openFiles: readonly RegularFile[];

  constructor(openFiles: readonly RegularFile[], tensors: ReadonlyMap<string, TensorInfo>) {
    this.files = openFiles;
    this.tensors = tensors;
    this.#openFiles = openFiles;
  }

  /** @throws MoesaicError not_found, with the most similar names that are there */
  tensor(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (info === undefined) throw missingTensor(this, name);
    return info;
  }

  /**
   * For after the weights were read: whether what the headers said still holds for what was read.
   * @throws MoesaicError failed_precondition naming the file that was replaced, resized or written to
   */
  async checkUnchanged(): Promise<void> {
    for (const file of this.#openFiles) await file.checkUnchanged();
  }

  async close(): Promise<void> {
    await closeAll(this.#openFiles);
  }
}

/**
 * Opens the shards that model.safetensors.index.json names or, in a folder without an index, model.safetensors, and
 * reads their headers. Symbolic links to regular files are followed.
 * @throws MoesaicError not_found (folder, file, or a tensor that the index promises), invalid_argument (damaged or
 *   hostile), with the file and the tensor or byte in `place`
 */
export async function openCheckpoint(modelDir: string): Promise<Checkpoint> {
  const weightMap = await readWeightMap(modelDir);
  if (weightMap === null) return await openFiles(modelDir, [SINGLE_NAME], null);
  const fileNames = [...new Set(weightMap.values())].toSorted();
  if (fileNames.length > MAX_FILES) {
    const message = `wanted at most ${MAX_FILES} files in weight_map, there are ${fileNames.length}`;
    throw new MoesaicError("resource_exhausted", message, { place: join(modelDir, INDEX_NAME) });
  }
  return await openFiles(modelDir, fileNames, weightMap);
}

/** Tensor name → file name. */
type WeightMap = ReadonlyMap<string, string>;

async function openFiles(modelDir: string, fileNames: string[], weightMap: WeightMap | null): Promise<Checkpoint> {
  const files: RegularFile[] = [];
  const tensors = new Map<string, TensorInfo>();
  try {
    for (const fileName of fileNames) {
      const file = await openWeights(modelDir, fileName, weightMap !== null);
      files.push(file);
      await addTensors(tensors, file, files.length - 1);
    }
    return new Checkpoint(files, weightMap === null ? tensors : selectMapped(tensors, weightMap, modelDir));
  } catch (caught) {
    await closeAll(files);
    throw caught;
  }
}

async function openWeights(modelDir: string, fileName: string, isShard: boolean): Promise<RegularFile> {
  const path = join(modelDir, fileName);
  try {
    return await RegularFile.open(path);
  } catch (caught) {
    const error = MoesaicError.from(caught);
    if (error.code !== "not_found") throw error;
    const [place, message] = isShard
      ? [path, `wanted this file because ${INDEX_NAME} names it, it is not there; download the missing shard`]
      : [modelDir, `wanted ${INDEX_NAME} or ${SINGLE_NAME}, there is neither; check the folder's path`];
    throw new MoesaicError("not_found", message, { place, cause: caught });
  }
}

async function addTensors(tensors: Map<string, TensorInfo>, file: RegularFile, fileIndex: number): Promise<void> {
  const header = await readHeaderOf(file);
  if (tensors.size + header.tensors.size > MAX_TENSORS) {
    const message = `wanted at most ${MAX_TENSORS} tensors in a checkpoint, there are more`;
    throw new MoesaicError("resource_exhausted", message, { place: file.path });
  }
  for (const [name, entry] of header.tensors) {
    const other = tensors.get(name);
    if (other !== undefined) {
      const message = `wanted the tensor in one file, it is also in ${other.file}; remove the file that is out of date`;
      throw new MoesaicError("invalid_argument", message, { place: tensorPlace(file.path, name) });
    }
    tensors.set(name, { ...entry, file: file.path, fileIndex });
  }
}

function selectMapped(
  tensors: Map<string, TensorInfo>,
  weightMap: WeightMap,
  modelDir: string,
): Map<string, TensorInfo> {
  const selected = new Map<string, TensorInfo>();
  for (const [name, fileName] of weightMap) {
    const info = tensors.get(name);
    const wantedFile = join(modelDir, fileName);
    if (info?.file !== wantedFile) {
      const there = info === undefined ? "it is in none of the files" : `it is in ${info.file}`;
      const message = `wanted the tensor in this file because ${INDEX_NAME} says so, ${there}; download both again`;
      throw new MoesaicError("not_found", message, { place: tensorPlace(wantedFile, name) });
    }
    selected.set(name, info);
  }
  return selected;
}

/** The index of a sharded checkpoint, or null when the folder has none. */
async function readWeightMap(modelDir: string): Promise<WeightMap | null> {
  const path = join(modelDir, INDEX_NAME);
  try {
    return checkedWeightMap(await readJsonFile(path, MAX_INDEX_BYTES), path);
  } catch (caught) {
    if (caught instanceof MoesaicError && caught.code === "not_found") return null;
    throw caught;
  }
}

function checkedWeightMap(index: unknown, path: string): WeightMap {
  const entries = isRecord(index) && isRecord(index.weight_map) ? Object.entries(index.weight_map) : [];
  if (entries.length === 0) {
    const message = `wanted an object "weight_map" from tensor names to file names, there is none or an empty one`;
    throw new MoesaicError("invalid_argument", message, { place: path });
  }
  for (const [name, fileName] of entries) {
    if (isPlainFileName(fileName)) continue;
    const there = shown(JSON.stringify(fileName));
    const message = `wanted the name of a .safetensors file in the same folder, there is ${there}`;
    throw new MoesaicError("invalid_argument", message, { place: tensorPlace(path, name) });
  }
  return new Map(entries as [string, string][]);
}

/** Without separators a name cannot lead out of the folder; Windows' separators and drives are refused as well. */
function isPlainFileName(value: unknown): value is string {
  return typeof value === "string" && value.length <= 255 && /^[^/\\:\0]+\.safetensors$/.test(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function missingTensor(checkpoint: Checkpoint, name: string): MoesaicError {
  const near = nearNames(checkpoint.tensors.keys(), name).map(shown);
  const there =
    near.length > 0 ? `similar names that are there: ${near.join(", ")}` : "nothing there has a similar name";
  const message = `wanted the tensor ${shown(name)}, it is not in the checkpoint; ${there}`;
  return new MoesaicError("not_found", message, { place: checkpoint.files.map((file) => file.path).join(", ") });
}

/** The three names that share most of the dotted parts of `wanted`, if that is at least half of them. */
function nearNames(names: Iterable<string>, wanted: string): string[] {
  const parts = wanted.split(".");
  return [...names]
    .map((name) => ({ name, numShared: numSharedParts(name, parts) }))
    .filter(({ numShared }) => 2 * numShared >= parts.length)
    .toSorted((a, b) => b.numShared - a.numShared)
    .slice(0, 3)
    .map(({ name }) => name);
}

function numSharedParts(name: string, parts: readonly string[]): number {
  const own = new Set(name.split("."));
  return parts.filter((part) => own.has(part)).length;
}

async function closeAll(files: readonly RegularFile[]): Promise<void> {
  await Promise.all(files.map((file) => file.close()));
}
