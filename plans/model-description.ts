import { MoesaicError } from "../proto/errors.js";
import gptOss120b from "./models/gpt-oss-120b.json" with { type: "json" };
import gptOss20b from "./models/gpt-oss-20b.json" with { type: "json" };
import { suggestion } from "./nearest-name.js";
import { isMapping, isWholeNumber, shown } from "./plain-value.js";
import { throwProblems } from "./problems.js";
import type { RopeTable } from "./rank-program.js";
import { ropeTable, type RopeParameters } from "./rope.js";

/** A model's architecture as data, read from its config.json. Sizes are those of the whole model. */
export interface ModelDescription {
  family: "gpt_oss";
  hiddenSize: number;
  vocabSize: number;
  headDim: number;
  numHeads: number;
  numKvHeads: number;
  numExperts: number;
  expertsPerToken: number;
  /** Units of one expert; its gate_up has twice as many rows. */
  intermediateSize: number;
  /** One entry a layer. */
  layerKinds: LayerKind[];
  /** Keys that a sliding layer sees, the query's own included; 0 when no layer slides. */
  slidingWindow: number;
  /** Most tokens of a sequence that the model was made for. */
  maxModelLen: number;
  rmsNormEps: number;
  /** The experts' activation: see the op `experts` in kernel.h. */
  swigluAlpha: number;
  swigluLimit: number;
  /** Whether q, k, v and o have biases. */
  attentionBias: boolean;
  /** Whether the head uses the embedding's weights. */
  tieWordEmbeddings: boolean;
  rope: RopeTable;
  /** Of config.json; generation_config.json often knows more. */
  eosTokenIds: number[];
}

export type LayerKind = "full" | "sliding";

/**
 * Describes the model of a parsed config.json. Both spellings of rotary parameters are read: `rope_theta` with
 * `rope_scaling`, and `rope_parameters`.
 * @param place the file, as it is to stand in errors
 * @throws MoesaicError invalid_argument with every bad key, or unimplemented for another family of models
 */
export function describeModel(configJson: unknown, place: string): ModelDescription {
  if (!isMapping(configJson)) {
    throw new MoesaicError("invalid_argument", `expected a JSON object, got ${shown(configJson)}`, { place });
  }
  requireFamily(configJson, place);
  const reader = new ConfigReader(configJson);
  const model = readModel(reader);
  throwProblems(reader.problems, place);
  return model;
}

/** The two files of a published checkpoint that describe it. */
interface KnownShape {
  config: Record<string, unknown>;
  generation_config: { eos_token_id: number[] };
}

const KNOWN_SHAPES: Readonly<Record<string, KnownShape>> = {
  "gpt-oss-20b": gptOss20b,
  "gpt-oss-120b": gptOss120b,
};

/**
 * A model of a known shape for runs with random weights.
 * @param name `gpt-oss-20b`, `gpt-oss-120b`, or either with fewer layers: `gpt-oss-20b:4`
 * @throws MoesaicError invalid_argument
 */
export function describeDummy(name: string): ModelDescription {
  const [shape = "", layers, ...rest] = name.split(":");
  const known = Object.hasOwn(KNOWN_SHAPES, shape) ? KNOWN_SHAPES[shape] : undefined;
  if (known === undefined || rest.length > 0) {
    const names = Object.keys(KNOWN_SHAPES);
    const expected = `expected ${names.join(" or ")}, with :LAYERS for fewer layers, got ${shown(name)}`;
    throw new MoesaicError("invalid_argument", expected + suggestion(shape, names));
  }
  const eosTokenIds = known.generation_config.eos_token_id;
  const model = { ...describeModel(known.config, shape), eosTokenIds };
  const numLayers = layers === undefined ? model.layerKinds.length : Number(layers);
  if (Number.isInteger(numLayers) && numLayers >= 1 && numLayers <= model.layerKinds.length) {
    return { ...model, layerKinds: model.layerKinds.slice(0, numLayers) };
  }
  const expected = `expected 1 to ${model.layerKinds.length} layers, as in ${shape}:4, got ${shown(layers)}`;
  throw new MoesaicError("invalid_argument", expected);
}

function requireFamily(config: Record<string, unknown>, place: string): void {
  if (config["model_type"] === "gpt_oss") return;
  const there = config["model_type"] === undefined ? "none" : shown(config["model_type"]);
  const message = `model_type: supported is gpt_oss, there is ${there}; use a gpt-oss checkpoint`;
  throw new MoesaicError("unimplemented", message, { place });
}

/** Bounds keep products of sizes exact and hostile files harmless; real models are far below. */
const MAX_SIZE = 2 ** 20;
const MAX_LAYERS = 1_024;
const MAX_HEADS = 4_096;
/** Elements of all weights together; 2^50 is a thousand times the largest gpt-oss. */
const MAX_PARAMETERS = 2 ** 50;

function readModel(reader: ConfigReader): ModelDescription {
  const headDim = reader.wholeNumber("head_dim", 2, 1_024);
  const numLayers = reader.wholeNumber("num_hidden_layers", 1, MAX_LAYERS);
  const maxModelLen = reader.wholeNumber("max_position_embeddings", 1, 2 ** 30);
  const layerKinds = readLayerKinds(reader, numLayers);
  const model: ModelDescription = {
    family: "gpt_oss",
    hiddenSize: reader.wholeNumber("hidden_size", 32, MAX_SIZE),
    vocabSize: reader.wholeNumber("vocab_size", 1, 2 ** 24),
    headDim,
    numHeads: reader.wholeNumber("num_attention_heads", 1, MAX_HEADS),
    numKvHeads: reader.wholeNumber("num_key_value_heads", 1, MAX_HEADS),
    numExperts: reader.wholeNumber("num_local_experts", 1, 65_536),
    expertsPerToken: readExpertsPerToken(reader),
    intermediateSize: reader.wholeNumber("intermediate_size", 32, MAX_SIZE),
    layerKinds,
    slidingWindow: readSlidingWindow(reader, layerKinds),
    maxModelLen,
    rmsNormEps: reader.number("rms_norm_eps", "above 0 and below 1", (eps) => eps > 0 && eps < 1, 1e-5),
    swigluAlpha: 1.702,
    swigluLimit: reader.number("swiglu_limit", "above 0", (limit) => limit > 0 && limit < 1e30, 7),
    attentionBias: reader.flag("attention_bias", true),
    tieWordEmbeddings: reader.flag("tie_word_embeddings", false),
    rope: ropeTable(headDim, readRope(reader, maxModelLen)),
    eosTokenIds: readEosTokenIds(reader),
  };
  checkActivation(reader);
  if (reader.problems.length === 0) checkTogether(reader, model);
  return model;
}

function readExpertsPerToken(reader: ConfigReader): number {
  const [first, second] = ["num_experts_per_tok", "experts_per_token"] as const;
  if (!reader.has(first)) return reader.wholeNumber(reader.has(second) ? second : first, 1, 1_024);
  if (reader.has(second) && reader.value(first) !== reader.value(second)) {
    reader.problem(second, `expected the same as ${first} (${shown(reader.value(first))})`, reader.value(second));
  }
  return reader.wholeNumber(first, 1, 1_024);
}

/** Without `layer_types` every other layer slides, the first included. */
function readLayerKinds(reader: ConfigReader, numLayers: number): LayerKind[] {
  const types = reader.value("layer_types");
  if (types === undefined || types === null) {
    const slides = reader.value("sliding_window") !== null;
    return Array.from({ length: numLayers }, (_, index) => (slides && index % 2 === 0 ? "sliding" : "full"));
  }
  if (reader.value("num_hidden_layers") !== numLayers) return [];
  if (!Array.isArray(types) || types.length !== numLayers) {
    const got = Array.isArray(types) ? `a list of ${types.length}` : shown(types);
    reader.problems.push(`layer_types: expected a list of num_hidden_layers (${numLayers}) entries, got ${got}`);
    return [];
  }
  return types.map((type, index) => readLayerKind(reader, type, index));
}

function readLayerKind(reader: ConfigReader, type: unknown, index: number): LayerKind {
  if (type === "sliding_attention") return "sliding";
  if (type !== "full_attention") {
    reader.problem(`layer_types[${index}]`, "expected sliding_attention or full_attention", type);
  }
  return "full";
}

function readSlidingWindow(reader: ConfigReader, layerKinds: LayerKind[]): number {
  const numSliding = layerKinds.filter((kind) => kind === "sliding").length;
  if (numSliding > 0) return reader.wholeNumber("sliding_window", 1, 2 ** 30);
  if (reader.has("sliding_window")) reader.wholeNumber("sliding_window", 1, 2 ** 30);
  return 0;
}

/** transformers writes silu although the experts' activation is another; any other word means another model. */
function checkActivation(reader: ConfigReader): void {
  const activation = reader.value("hidden_act");
  if (activation !== undefined && activation !== "silu") reader.problem("hidden_act", "expected silu", activation);
  const quantization = reader.value("quantization_config");
  if (quantization === undefined || quantization === null) return;
  const method = isMapping(quantization) ? quantization["quant_method"] : quantization;
  if (method !== "mxfp4") reader.problem("quantization_config.quant_method", "expected mxfp4", method);
}

function readEosTokenIds(reader: ConfigReader): number[] {
  const ids = reader.value("eos_token_id");
  if (ids === undefined || ids === null) return [];
  const list: unknown[] = Array.isArray(ids) ? ids : [ids];
  if (list.length <= 64 && list.every((id) => isWholeNumber(id, 0, 2 ** 24))) {
    return list.map(Number);
  }
  reader.problem("eos_token_id", "expected a token id or a list of at most 64", ids);
  return [];
}

const UNSUPPORTED_ROPE_KEYS = ["mscale", "mscale_all_dim"];

function readRope(reader: ConfigReader, maxModelLen: number): RopeParameters {
  const key = reader.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const written = reader.value(key) ?? {};
  if (!isMapping(written)) reader.problem(key, "expected a mapping", written);
  const rope = new ConfigReader(isMapping(written) ? written : {}, `${key}.`, reader.problems);
  const theta = rope.has("rope_theta") ? rope : reader;
  const base = theta.number("rope_theta", "above 1", (value) => value > 1 && value < 1e30);
  const kind = rope.value("rope_type") ?? rope.value("type") ?? "default";
  if (kind === "default") return { kind: "default", base };
  if (kind !== "yarn") rope.problem("rope_type", "expected default or yarn", kind);
  for (const name of UNSUPPORTED_ROPE_KEYS) {
    if (rope.has(name)) rope.problem(name, "expected none, since gpt-oss has none", rope.value(name));
  }
  return readYarn(rope, base, maxModelLen);
}

function readYarn(rope: ConfigReader, base: number, maxModelLen: number): RopeParameters {
  const positive = (value: number): boolean => value > 0 && value < 1e30;
  const betaFast = rope.number("beta_fast", "above 0", positive, 32);
  const betaSlow = rope.number("beta_slow", "above 0", positive, 1);
  if (betaFast <= betaSlow) rope.problem("beta_fast", `expected more than beta_slow (${betaSlow})`, betaFast);
  const factor = rope.number("factor", "at least 1", (value) => value >= 1 && value < 1e30);
  return {
    kind: "yarn",
    base,
    factor,
    betaFast,
    betaSlow,
    originalMaxPositions: rope.wholeNumber("original_max_position_embeddings", 1, 2 ** 30, maxModelLen),
    truncate: rope.flag("truncate", true),
    attentionScaling: rope.number("attention_factor", "above 0", positive, 0.1 * Math.log(factor) + 1),
  };
}

/** What no key can be blamed for alone. */
function checkTogether(reader: ConfigReader, model: ModelDescription): void {
  const { hiddenSize, headDim, numHeads, numKvHeads, numExperts, intermediateSize } = model;
  const require = (holds: boolean, key: string, expected: string): void => {
    if (!holds) reader.problem(key, expected, reader.value(key));
  };
  require(headDim % 2 === 0, "head_dim", "expected an even number, since rotation works on pairs");
  require(numHeads % numKvHeads ===
    0, "num_attention_heads", `expected a multiple of num_key_value_heads (${numKvHeads})`);
  require(hiddenSize % 32 === 0, "hidden_size", "expected a multiple of 32, the MXFP4 block");
  require(intermediateSize % 32 === 0, "intermediate_size", "expected a multiple of 32, the MXFP4 block");
  require(model.expertsPerToken <=
    numExperts, "num_local_experts", `expected at least num_experts_per_tok (${model.expertsPerToken})`);
  const attention = hiddenSize * headDim * (2 * numHeads + 2 * numKvHeads);
  const experts = numExperts * 3 * hiddenSize * intermediateSize;
  const numParameters = model.layerKinds.length * (attention + experts) + 2 * model.vocabSize * hiddenSize;
  if (numParameters > MAX_PARAMETERS) {
    reader.problems.push(`the sizes make ${numParameters} weights: expected at most ${MAX_PARAMETERS}`);
  }
}

/** Reads keys of a JSON object, notes what is wrong with them and goes on with a value that can do no harm. */
class ConfigReader {
  constructor(
    private readonly config: Record<string, unknown>,
    private readonly prefix = "",
    readonly problems: string[] = [],
  ) {}

  /** Null counts as absent. */
  has(key: string): boolean {
    return this.value(key) !== undefined && this.value(key) !== null;
  }

  value(key: string): unknown {
    return Object.hasOwn(this.config, key) ? this.config[key] : undefined;
  }

  problem(key: string, expected: string, got: unknown): void {
    this.problems.push(
      `${this.prefix}${key}: ${expected}, ${got === undefined ? "it is missing" : `got ${shown(got)}`}`,
    );
  }

  wholeNumber(key: string, min: number, max: number, fallback?: number): number {
    const accepts = (value: number): boolean => isWholeNumber(value, min, max);
    return this.#read(key, `expected a whole number from ${min} to ${max}`, accepts, fallback) ?? min;
  }

  number(key: string, range: string, accepts: (value: number) => boolean, fallback?: number): number {
    return this.#read(key, `expected a number ${range}`, accepts, fallback) ?? 1;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value !== "boolean") this.problem(key, "expected true or false", value);
    return value === true;
  }

  #read(key: string, expected: string, accepts: (value: number) => boolean, fallback?: number): number | undefined {
    const value = this.has(key) ? this.value(key) : (fallback ?? this.value(key));
    if (typeof value === "number" && accepts(value)) return value;
    this.problem(key, expected, value);
    return undefined;
  }
}
