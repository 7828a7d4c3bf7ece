import { resolve } from "node:path";
import { parseClusterSpec, type ClusterSpec, type SchedulerSpec } from "../plans/cluster-spec.js";
import { checkTenant } from "../proto/tenant.js";
import { MoesaicError } from "../proto/errors.js";
import type { ArgumentsOf } from "./command.js";
import { flag, text, wholeNumber } from "./options.js";

/** Flags that describe a throw-away cluster: each is a line of a cluster file. */
export const LAYOUT_OPTIONS = {
  model: text("folder of a checkpoint, for a throw-away cluster on this machine"),
  tp: wholeNumber("tp", "ranks that share each expert and the heads (default 1)", 1, 1_024),
  ep: wholeNumber("ep", "groups of ranks that hold different experts (default 1)", 1, 1_024),
  "tokens-placement": {
    choices: ["replicated", "sharded"],
    requiresArg: true,
    describe: "which ranks hold a step's hidden states",
  },
  device: { choices: ["cpu", "cuda"], requiresArg: true, describe: "where ranks run (default: the best there is)" },
  kernels: text("kernel package: reference, cpu or cuda (default: the fastest that can run each op)"),
  precision: {
    choices: ["exact", "fast"],
    requiresArg: true,
    describe: "of activations (default: fast on a GPU, else exact)",
  },
  deterministic: flag("the same tokens whatever else runs, also on a GPU in precision fast, where that costs speed"),
  "max-batched-tokens": text("most tokens of one step (default auto)"),
  "num-blocks": text("KV blocks of the pool (default auto: what memory holds)"),
  dequantize: flag("store MXFP4 experts as bf16"),
  "max-model-len": text("most tokens of a sequence (default: the model's own limit)"),
  threads: text("threads of each rank (default: all cores, shared by the ranks)"),
  "block-size": text("tokens per KV block, a power of two (default 16)"),
  "max-sequences": text("most sequences running at a time (default 256)"),
  "run-ahead": text("most steps given to the ranks beyond the one that runs (default auto)"),
} as const;

export const DUMMY_OPTION = {
  dummy: text("seeded random weights of a shape: gpt-oss-20b, or with fewer layers gpt-oss-20b:4"),
} as const;

export type LayoutArguments = ArgumentsOf<typeof LAYOUT_OPTIONS> & { dummy?: string | undefined };

/** Where each flag's value stands in a cluster file. */
const SPEC_PATHS: Readonly<Record<string, string>> = {
  "spec.model": "model",
  "spec.maxModelLen": "max-model-len",
  "spec.plan.tokens": "tokens-placement",
  "spec.plan.worldSize": "tp",
  "spec.plan": "tp",
  "spec.workers": "tp",
  "spec.workers[0].device": "device",
  "spec.workers[0].threads": "threads",
  "spec.workers.0.device": "device",
  "spec.engine.kernels": "kernels",
  "spec.engine.precision": "precision",
  "spec.engine.numBlocks": "num-blocks",
  "spec.engine.blockSize": "block-size",
  "spec.scheduler.maxBatchedTokens": "max-batched-tokens",
  "spec.scheduler.maxSequences": "max-sequences",
  "spec.scheduler.runAhead": "run-ahead",
};
const SOURCE_NAME = "command line";

/**
 * The cluster that the flags describe: ranks of this machine, loopback, free ports.
 * @param more keys of the scheduler for which there is no flag
 * @throws MoesaicError invalid_argument that names the flags
 */
export function clusterOfFlags(args: Partial<LayoutArguments>, more: Partial<SchedulerSpec> = {}): ClusterSpec {
  try {
    return parseClusterSpec(JSON.stringify(documentOf(args, more)), SOURCE_NAME);
  } catch (caught) {
    throw inTermsOfFlags(caught);
  }
}

/** The same error with flags where it named lines and paths of a file that nobody wrote. */
export function inTermsOfFlags(caught: unknown): MoesaicError {
  const error = MoesaicError.from(caught);
  const message = error.message
    .replaceAll(new RegExp(`${SOURCE_NAME}:\\d+:\\d+: ([^\\s:]+)`, "g"), (_, path: string) => {
      const name = SPEC_PATHS[path];
      return name === undefined ? path : `--${name}`;
    })
    .replaceAll(new RegExp(`^${SOURCE_NAME}:\\d+:\\d+`, "g"), SOURCE_NAME);
  return new MoesaicError(error.code, message, {
    cause: error,
    ...(error.place === undefined ? {} : { place: error.place }),
  });
}

/** A cluster that runs, or one to be started for a while. */
export type Target = { endpoint: string; tenant?: string } | { spec: ClusterSpec };

/** @throws MoesaicError invalid_argument unless exactly one way to reach a model is given, with flags that suit it */
export function targetOf(
  args: Partial<LayoutArguments> & { endpoint?: string | undefined; tenant?: string | undefined },
  ways: readonly string[],
): Target {
  const given = Object.entries(args)
    .filter(([name, value]) => name in { ...LAYOUT_OPTIONS, ...DUMMY_OPTION, endpoint: "" } && isGiven(value))
    .map(([name]) => name);
  const chosen = given.filter((name) => ways.includes(name));
  if (chosen.length !== 1) {
    const there = chosen.length === 0 ? "none" : flagList(chosen, " and ");
    throw new MoesaicError("invalid_argument", `expected one of ${flagList(ways, ", ")}, got ${there}`);
  }
  const { endpoint, tenant } = args;
  if (tenant !== undefined) checkTenant(tenant);
  if (endpoint === undefined && tenant !== undefined) {
    throw new MoesaicError(
      "invalid_argument",
      "--tenant: a throw-away cluster has one; leave it out, or name --endpoint",
    );
  }
  if (endpoint === undefined) return { spec: clusterOfFlags(args) };
  const useless = given.filter((name) => name !== "endpoint");
  if (useless.length === 0) return { endpoint, ...(tenant === undefined ? {} : { tenant }) };
  const message = `the layout of a running cluster is fixed: leave out ${flagList(useless, ", ")}, or --endpoint`;
  throw new MoesaicError("invalid_argument", message);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== false;
}

function flagList(names: readonly string[], separator: string): string {
  return names.map((name) => `--${name}`).join(separator);
}

/** For benchmarks that ask the same again and again: each prefill is computed. */
export const EVERY_PREFILL_COMPUTED = { prefixCache: false } as const;

function documentOf(args: Partial<LayoutArguments>, more: Partial<SchedulerSpec>): Record<string, unknown> {
  const [tp, ep] = [args.tp ?? 1, args.ep ?? 1];
  const isOneRank = tp * ep === 1 && args["tokens-placement"] === undefined;
  return {
    apiVersion: "moesaic.dev/v1",
    kind: "Cluster",
    metadata: { name: "local" },
    spec: {
      model: args.dummy === undefined ? resolve(args.model ?? "") : `dummy:${args.dummy}`,
      plan: isOneRank ? "auto" : planOf(tp, ep, args["tokens-placement"]),
      workers: [present({ device: args.device, ranks: tp * ep, threads: number(args.threads) })],
      api: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" },
      engine: present({
        // It lives as long as its command: nobody comes for its workers.
        leaseMs: 1_000,
        precision: args.precision,
        deterministic: args.deterministic === true ? true : undefined,
        kernels: packagesOf(args.kernels),
        numBlocks: number(args["num-blocks"]),
        blockSize: number(args["block-size"]),
        dequantize: args.dequantize,
      }),
      scheduler: present({
        maxBatchedTokens: number(args["max-batched-tokens"]),
        maxSequences: number(args["max-sequences"]),
        runAhead: number(args["run-ahead"]),
        ...more,
      }),
      // There is no next start that would find them.
      jobs: { directory: null },
      ...present({ maxModelLen: number(args["max-model-len"]) }),
    },
  };
}

function planOf(tp: number, ep: number, tokens: string | undefined): Record<string, unknown> {
  return { kind: "ShardingPlan", worldSize: tp * ep, attention: { tp }, experts: { ep, tp }, ...present({ tokens }) };
}

function packagesOf(kernels: string | undefined): string[] | undefined {
  return kernels === undefined || kernels === "auto" ? undefined : [kernels];
}

/** Leaves wrong numbers as they are: the spec's own checks say what they should be. */
function number(value: string | undefined): number | string | undefined {
  return value !== undefined && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
