import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  parseDocument,
  Parser,
  type Document,
  type YAMLMap,
} from "yaml";

import { MoesaicError } from "../proto/errors.js";
import { throwProblems } from "./problems.js";

/** Where a value is in a document: keys and list indices from the root. */
export type YamlPath = readonly (string | number)[];

/** A YAML text as plain values, each with its place in the file. */
export interface YamlSource {
  readonly fileName: string;
  readonly value: unknown;
  /** `FILE:line:column` of the value at `path`, or of the nearest parent that is there. */
  placeOf(path: YamlPath): string;
  /** `FILE:line:column` of the key at `path`. */
  placeOfKey(path: YamlPath): string;
}

/** A file of settings is small; more is a mistake or an attack. */
const MAX_BYTES = 2 ** 20;
/** Values after aliases are expanded: what a file within MAX_BYTES needs, and no alias bomb. */
const MAX_VALUES = 100_000;
const MAX_DEPTH = 32;

/**
 * Reads one YAML 1.2 document. Refused, all at once: syntax errors, equal keys in one mapping, unknown tags, anchors
 * that contain themselves or expand without bound, nesting over 32 levels, and text over 1 MiB.
 * @throws MoesaicError invalid_argument
 */
export function parseYaml(text: string, fileName: string): YamlSource {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_BYTES) {
    const message = `wanted at most ${MAX_BYTES} bytes of YAML, there are ${bytes}; check that it is the right file`;
    throw new MoesaicError("invalid_argument", message, { place: fileName });
  }
  checkDepth(text, fileName);
  const lines = new LineCounter();
  // The library looks for equal keys in quadratic time; the reader below does it in linear time.
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "error",
  });
  const placeAt = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${fileName}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  throwProblems(syntaxProblems(document, placeAt), fileName);
  const reader = new TreeReader(placeAt);
  const value = reader.read(document.contents, []);
  throwProblems(reader.problems, fileName);
  return new Source(fileName, value, reader.offsets, placeAt);
}

/** Collections open at a time; some levels of a document open two. */
const MAX_OPEN = 4 * MAX_DEPTH;

/**
 * The library builds its tree by recursion, and a full stack can end the process inside a regular expression. Its parser
 * keeps a stack of its own, which shows the depth before any tree is built.
 */
function checkDepth(text: string, fileName: string): void {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    Array.from(parser.next(lexeme));
    if (parser.stack.length <= MAX_OPEN) continue;
    const line = text.slice(0, parser.offset).split("\n").length;
    throwProblems([`${fileName}:${line}:1: nested over ${MAX_DEPTH} levels deep`], fileName);
  }
}

type PlaceAt = (offset: number) => string;

function syntaxProblems(document: Document.Parsed, placeAt: PlaceAt): string[] {
  return [...document.errors, ...document.warnings].map(({ pos, message }) => `${placeAt(pos[0])}: ${message}`);
}

interface Offsets {
  key: number;
  value: number;
}

class Source implements YamlSource {
  constructor(
    readonly fileName: string,
    readonly value: unknown,
    private readonly offsets: ReadonlyMap<string, Offsets>,
    private readonly placeAt: PlaceAt,
  ) {}

  placeOf(path: YamlPath): string {
    return this.#place(path, "value");
  }

  placeOfKey(path: YamlPath): string {
    return this.#place(path, "key");
  }

  #place(path: YamlPath, which: keyof Offsets): string {
    for (let length = path.length; length >= 0; length--) {
      const offsets = this.offsets.get(pathKey(path.slice(0, length)));
      if (offsets !== undefined) return this.placeAt(length === path.length ? offsets[which] : offsets.key);
    }
    return this.placeAt(0);
  }
}

function pathKey(path: YamlPath): string {
  return JSON.stringify(path.map(String));
}

/** One walk over the tree: plain values, their offsets, equal keys, and anchors within bounds. */
class TreeReader {
  readonly problems: string[] = [];
  readonly offsets = new Map<string, Offsets>();
  readonly #anchors = new Map<string, unknown>();
  #numValues = 0;

  constructor(private readonly placeAt: PlaceAt) {}

  read(node: unknown, path: YamlPath, keyOffset?: number): unknown {
    const offset = offsetOf(node) ?? keyOffset ?? 0;
    this.offsets.set(pathKey(path), { key: keyOffset ?? offset, value: offset });
    if (!this.#isWithinBounds(offset, path)) return null;
    const value = this.#valueOf(node, path, offset);
    // Only now: an alias inside its own anchor must not find it.
    const anchor = anchorOf(node);
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    return value;
  }

  #isWithinBounds(offset: number, path: YamlPath): boolean {
    this.#numValues++;
    if (this.#numValues === MAX_VALUES + 1) {
      this.problems.push(`${this.placeAt(offset)}: expected at most ${MAX_VALUES} values, aliases expanded`);
    }
    if (path.length > MAX_DEPTH) this.problems.push(`${this.placeAt(offset)}: nested over ${MAX_DEPTH} levels deep`);
    return this.#numValues <= MAX_VALUES && path.length <= MAX_DEPTH;
  }

  #valueOf(node: unknown, path: YamlPath, offset: number): unknown {
    if (isScalar(node)) return node.value;
    if (isMap(node)) return this.#readMap(node, path);
    if (isSeq(node)) return node.items.map((item, index) => this.read(item, [...path, index]));
    if (isAlias(node)) return this.#readAlias(node.source, path, offset);
    return null;
  }

  #readAlias(name: string, path: YamlPath, offset: number): unknown {
    if (this.#anchors.has(name)) return this.read(this.#anchors.get(name), path, offset);
    this.problems.push(`${this.placeAt(offset)}: *${name} refers to no anchor that is complete before it`);
    return null;
  }

  #readMap(map: YAMLMap, path: YamlPath): unknown {
    const entries = new Map<string, unknown>();
    for (const { key, value } of map.items) {
      const offset = offsetOf(key) ?? 0;
      const name = keyName(key);
      if (name === null) this.problems.push(`${this.placeAt(offset)}: expected a name as the key`);
      else if (entries.has(name))
        this.problems.push(`${this.placeAt(offset)}: ${[...path, name].join(".")}: given twice`);
      else entries.set(name, this.read(value, [...path, name], offset));
    }
    // Unlike an assignment, this makes even a key such as __proto__ an ordinary one.
    return Object.fromEntries(entries);
  }
}

/** A key as a name; null, lists and mappings name nothing. */
function keyName(key: unknown): string | null {
  if (!isScalar(key)) return null;
  const { value } = key;
  return ["string", "number", "boolean"].includes(typeof value) ? `${value as string | number | boolean}` : null;
}

function offsetOf(node: unknown): number | undefined {
  if (!isScalar(node) && !isMap(node) && !isSeq(node) && !isAlias(node)) return undefined;
  return node.range?.[0];
}

function anchorOf(node: unknown): string | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
}
