import { MoesaicError } from "../../proto/errors.js";
import type { Piece } from "./automaton-builder.js";
import { jsonCharacter } from "./characters.js";
import { type NumberBounds, numberPiece } from "./decimal-range.js";
import {
  anyArray,
  anyObject,
  anyValue,
  arrayPiece,
  constantPiece,
  type Member,
  objectPiece,
  quoted,
  stringCharacter,
} from "./json-grammar.js";
import { anyOf, literal, repeated, rule } from "./pieces.js";
import { regexPiece } from "./regex.js";

const DEPTH_MAX = 64;
/** Schemas that are read, repetitions by reference included: so many that nobody waits for more. */
const SCHEMAS_MAX = 20_000;
const TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;
type Type = (typeof TYPES)[number];
type Schema = Record<string, unknown>;

/** What these say cannot be promised by an automaton of this kind; leaving it out without a word would be worse. */
const REFUSED = [
  ...["not", "if", "then", "else", "contains", "minContains", "maxContains", "uniqueItems", "multipleOf"],
  ...["patternProperties", "propertyNames", "minProperties", "maxProperties", "dependentRequired", "dependentSchemas"],
  ...["dependencies", "unevaluatedItems", "unevaluatedProperties", "additionalItems", "$dynamicRef", "$recursiveRef"],
];

/** Formats that are enforced; JSON schema lets the others be notes to the reader. */
const DATE = String.raw`\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])`;
const TIME = String.raw`([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)`;
const OCTET = String.raw`(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`;
const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  "date-time": `${DATE}T${TIME}`,
  uuid: String.raw`[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}`,
  ipv4: String.raw`${OCTET}(\.${OCTET}){3}`,
  email: String.raw`[\w.+-]{1,64}@[A-Za-z\d-]{1,63}(\.[A-Za-z\d-]{1,63}){1,8}`,
};

/**
 * The JSON texts that a schema allows, as far as an automaton can: every text it reads is valid, members stand in the
 * schema's order, and members that the schema does not name come only where `additionalProperties` asks for them.
 * `oneOf` is read as `anyOf`. References are local ones, recursion included.
 * @param place what the schema is called in errors
 * @throws MoesaicError invalid_argument with the keyword's place in the schema
 */
export function jsonSchemaPiece(schema: unknown, place: string): Piece {
  return new SchemaReader(schema, place).piece();
}

/** A schema and where it stands, as a JSON pointer with the place in front. */
interface At {
  schema: unknown;
  place: string;
  depth: number;
}

class SchemaReader {
  readonly #root: unknown;
  readonly #place: string;
  #numRead = 0;

  constructor(root: unknown, place: string) {
    this.#root = root;
    this.#place = place;
  }

  piece(): Piece {
    return this.#any({ schema: this.#root, place: `${this.#place}#`, depth: 0 });
  }

  #any(at: At): Piece {
    const { schema, place, depth } = at;
    if (depth > DEPTH_MAX) throw invalid(place, `expected at most ${DEPTH_MAX} levels of nesting`);
    if (++this.#numRead > SCHEMAS_MAX)
      throw invalid(place, `the schema has more than ${SCHEMAS_MAX} parts when it is written out`);
    if (schema === true) return anyValue;
    if (schema === false) throw invalid(place, "false allows no value at all");
    if (!isObject(schema)) throw invalid(place, "expected a schema: an object, or true");
    const refused = REFUSED.find((keyword) => isAsking(keyword, schema[keyword]));
    if (refused !== undefined) throw invalid(`${place}/${refused}`, "this keyword cannot be enforced; leave it out");
    if (schema["$ref"] !== undefined) return this.#reference(at, schema);
    if (schema["allOf"] !== undefined) return this.#all(at, schema);
    for (const keyword of ["anyOf", "oneOf"]) if (schema[keyword] !== undefined) return this.#some(at, schema, keyword);
    if (schema["const"] !== undefined) return this.#constants(at, schema, [schema["const"]]);
    if (schema["enum"] !== undefined) return this.#constants(at, schema, listOf(schema["enum"], `${place}/enum`));
    return this.#typed(at, schema);
  }

  // ---- other schemas

  #reference(at: At, schema: Schema): Piece {
    const reference = schema["$ref"];
    if (typeof reference !== "string" || !reference.startsWith("#")) {
      throw invalid(`${at.place}/$ref`, "expected a local reference such as #/$defs/name");
    }
    const target = this.#resolve(reference, `${at.place}/$ref`);
    const beside = without(schema, ["$ref"]);
    if (hasConstraint(beside))
      return this.#any({ ...at, schema: merged(beside, target, at.place), depth: at.depth + 1 });
    // A rule has levels of its own: what refers to itself is read once.
    const place = `${this.#place}${reference}`;
    return rule(place, () => this.#any({ schema: target, place, depth: 0 }));
  }

  #resolve(reference: string, place: string): unknown {
    let found: unknown = this.#root;
    for (const part of reference.slice(1).split("/").slice(1)) {
      const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
      const isThere = (isObject(found) || Array.isArray(found)) && Object.hasOwn(found, name);
      if (!isThere) throw invalid(place, `${reference} refers to nothing`);
      found = (found as Schema)[name];
    }
    return found;
  }

  #all(at: At, schema: Schema): Piece {
    const parts = listOf(schema["allOf"], `${at.place}/allOf`);
    const all = parts.reduce<unknown>(
      (sum, part, index) => merged(sum, this.#withoutReference(part, `${at.place}/allOf/${index}`), at.place),
      without(schema, ["allOf"]),
    );
    return this.#any({ ...at, schema: all, depth: at.depth + 1 });
  }

  /** A part that only refers to another schema is that schema, so that it can be merged. */
  #withoutReference(part: unknown, place: string, depth = 0): unknown {
    if (!isObject(part) || typeof part["$ref"] !== "string") return part;
    if (depth > DEPTH_MAX) throw invalid(`${place}/$ref`, "refers to itself before anything else");
    const target = this.#withoutReference(this.#resolve(part["$ref"], `${place}/$ref`), place, depth + 1);
    return merged(without(part, ["$ref"]), target, place);
  }

  #some(at: At, schema: Schema, keyword: string): Piece {
    const place = `${at.place}/${keyword}`;
    const beside = without(schema, [keyword]);
    const pieces = listOf(schema[keyword], place).map((part, index) => {
      const branch = { schema: part, place: `${place}/${index}`, depth: at.depth + 1 };
      if (!hasConstraint(beside)) return this.#any(branch);
      return this.#any({ ...branch, schema: merged(beside, this.#withoutReference(part, branch.place), branch.place) });
    });
    return anyOf(pieces);
  }

  // ---- values

  #constants(at: At, schema: Schema, values: readonly unknown[]): Piece {
    const types = typesOf(schema, at.place);
    const fitting = values.filter((value) => types.some((type) => isOfType(value, type)));
    if (fitting.length === 0) throw invalid(at.place, "no value of enum or const is of the type");
    for (const value of fitting) refuseDeep(value, at.place, 0);
    return anyOf(fitting.map(constantPiece));
  }

  #typed(at: At, schema: Schema): Piece {
    const types = typesOf(schema, at.place);
    // Every integer is a number.
    const distinct = types.includes("number") ? types.filter((type) => type !== "integer") : types;
    if (distinct.length === TYPES.length - 1 && !hasConstraint(schema)) return anyValue;
    return anyOf(distinct.map((type) => this.#ofType(at, schema, type)));
  }

  #ofType(at: At, schema: Schema, type: Type): Piece {
    switch (type) {
      case "null":
        return literal("null");
      case "boolean":
        return anyOf([literal("true"), literal("false")]);
      case "integer":
      case "number":
        return numberOf(schema, at.place, type === "integer");
      case "string":
        return quoted(stringContent(schema, at.place));
      case "array":
        return this.#array(at, schema);
      case "object":
        return this.#object(at, schema);
    }
  }

  #array(at: At, schema: Schema): Piece {
    const items = schema["prefixItems"] === undefined ? [] : listOf(schema["prefixItems"], `${at.place}/prefixItems`);
    const min = countOf(schema, "minItems", at.place, 0);
    const max = countOf(schema, "maxItems", at.place, Infinity);
    if (items.length === 0 && schema["items"] === undefined && min === 0 && max === Infinity) return anyArray;
    const rest = schema["items"] === false ? null : this.#inner(at, "items", schema["items"] ?? true);
    if (max < min || (rest === null && min > items.length))
      throw invalid(at.place, `no array has ${min} items of these`);
    const pieces = items.map((item, index) => this.#inner(at, `prefixItems/${index}`, item));
    return arrayPiece(pieces, rest, min, max);
  }

  #object(at: At, schema: Schema): Piece {
    const { properties = {}, required = [], additionalProperties } = schema;
    if (!isObject(properties)) throw invalid(`${at.place}/properties`, "expected an object of schemas");
    const needed = listOf(required, `${at.place}/required`, 0);
    const names = [...new Set([...Object.keys(properties), ...needed.map(String)])];
    const isOpen = additionalProperties !== undefined && additionalProperties !== false;
    if (names.length === 0 && additionalProperties === undefined) return anyObject;
    const unknown = needed.find((name) => !Object.hasOwn(properties, String(name)));
    if (unknown !== undefined && additionalProperties === false) {
      throw invalid(`${at.place}/required`, `${JSON.stringify(unknown)} is required and not among the properties`);
    }
    const members = names
      .map((name) => {
        const schema = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
        return this.#member(at, name, schema ?? true, needed.includes(name));
      })
      .filter((member) => member !== null);
    return objectPiece(members, isOpen ? this.#inner(at, "additionalProperties", additionalProperties) : null);
  }

  /** null for a property that must not be there. */
  #member(at: At, name: string, schema: unknown, isRequired: boolean): Member | null {
    if (schema === false && !isRequired) return null;
    const key = name.replaceAll("~", "~0").replaceAll("/", "~1");
    return { name, value: this.#inner(at, `properties/${key}`, schema), isRequired };
  }

  #inner(at: At, path: string, schema: unknown): Piece {
    return this.#any({ schema, place: `${at.place}/${path}`, depth: at.depth + 1 });
  }
}

function numberOf(schema: Schema, place: string, isInteger: boolean): Piece {
  const bounds: NumberBounds = {};
  for (const [keyword, isExclusive] of [
    ["minimum", false],
    ["exclusiveMinimum", true],
  ] as const) {
    const value = boundOf(schema, keyword, place);
    if (value !== null && !(bounds.min !== undefined && bounds.min.value > value)) bounds.min = { value, isExclusive };
  }
  for (const [keyword, isExclusive] of [
    ["maximum", false],
    ["exclusiveMaximum", true],
  ] as const) {
    const value = boundOf(schema, keyword, place);
    if (value !== null && !(bounds.max !== undefined && bounds.max.value < value)) bounds.max = { value, isExclusive };
  }
  const piece = numberPiece(bounds, isInteger);
  if (piece === null) throw invalid(place, "no number that can be written lies within the bounds");
  return piece;
}

function boundOf(schema: Schema, keyword: string, place: string): number | null {
  const value = schema[keyword];
  if (value === undefined) return null;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw invalid(`${place}/${keyword}`, "expected a number");
}

function stringContent(schema: Schema, place: string): Piece {
  const min = countOf(schema, "minLength", place, 0);
  const max = countOf(schema, "maxLength", place, Infinity);
  const { pattern, format } = schema;
  if (max < min) throw invalid(place, `no string has at least ${min} and at most ${max} characters`);
  if (pattern !== undefined) {
    if (typeof pattern !== "string") throw invalid(`${place}/pattern`, "expected a text");
    if (min > 0 || max < Infinity)
      throw invalid(place, "pattern beside minLength or maxLength: put the length into the pattern");
    return regexPiece(pattern, { place: `${place}/pattern`, isSearch: true, write: jsonCharacter });
  }
  const known = typeof format === "string" && Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  if (known === undefined) return repeated(stringCharacter, min, max);
  if (min > 0 || max < Infinity)
    throw invalid(place, `format ${String(format)} beside minLength or maxLength: leave one out`);
  return regexPiece(known, { place: `${place}/format`, write: jsonCharacter });
}

function countOf(schema: Schema, keyword: string, place: string, fallback: number): number {
  const value = schema[keyword];
  if (value === undefined) return fallback;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(`${place}/${keyword}`, "expected an integer from 0 on");
}

/** The types that a schema names; without `type`, those that its other keywords speak of, or all. */
function typesOf(schema: Schema, place: string): Type[] {
  const { type } = schema;
  if (type === undefined) return typesSpokenOf(schema);
  const named = Array.isArray(type) ? (type as unknown[]) : [type];
  for (const name of named) {
    if (TYPES.includes(name as Type)) continue;
    throw invalid(`${place}/type`, `expected one of ${TYPES.join(", ")}, got ${JSON.stringify(name)}`);
  }
  return named as Type[];
}

/** A schema with `properties` and no type means objects, whoever wrote it: other values would be valid and of no use. */
function typesSpokenOf(schema: Schema): Type[] {
  if (hasAny(schema, ["properties", "required", "additionalProperties"])) return ["object"];
  if (hasAny(schema, ["items", "prefixItems", "minItems", "maxItems"])) return ["array"];
  if (hasAny(schema, ["pattern", "minLength", "maxLength"])) return ["string"];
  if (hasAny(schema, ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])) return ["number"];
  return [...TYPES];
}

const CONSTRAINTS = [
  ...["$ref", "allOf", "anyOf", "oneOf", "enum", "const", "type", "properties", "required", "additionalProperties"],
  ...["items", "prefixItems", "minItems", "maxItems", "pattern", "format", "minLength", "maxLength"],
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
];

function hasConstraint(schema: Schema): boolean {
  return hasAny(schema, CONSTRAINTS);
}

function hasAny(schema: Schema, keywords: readonly string[]): boolean {
  return keywords.some((keyword) => schema[keyword] !== undefined);
}

/** Some refused keywords have a value that asks for nothing. */
function isAsking(keyword: string, value: unknown): boolean {
  if (value === undefined) return false;
  if (keyword === "uniqueItems") return value !== false;
  if (keyword === "minProperties") return value !== 0;
  if (keyword === "unevaluatedProperties" || keyword === "unevaluatedItems") return value !== false && value !== true;
  return !(isObject(value) && ["patternProperties", "dependentRequired"].includes(keyword) && isEmpty(value));
}

/** Both schemas at once, keyword by keyword. @throws MoesaicError invalid_argument where they cannot be put together */
function merged(a: unknown, b: unknown, place: string): unknown {
  if (a === true || (isObject(a) && isEmpty(a))) return b;
  if (b === true || (isObject(b) && isEmpty(b))) return a;
  if (!isObject(a) || !isObject(b)) throw invalid(place, "schemas that cannot be put together");
  refuseClosed(a, b, place);
  refuseClosed(b, a, place);
  const sum: Schema = { ...a };
  for (const [keyword, value] of Object.entries(b)) {
    sum[keyword] = sum[keyword] === undefined ? value : mergedKeyword(keyword, sum[keyword], value, place);
  }
  return sum;
}

/** One that allows no other members does not know those of the other. */
function refuseClosed(closed: Schema, other: Schema, place: string): void {
  if (closed["additionalProperties"] !== false || !isObject(other["properties"])) return;
  const known = isObject(closed["properties"]) ? closed["properties"] : {};
  const strange = Object.keys(other["properties"]).find((name) => !Object.hasOwn(known, name));
  if (strange === undefined) return;
  throw invalid(place, `additionalProperties is false in one schema, and another one has the property ${strange}`);
}

function mergedKeyword(keyword: string, a: unknown, b: unknown, place: string): unknown {
  if (JSON.stringify(a) === JSON.stringify(b) || !CONSTRAINTS.includes(keyword)) return a;
  if (keyword === "required") return [...new Set([...listOf(a, place, 0), ...listOf(b, place, 0)])];
  if (keyword === "properties" && isObject(a) && isObject(b)) return mergedProperties(a, b, place);
  if (["minimum", "exclusiveMinimum", "minLength", "minItems"].includes(keyword)) return Math.max(Number(a), Number(b));
  if (["maximum", "exclusiveMaximum", "maxLength", "maxItems"].includes(keyword)) return Math.min(Number(a), Number(b));
  throw invalid(`${place}/${keyword}`, "two schemas with different values for this cannot be put together");
}

function mergedProperties(a: Schema, b: Schema, place: string): Schema {
  const sum: Schema = { ...a };
  for (const [name, schema] of Object.entries(b)) {
    sum[name] = sum[name] === undefined ? schema : merged(sum[name], schema, `${place}/properties/${name}`);
  }
  return sum;
}

function without(schema: Schema, keywords: readonly string[]): Schema {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !keywords.includes(keyword)));
}

function isOfType(value: unknown, type: Type): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}

function listOf(value: unknown, place: string, min = 1): unknown[] {
  if (Array.isArray(value) && value.length >= min) return value as unknown[];
  throw invalid(place, min === 0 ? "expected a list" : "expected a list that is not empty");
}

function refuseDeep(value: unknown, place: string, depth: number): void {
  if (depth > DEPTH_MAX) throw invalid(place, `expected at most ${DEPTH_MAX} levels of nesting`);
  if (typeof value !== "object" || value === null) return;
  for (const inner of Object.values(value)) refuseDeep(inner, place, depth + 1);
}

function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}

function invalid(place: string, message: string): MoesaicError {
  return new MoesaicError("invalid_argument", message, { place });
}
