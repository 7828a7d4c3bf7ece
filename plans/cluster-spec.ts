import { z } from "zod";

import { RUN_AHEAD_MAX } from "../proto/step.js";
import { defaultOf, lastPart } from "./cluster-spec-defaults.js";
import { isMapping } from "./plain-value.js";
import { throwProblems } from "./problems.js";
import { PRESET_NAMES, readPlanMapping, type PlanReading, type ShardingPlan } from "./sharding-plan.js";
import { parseYaml, type YamlPath, type YamlSource } from "./yaml-source.js";
import {
  autoOrWholeNumber,
  checkYaml,
  dotted,
  flag,
  oneOf,
  text,
  textOrNull,
  valueAt,
  wanted,
  wholeNumber,
  wholeNumberOrNull,
} from "./yaml-schema.js";

/** What the operator writes, every default filled in, frozen. */
export interface ClusterSpec {
  apiVersion: "moesaic.dev/v1";
  kind: "Cluster";
  metadata: { name: string };
  spec: {
    /** A folder, or hf://OWNER/NAME@REVISION. */
    model: string;
    /** What clients call the model. */
    servedModelName: string;
    /** Most tokens of a sequence, prompt and output together. */
    maxModelLen: number | "auto";
    plan: PlanChoice;
    /** Copies of the model. */
    replicas: number;
    workers: WorkerSpec[];
    /** Ranks kept idle to replace a lost one. */
    spares: number;
    bus: BusSpec;
    /** Addresses HOST:PORT to listen on; port 0 takes a free one. */
    api: { grpc: string; http: string };
    engine: EngineSpec;
    scheduler: SchedulerSpec;
    jobs: JobsSpec;
    security: SecuritySpec;
  };
  /** `FILE:line:column` of a path such as `["spec", "engine", "precision"]`, for errors found later. */
  placeOf(path: YamlPath): string;
}

/** A preset or a file has still to be read by whoever may read files; see `parseShardingPlan`. */
export type PlanChoice =
  | { kind: "auto" }
  | { kind: "preset"; name: string }
  | { kind: "file"; path: string }
  | { kind: "inline"; plan: ShardingPlan };

export interface WorkerSpec {
  /** Where its ranks run: on this machine they are started, on others they join by themselves. */
  host: string;
  device: "cpu" | "cuda" | "auto";
  ranks: number;
  /** Threads of each rank. */
  threads: number | "auto";
}

export interface BusSpec {
  /** `embedded`, or the URL of a NATS server. */
  url: string;
  credentialsFile: string | null;
}

export interface EngineSpec {
  precision: "auto" | "exact" | "fast";
  deterministic: "auto" | boolean;
  /** Store MXFP4 experts as bf16. */
  dequantize: boolean;
  /** Names of kernel packages in order of preference; what they lack the reference package does. */
  kernels: "auto" | string[];
  /** Part of the device's memory that the arenas may take, above 0 and at most 1. */
  memoryFraction: number;
  /** KV blocks of the pool, the null block included. */
  numBlocks: number | "auto";
  /** Tokens per KV block, a power of two. */
  blockSize: number;
  /** How long ranks keep their state without a coordinator. */
  leaseMs: number;
  /** How long a progress counter may stand still. */
  stallMs: number;
  /** How long a rank waits for a peer, to connect or inside a collective. */
  peerDeadlineMs: number;
  /** How long requests wait for lost ranks to come back. */
  recoveryTimeoutMs: number;
}

export interface SchedulerSpec {
  /** Most tokens of one step. */
  maxBatchedTokens: number | "auto";
  /** Most sequences running at a time. */
  maxSequences: number;
  /** Most sequences waiting, of each tenant where tenants share; more are refused. */
  maxWaiting: number;
  /** Most steps given to the ranks beyond the one that runs. */
  runAhead: number | "auto";
  policy: "fifo" | "priority" | "fair";
  /** Those whose weight is not 1. */
  tenants: TenantSpec[];
  /** What a step with decodes is to take at most. */
  targetStepMs: number | null;
  /** Requests whose first token is forecast to come later are refused. */
  targetTtftMs: number | null;
  /** Part of the KV pool that admissions leave free. */
  admissionMargin: number;
  /** Sequences begin behind what the KV cache has of their tokens already. */
  prefixCache: boolean;
}

export interface TenantSpec {
  name: string;
  /** Twice the weight, twice the tokens. */
  weight: number;
}

export interface JobsSpec {
  /** Folder of the journal; a bus of its own keeps them in JetStream instead. null: no jobs are taken. */
  directory: string | null;
  /** Most bytes of all jobs, results included. */
  maxBytes: number;
  /** How long a job is kept after its end. */
  retentionMs: number;
  /** Most sequences of jobs at a time. */
  maxInFlight: number | "auto";
}

export interface SecuritySpec {
  tls: { caFile: string; certFile: string; keyFile: string } | null;
  apiKeysFile: string | null;
  /** Join tokens and hidden states may cross a network in clear. */
  allowPlaintextDataPlane: boolean;
}

/**
 * Reads a cluster file: YAML of at most 1 MiB. Unknown keys, missing keys and wrong values are all reported at once.
 * @param fileName as it is to stand in errors
 * @throws MoesaicError invalid_argument: `FILE: N problems:`, then a line `FILE:line:column: path: …` for each
 */
export function parseClusterSpec(yaml: string, fileName: string): ClusterSpec {
  const source = parseYaml(yaml, fileName);
  const checked = checkYaml(source, [], clusterSchema);
  const plan = readPlanChoice(source);
  throwProblems([...checked.problems, ...plan.problems], fileName);
  const { spec, ...head } = checked.value as z.output<typeof clusterSchema>;
  return deepFreeze({
    ...head,
    spec: {
      ...spec,
      servedModelName: spec.servedModelName ?? lastPart(spec.model),
      plan: plan.choice,
      workers: spec.workers,
      engine: { ...spec.engine, kernels: packageNames(spec.engine.kernels) },
    },
    placeOf: (path: YamlPath) => source.placeOf(path),
  });
}

/**
 * Names of the kernel packages a spec means, in order of preference. The reference package is always last: it has a kernel
 * for every op, so that a package need not have one.
 */
export function kernelPackagesOf(cluster: ClusterSpec): string[] {
  const { kernels } = cluster.spec.engine;
  return [...new Set([...(kernels === "auto" ? [deviceOf(cluster)] : kernels), "reference"])];
}

/** Where the ranks run; `auto` is the CPU unless `withDevices` decided otherwise. */
export function deviceOf({ spec }: ClusterSpec): "cpu" | "cuda" {
  return spec.workers.every(({ device }) => device === "cuda") ? "cuda" : "cpu";
}

/**
 * `auto` decided: one step is enough for the ranks not to wait for the coordinator. A GPU's steps are shorter than the pauses that
 * the coordinator makes: it gets work for ten milliseconds or so.
 */
export function runAheadOf(cluster: ClusterSpec): number {
  const { runAhead } = cluster.spec.scheduler;
  if (runAhead !== "auto") return runAhead;
  return deviceOf(cluster) === "cuda" ? 8 : 1;
}

/** `auto` decided: the fastest that the device has kernels for. */
export function precisionOf(cluster: ClusterSpec): "exact" | "fast" {
  const { precision } = cluster.spec.engine;
  if (precision !== "auto") return precision;
  return deviceOf(cluster) === "cuda" ? "fast" : "exact";
}

/** What of the machine that runs the command decides where ranks run. */
export interface ThisMachine {
  /** That engines can use. */
  numGpus: number;
  /** Why there are none; null where there are. */
  missing: string | null;
  /** Whether a host of the spec is this machine. */
  isLocal: (host: string) => boolean;
}

/**
 * The same cluster with every `device: auto` decided: this machine's GPUs where there is one for every rank and a rank works
 * alone, else the CPU.
 */
export function withDevices(cluster: ClusterSpec, machine: ThisMachine): ClusterSpec {
  const auto = reasonAgainstGpus(cluster, machine) === null ? "cuda" : "cpu";
  const decided = cluster.spec.workers.map((worker) =>
    worker.device === "auto" ? { ...worker, device: auto } : worker,
  );
  return deepFreeze({ ...cluster, spec: { ...cluster.spec, workers: decided } }) as ClusterSpec;
}

/** Why `device: auto` is not a GPU here; null where it is. */
export function reasonAgainstGpus({ spec }: ClusterSpec, { numGpus, missing, isLocal }: ThisMachine): string | null {
  const { workers, replicas, spares, engine } = spec;
  const numRanks = workers.reduce((sum, { ranks }) => sum + ranks, 0);
  if (workers.some(({ device }) => device === "cpu")) return "another worker asks for the CPU";
  if (!workers.every(({ host }) => isLocal(host))) return "GPUs of other hosts are used where they are asked for";
  if (missing !== null) return missing;
  if (engine.kernels !== "auto" && !engine.kernels.includes("cuda"))
    return "none of the kernels that are named is for GPUs";
  if (numRanks !== replicas) return `a rank on a GPU works alone, and a replica has ${numRanks / replicas} ranks`;
  if (numRanks + spares > numGpus) return `${numRanks + spares} ranks and spares, ${numGpus} GPUs`;
  return null;
}

/**
 * Refuses what a spec may ask for but nothing can do yet.
 * @param hasJoinToken whether the operator gave a secret that ranks of other hosts have to present; who starts nothing
 *   need not know
 * @throws MoesaicError unimplemented: a line for each, with its place and what to write instead
 */
export function checkSupported(cluster: ClusterSpec, { hasJoinToken = true } = {}): void {
  const { spec } = cluster;
  const gaps: string[] = [];
  const gap = (path: YamlPath, isAsked: boolean, sentence: string): void => {
    if (isAsked) gaps.push(`${cluster.placeOf(path)}: ${dotted(path)}: ${sentence}`);
  };
  gap(
    ["spec", "model"],
    spec.model.startsWith("hf://"),
    "models are not downloaded yet; write the folder of a checkpoint",
  );
  gap(
    ["spec", "security"],
    spec.security.tls !== null || spec.security.apiKeysFile !== null,
    "TLS and keys are not there yet; leave them out",
  );
  const isOpen = !isLoopbackAddress(spec.api.grpc);
  gap(
    ["spec", "api", "grpc"],
    isOpen && !hasJoinToken,
    "beyond loopback only ranks that present a join token are let in, and there is none; set MOESAIC_JOIN_TOKEN to the " +
      "same secret for `moesaic up` and every `moesaic worker`, or write 127.0.0.1:PORT",
  );
  gap(
    ["spec", "api", "grpc"],
    isOpen && !spec.security.allowPlaintextDataPlane,
    "there is no TLS yet: beyond loopback the join token and hidden states travel in clear; on a network that is yours " +
      "alone set spec.security.allowPlaintextDataPlane: true, or write 127.0.0.1:PORT",
  );
  gap(
    ["spec", "api", "http"],
    !isLoopbackAddress(spec.api.http),
    "without TLS and keys, which are not there yet, only loopback is safe; write 127.0.0.1:PORT",
  );
  const isFastOnCpu = spec.engine.precision === "fast" && deviceOf(cluster) === "cpu";
  gap(
    ["spec", "engine", "precision"],
    isFastOnCpu,
    "fast has kernels on GPUs alone; write auto or exact, or device: cuda",
  );
  const isCuda = deviceOf(cluster) === "cuda";
  spec.workers.forEach(({ device }, index) => {
    const isMixed = device === "cuda" && !isCuda;
    gap(
      ["spec", "workers", index, "device"],
      isMixed,
      "GPU and CPU ranks do not work together yet; write one device for all",
    );
  });
  throwProblems(gaps, cluster.placeOf([]).replace(/:\d+:\d+$/, ""), "unimplemented", "unsupported setting");
}

/** Whether an address HOST:PORT can be reached by this machine alone. */
export function isLoopbackAddress(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(":")).replaceAll(/[[\]]/g, "");
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

const PLAN_PATH = ["spec", "plan"];

/** The plan that is written out in a cluster file, whatever else is wrong with the file; null where there is none. */
export function readInlinePlan(source: YamlSource): PlanReading | null {
  return isMapping(valueAt(source.value, PLAN_PATH)) ? readPlanMapping(source, PLAN_PATH) : null;
}

/** The plan setting: a name or path as it is, a mapping as a sharding plan with its own problems. */
function readPlanChoice(source: YamlSource): { choice: PlanChoice; problems: string[] } {
  const inline = readInlinePlan(source);
  if (inline !== null) return { choice: { kind: "inline", plan: inline.plan }, problems: inline.problems };
  return { choice: choiceOf(valueAt(source.value, PLAN_PATH)) ?? { kind: "auto" }, problems: [] };
}

function choiceOf(written: unknown): PlanChoice | null {
  if (written === "auto") return { kind: "auto" };
  if (typeof written !== "string" || written.length > 4_096) return null;
  if (PRESET_NAMES.some((name) => name === written)) return { kind: "preset", name: written };
  return /\.ya?ml$/.test(written) ? { kind: "file", path: written } : null;
}

/** Freezes a value of our own making, all the way down. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}

// ---- schema --------------------------------------------------------------------------------------------------------

const PLAN_EXPECTED = `auto, a preset (${PRESET_NAMES.join(", ")}), a path ending in .yaml, or a mapping`;
const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const HOST = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$|^::1$/;
const TENANT_NAME = /^[A-Za-z0-9._-]{1,64}$/;
const NATS_URL = /^(nats|tls):\/\/[^\s/]{1,500}$/;

function address(): z.ZodType<string> {
  const accepts = (value: unknown): boolean => {
    const [, host, port] =
      (typeof value === "string" && /^([^\s:]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):(\d{1,5})$/.exec(value)) || [];
    return host !== undefined && Number(port) <= 65_535;
  };
  return wanted("an address HOST:PORT, such as 127.0.0.1:8000", accepts);
}

function fraction(): z.ZodType<number> {
  return wanted("a number above 0 and at most 1", (value) => typeof value === "number" && value > 0 && value <= 1);
}

function powerOfTwo(min: number, max: number): z.ZodType<number> {
  const accepts = (value: unknown): boolean =>
    typeof value === "number" && value >= min && value <= max && Number.isInteger(Math.log2(value));
  return wanted(`a power of two from ${min} to ${max}`, accepts);
}

function kernels(): z.ZodType<string | string[]> {
  const isName = (value: unknown): boolean => typeof value === "string" && /^[^\0\n\r]{1,4096}$/.test(value);
  const isList = (value: unknown): boolean =>
    Array.isArray(value) && value.length > 0 && value.length <= 16 && value.every(isName);
  const isChoice = (value: unknown): boolean => ["auto", "reference", "cpu", "cuda"].includes(value as string);
  return wanted("auto, reference, cpu, cuda or a list of packages", (value) => isChoice(value) || isList(value));
}

function packageNames(kernels: string | string[]): "auto" | string[] {
  if (typeof kernels !== "string") return kernels;
  return kernels === "auto" ? kernels : [kernels];
}

const busSchema = z.preprocess(
  (value) => (typeof value === "string" ? { url: value } : value),
  z.strictObject({
    url: wanted<string>(
      "embedded or nats://HOST:PORT",
      (value) => typeof value === "string" && (value === "embedded" || NATS_URL.test(value)),
    ),
    credentialsFile: textOrNull("a file with NATS credentials").default(null),
  }),
);

const workerSchema = z.strictObject({
  host: text("a host name", HOST).default(defaultOf("spec.workers[].host")),
  device: oneOf("cpu", "cuda", "auto").default(defaultOf("spec.workers[].device")),
  ranks: wholeNumber(1, 1_024).default(defaultOf("spec.workers[].ranks")),
  threads: autoOrWholeNumber(1, 1_024).default(defaultOf("spec.workers[].threads")),
});

const engineSchema = z.strictObject({
  precision: oneOf("auto", "exact", "fast").default(defaultOf("spec.engine.precision")),
  deterministic: oneOf<"auto" | boolean>("auto", true, false).default(defaultOf("spec.engine.deterministic")),
  dequantize: flag().default(defaultOf("spec.engine.dequantize")),
  kernels: kernels().default(defaultOf("spec.engine.kernels")),
  memoryFraction: fraction().default(defaultOf("spec.engine.memoryFraction")),
  numBlocks: autoOrWholeNumber(2, 2 ** 30).default(defaultOf("spec.engine.numBlocks")),
  blockSize: powerOfTwo(8, 256).default(defaultOf("spec.engine.blockSize")),
  leaseMs: wholeNumber(100, 3_600_000).default(defaultOf("spec.engine.leaseMs")),
  stallMs: wholeNumber(100, 3_600_000).default(defaultOf("spec.engine.stallMs")),
  peerDeadlineMs: wholeNumber(100, 3_600_000).default(defaultOf("spec.engine.peerDeadlineMs")),
  recoveryTimeoutMs: wholeNumber(100, 3_600_000).default(defaultOf("spec.engine.recoveryTimeoutMs")),
});

const tenantSchema = z.strictObject({
  name: text("1 to 64 letters, digits, dots, dashes or underscores", TENANT_NAME),
  weight: wanted<number>(
    "a number from 0.001 to 1000",
    (value) => typeof value === "number" && value >= 0.001 && value <= 1_000,
  ).default(defaultOf("spec.scheduler.tenants[].weight")),
});

const schedulerSchema = z.strictObject({
  maxBatchedTokens: autoOrWholeNumber(1, 2 ** 20).default(defaultOf("spec.scheduler.maxBatchedTokens")),
  maxSequences: wholeNumber(1, 65_536).default(defaultOf("spec.scheduler.maxSequences")),
  maxWaiting: wholeNumber(1, 1_000_000).default(defaultOf("spec.scheduler.maxWaiting")),
  runAhead: autoOrWholeNumber(0, RUN_AHEAD_MAX).default(defaultOf("spec.scheduler.runAhead")),
  policy: oneOf("fifo", "priority", "fair").default(defaultOf("spec.scheduler.policy")),
  tenants: z
    .array(tenantSchema)
    .max(256, { error: "expected at most 256 entries" })
    .refine((tenants) => new Set(tenants.map(({ name }) => name)).size === tenants.length, {
      error: "expected every name once",
    })
    .default([]),
  targetStepMs: wholeNumberOrNull(1, 60_000).default(defaultOf("spec.scheduler.targetStepMs")),
  targetTtftMs: wholeNumberOrNull(1, 3_600_000).default(defaultOf("spec.scheduler.targetTtftMs")),
  admissionMargin: wanted<number>(
    "a number from 0 to 0.9",
    (value) => typeof value === "number" && value >= 0 && value <= 0.9,
  ).default(defaultOf("spec.scheduler.admissionMargin")),
  prefixCache: flag().default(defaultOf("spec.scheduler.prefixCache")),
});

const jobsSchema = z.strictObject({
  directory: textOrNull("a folder").default(defaultOf("spec.jobs.directory")),
  maxBytes: wholeNumber(2 ** 20, 2 ** 50).default(defaultOf("spec.jobs.maxBytes")),
  retentionMs: wholeNumber(1_000, 31_536_000_000).default(defaultOf("spec.jobs.retentionMs")),
  maxInFlight: autoOrWholeNumber(1, 65_536).default(defaultOf("spec.jobs.maxInFlight")),
});

const tlsSchema = z.strictObject({
  caFile: text("a PEM file"),
  certFile: text("a PEM file"),
  keyFile: text("a PEM file"),
});

const securitySchema = z.strictObject({
  tls: tlsSchema.nullable().default(null),
  apiKeysFile: textOrNull("a file of keys").default(defaultOf("spec.security.apiKeysFile")),
  allowPlaintextDataPlane: flag().default(defaultOf("spec.security.allowPlaintextDataPlane")),
});

const clusterSchema = z.strictObject({
  apiVersion: oneOf("moesaic.dev/v1"),
  kind: oneOf("Cluster"),
  metadata: z.strictObject({ name: text("a name of a-z, 0-9 and -, at most 63 long", DNS_LABEL) }),
  spec: z.strictObject({
    model: text("a folder or hf://OWNER/NAME@REVISION"),
    servedModelName: textOrNull("a name").default(defaultOf("spec.servedModelName")),
    maxModelLen: autoOrWholeNumber(1, 2 ** 30).default(defaultOf("spec.maxModelLen")),
    plan: wanted<unknown>(PLAN_EXPECTED, (value) => isMapping(value) || choiceOf(value) !== null).default(
      defaultOf("spec.plan"),
    ),
    replicas: wholeNumber(1, 1_024).default(defaultOf("spec.replicas")),
    workers: z
      .array(workerSchema)
      .min(1, { error: "expected at least one worker" })
      .max(1_024, { error: "expected at most 1024 entries" })
      .prefault([{}]),
    spares: wholeNumber(0, 1_024).default(defaultOf("spec.spares")),
    bus: busSchema.prefault(defaultOf("spec.bus")),
    api: z
      .strictObject({
        grpc: address().default(defaultOf("spec.api.grpc")),
        http: address().default(defaultOf("spec.api.http")),
      })
      .prefault({}),
    engine: engineSchema.prefault({}),
    scheduler: schedulerSchema.prefault({}),
    jobs: jobsSchema.prefault({}),
    security: securitySchema.prefault({}),
  }),
});
