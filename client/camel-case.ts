/** `num_free_blocks` as `numFreeBlocks`. */
export type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S;

/** A protobuf message as TypeScript likes it: camelCase names, every field there; a message that is not set is null. */
export type CamelCased<T> = T extends readonly (infer Item)[]
  ? CamelCased<Item>[]
  : T extends object
    ? { [K in keyof T & string as K extends "$unknowns" ? never : CamelCase<K>]-?: Field<NonNullable<T[K]>> }
    : T;

type Field<T> = T extends readonly unknown[] ? CamelCased<T> : T extends object ? CamelCased<T> | null : CamelCased<T>;

/** Renames the keys of plain objects, all the way down. */
export function camelCased<T>(value: T): CamelCased<T> {
  return renamed(value, (key) =>
    key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
  ) as CamelCased<T>;
}

/** The way back, for JSON results: `numFreeBlocks` as `num_free_blocks`. */
export function snakeCased(value: unknown): unknown {
  return renamed(value, (key) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

function renamed(value: unknown, rename: (key: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [rename(key), renamed(inner, rename)]));
}
