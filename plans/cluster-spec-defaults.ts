import { assert } from "../proto/errors.js";
import type { ClusterSpec } from "./cluster-spec.js";

export interface DefaultValue {
  /** As in the YAML file: `spec.engine.blockSize`. */
  path: string;
  default: string | number | boolean | null;
  /** What speaks for it, for a person who thinks of changing it. */
  why: string;
}

/** Every default of a cluster spec: first what changes behaviour, then what changes speed. */
export const CLUSTER_SPEC_DEFAULTS = [
  {
    path: "spec.servedModelName",
    default: null,
    why: "clients then ask for the model by the last part of spec.model",
  },
  {
    path: "spec.maxModelLen",
    default: "auto",
    why: "the model's own limit, or what the KV pool holds for one sequence",
  },
  { path: "spec.plan", default: "auto", why: "the layout follows from the number of ranks and the model" },
  {
    path: "spec.replicas",
    default: 1,
    why: "one copy of the model; more copies serve more requests, not larger models",
  },
  { path: "spec.spares", default: 0, why: "idle ranks cost memory; they pay when a rank must be replaced at once" },
  { path: "spec.bus", default: "embedded", why: "a first run must not need a NATS server" },
  { path: "spec.api.grpc", default: "127.0.0.1:50051", why: "loopback: without TLS nobody else may reach it" },
  { path: "spec.api.http", default: "127.0.0.1:8000", why: "loopback: without TLS nobody else may reach it" },
  { path: "spec.security.tls", default: null, why: "loopback needs none" },
  { path: "spec.security.apiKeysFile", default: null, why: "loopback is for the people of this machine" },
  {
    path: "spec.security.allowPlaintextDataPlane",
    default: false,
    why: "hidden states of prompts must not cross a network readable",
  },
  {
    path: "spec.engine.precision",
    default: "auto",
    why: "fast on a GPU, which has kernels for it; exact on the CPU",
  },
  {
    path: "spec.engine.deterministic",
    default: "auto",
    why: "the same request gives the same tokens where that is free, as it is on the CPU",
  },
  {
    path: "spec.engine.leaseMs",
    default: 30_000,
    why: "within it a coordinator restarts, or a standby gets the lease of 10 s and takes over, weights and all",
  },
  { path: "spec.engine.stallMs", default: 2_000, why: "no single op takes this long; a longer pause is a fault" },
  {
    path: "spec.engine.peerDeadlineMs",
    default: 30_000,
    why: "ranks open their engines at their own pace; below stallMs it is the ranks that name a broken link, not the stall",
  },
  {
    path: "spec.engine.recoveryTimeoutMs",
    default: 30_000,
    why: "a rank is started again and loads within it; nobody waits longer for an answer that may never come",
  },
  {
    path: "spec.scheduler.maxWaiting",
    default: 1_024,
    why: "bounds memory and waiting; more is refused with retry-after",
  },
  {
    path: "spec.scheduler.policy",
    default: "fair",
    why: "one tenant that floods is not to be noticed by the others; with one tenant it is `priority`",
  },
  { path: "spec.scheduler.tenants[].weight", default: 1, why: "tenants share tokens evenly" },
  {
    path: "spec.scheduler.targetTtftMs",
    default: null,
    why: "what a client waits for is its own to say: whose deadline passes before the first token is refused anyway",
  },
  {
    path: "spec.jobs.directory",
    default: ".moesaic/jobs",
    why: "beside the cluster file, where the next start finds them; with a NATS bus they are in JetStream instead",
  },
  {
    path: "spec.jobs.maxBytes",
    default: 4 * 2 ** 30,
    why: "a million short requests with results; a full disk would stop more than jobs",
  },
  { path: "spec.jobs.retentionMs", default: 604_800_000, why: "a week: results of a Friday are there on Monday" },
  {
    path: "spec.jobs.maxInFlight",
    default: "auto",
    why: "seven eighths of maxSequences fill the batch, and leave rows that who waits for an answer gets at once",
  },
  { path: "spec.engine.kernels", default: "auto", why: "the fastest package that can run the op here" },
  {
    path: "spec.engine.dequantize",
    default: false,
    why: "MXFP4 weights are read as they are: a quarter of the bytes of bf16, and bytes are the speed",
  },
  { path: "spec.engine.memoryFraction", default: 0.9, why: "leaves a tenth of the memory to the system and to Node" },
  { path: "spec.engine.numBlocks", default: "auto", why: "what the memory holds after weights and workspace" },
  { path: "spec.engine.blockSize", default: 16, why: "smaller wastes table entries, larger wastes the slots of tails" },
  {
    path: "spec.scheduler.maxBatchedTokens",
    default: "auto",
    why: "prefill is at full speed from a few hundred tokens on; larger steps delay the sequences that decode",
  },
  {
    path: "spec.scheduler.targetStepMs",
    default: 25,
    why: "streams go on at 40 tokens a second while others' prompts are computed, for 1 % of a fast GPU's throughput",
  },
  {
    path: "spec.scheduler.admissionMargin",
    default: 0.01,
    why: "more free blocks mean fewer preemptions and fewer sequences at a time",
  },
  { path: "spec.scheduler.maxSequences", default: 256, why: "weights are read once a step for all of them" },
  {
    path: "spec.scheduler.runAhead",
    default: "auto",
    why: "1 on a CPU: ranks need not wait for the coordinator; 8 on a GPU: not when it pauses for some of its short steps either",
  },
  {
    path: "spec.scheduler.prefixCache",
    default: true,
    why: "a prefix that was computed once is not computed again while its blocks are there; hashing costs 12 ns a token",
  },
  { path: "spec.workers[].host", default: "localhost", why: "the machine that runs the command" },
  { path: "spec.workers[].device", default: "auto", why: "the best device of the host that has kernels" },
  { path: "spec.workers[].ranks", default: 1, why: "one process uses all cores; more ranks split the model" },
  { path: "spec.workers[].threads", default: "auto", why: "every core of the host, shared by its ranks" },
] as const satisfies readonly DefaultValue[];

type DefaultsByPath = { [Row in (typeof CLUSTER_SPEC_DEFAULTS)[number] as Row["path"]]: Row["default"] };

/** The default at a path. */
export function defaultOf<P extends keyof DefaultsByPath>(path: P): DefaultsByPath[P] {
  const row = CLUSTER_SPEC_DEFAULTS.find((candidate) => candidate.path === path);
  assert(row !== undefined, `no default for ${path}`);
  return row.default as DefaultsByPath[P];
}

/** The defaults that a spec leaves as they are: what `plan explain` prints. Those of workers count when all keep them. */
export function defaultsInUse(spec: ClusterSpec): DefaultValue[] {
  return CLUSTER_SPEC_DEFAULTS.filter((row) => valuesAt(spec, row.path).every((value) => value === row.default));
}

/** The values at a path, as written in YAML; several where it goes through a list. */
function valuesAt(spec: ClusterSpec, path: string): unknown[] {
  if (path === "spec.servedModelName") return [spec.spec.servedModelName === lastPart(spec.spec.model) ? null : ""];
  if (path === "spec.plan") return [spec.spec.plan.kind];
  if (path === "spec.bus") return [spec.spec.bus.url];
  return path.split(".").reduce<unknown[]>((parents, part) => parents.flatMap((parent) => child(parent, part)), [spec]);
}

function child(parent: unknown, part: string): unknown[] {
  const inner = (parent as Record<string, unknown>)[part.replace("[]", "")];
  return part.endsWith("[]") ? (inner as unknown[]) : [inner];
}

/** The name that a model goes by when none is given: `hf://openai/gpt-oss-20b@main` and `./models/gpt-oss-20b` alike. */
export function lastPart(model: string): string {
  const name = model.replace(/\/+$/, "").split("/").at(-1) ?? model;
  return name.split("@")[0] || model;
}
