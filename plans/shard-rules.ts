import type { ModelDescription } from "./model-description.js";

/**
 * How a module's tensors are cut. colwise: by output feature (heads, vocabulary), rowwise: by input feature, with the sum
 * over ranks after it; local_colwise: by head, used where it is; by expert, then perhaps by 32-element blocks inside each.
 */
export type ShardStyle =
  "colwise" | "rowwise" | "local_colwise" | "replicate" | { by: "expert"; then: "intermediate" | "none" };

/** What auto writes out, and the modules there are: patterns of names without `model.` and `.weight`. */
export const STYLES: Readonly<Record<string, ShardStyle>> = {
  embed_tokens: "replicate",
  "layers.*.input_layernorm": "replicate",
  "layers.*.self_attn.{q,k,v}_proj": "colwise",
  "layers.*.self_attn.sinks": "local_colwise",
  "layers.*.self_attn.o_proj": "rowwise",
  "layers.*.post_attention_layernorm": "replicate",
  "layers.*.mlp.router": "replicate",
  "layers.*.mlp.experts": { by: "expert", then: "intermediate" },
  norm: "replicate",
  lm_head: "colwise",
};

/** The modules of a model, in order. */
export function moduleNames(model: ModelDescription): string[] {
  return Object.keys(STYLES).flatMap((pattern) =>
    alternatives(pattern).flatMap((name) =>
      name.includes("*") ? model.layerKinds.map((_, layer) => name.replace("*", String(layer))) : [name],
    ),
  );
}

/** Whether a module may be cut this way: as auto does it, or not at all. */
export function allowsStyle(module: string, style: ShardStyle): boolean {
  return style === "replicate" || styleKey(style) === styleKey(autoStyle(module));
}

/** The style that auto gives a module. */
export function autoStyle(module: string): ShardStyle {
  const [, style] = Object.entries(STYLES).find(([pattern]) => patternOf(pattern).test(module)) ?? [];
  return style ?? "replicate";
}

/** The style of each module: that of the last pattern that matches it, else what auto gives it. */
export function styleReader(shard: Readonly<Record<string, ShardStyle>>): (module: string) => ShardStyle {
  const rules = Object.entries(shard).map(([pattern, style]) => ({ regExp: patternOf(pattern), style }));
  return (module) => rules.findLast(({ regExp }) => regExp.test(module))?.style ?? autoStyle(module);
}

/** How the heads of all layers are cut: q, k, v, o and sinks share one KV cache, so they go together or not at all. */
export function attentionStyle(
  model: ModelDescription,
  shard: Readonly<Record<string, ShardStyle>>,
): "cut" | "replicate" | "mixed" {
  return agreed(model, shard, /\.self_attn\./, (style) => (style === "replicate" ? "replicate" : "cut"));
}

/** How the experts of all layers are cut. */
export function expertStyle(
  model: ModelDescription,
  shard: Readonly<Record<string, ShardStyle>>,
): "intermediate" | "none" | "replicate" | "mixed" {
  return agreed(model, shard, /\.mlp\.experts$/, (style) => (typeof style === "string" ? "replicate" : style.then));
}

function agreed<T extends string>(
  model: ModelDescription,
  shard: Readonly<Record<string, ShardStyle>>,
  modules: RegExp,
  kindOf: (style: ShardStyle) => T,
): T | "mixed" {
  const read = styleReader(shard);
  const kinds = new Set(
    moduleNames(model)
      .filter((name) => modules.test(name))
      .map((name) => kindOf(read(name))),
  );
  const [kind = "mixed"] = kinds;
  return kinds.size === 1 ? kind : "mixed";
}

/** Most characters of a pattern; with one star a part, matching then takes linear time. */
const MAX_PATTERN = 200;

/** Whether a pattern is one: parts between dots, at most one `*` and one `{a,b}` in each. */
export function isPattern(pattern: string): boolean {
  const part = /^[A-Za-z0-9_]*(\*|\{[A-Za-z0-9_,]+\})?[A-Za-z0-9_]*$/;
  return pattern.length <= MAX_PATTERN && pattern.split(".").every((name) => name !== "" && part.test(name));
}

/** The names a pattern matches. @param pattern for which isPattern holds */
export function patternOf(pattern: string): RegExp {
  const source = pattern
    .replaceAll(".", "\\.")
    .replaceAll("*", "[^.]*")
    .replaceAll(/\{([^}]*)\}/g, (_, names: string) => `(?:${names.replaceAll(",", "|")})`);
  return new RegExp(`^${source}$`);
}

/** `{q,k}_proj` as `q_proj` and `k_proj`. */
function alternatives(pattern: string): string[] {
  const [whole, names] = /\{([^}]*)\}/.exec(pattern) ?? [];
  return whole === undefined || names === undefined
    ? [pattern]
    : names.split(",").map((name) => pattern.replace(whole, name));
}

function styleKey(style: ShardStyle): string {
  return typeof style === "string" ? style : `by ${style.by}`;
}
