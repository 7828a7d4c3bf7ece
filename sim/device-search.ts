import type { PlanCost } from "../plans/cost.js";
import { layoutName } from "../plans/layout-choice.js";
import type { ModelDescription } from "../plans/model-description.js";
import { resolvePlan, type ResolvedPlan } from "../plans/resolved-plan.js";
import { strategiesOf, type Strategy } from "../plans/strategies.js";
import { MoesaicError } from "../proto/errors.js";
import { loadFigures, meetsObjective, type LoadFigures, type Objective } from "./load-figures.js";
import type { SimulatedCluster } from "./simulated-cluster.js";
import { simulate, type SimulatedRun } from "./simulation.js";
import type { Trace } from "./trace.js";

/** One way to use so many devices. */
export interface Candidate {
  numDevices: number;
  /** `2 replicas of tp 4`. */
  name: string;
  /** null where it does not fit. */
  figures: (LoadFigures & { isMet: boolean }) | null;
  run: SimulatedRun | null;
  /** Why it does not fit; null where it does. */
  misfit: string | null;
  /** The best of the fewest devices that keep the objective. */
  isWinner: boolean;
}

export interface DeviceAnswer {
  /** Fewest devices with a layout that keeps the objective; null when none of up to `maxDevices` has one. */
  numDevices: number | null;
  /** Everything that was simulated, by number of devices. */
  tried: Candidate[];
}

export interface DeviceQuestion {
  /** A cluster of replicas of a plan. @throws MoesaicError resource_exhausted where it does not fit */
  on: (plan: ResolvedPlan, numReplicas: number) => SimulatedCluster;
  objective: Objective;
  maxDevices: number;
  seed: number;
}

/** Ranks of a replica: more than a host has would not be one machine's links any more. */
const MOST_RANKS = 8;
/** Steps by which layouts of one kind are compared before any is simulated: one conversation and many. */
const COMPARED_STEPS = [1, 64] as const;

/**
 * The fewest devices on which a trace keeps an objective, in any division into replicas and any kind of layout. Numbers are doubled
 * until one suffices and then halved in, since more devices are taken to be no worse.
 */
export async function searchDevices(
  model: ModelDescription,
  trace: Trace,
  question: DeviceQuestion,
): Promise<DeviceAnswer> {
  const tried = new Map<number, Candidate[]>();
  const suffices = async (numDevices: number): Promise<boolean> => {
    const candidates = await simulateAll(model, trace, numDevices, question);
    tried.set(numDevices, candidates);
    return candidates.some(({ figures }) => figures?.isMet === true);
  };
  let [low, high] = [0, 1];
  while (!(await suffices(high))) {
    low = high;
    if (high === question.maxDevices) return { numDevices: null, tried: inOrder(tried) };
    high = Math.min(2 * high, question.maxDevices);
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await suffices(middle)) high = middle;
    else low = middle;
  }
  const winner = bestOf(tried.get(high)!.filter(({ figures }) => figures?.isMet === true));
  winner.isWinner = true;
  return { numDevices: high, tried: inOrder(tried) };
}

/** What speaks for the winner, in the figures of the simulation. */
export function whyWinner(winner: Candidate, tried: readonly Candidate[]): string {
  const others = tried.filter((other) => other.numDevices === winner.numDevices && other !== winner);
  const fewer = tried.filter(({ numDevices }) => numDevices < winner.numDevices);
  const against = others.map((other) => `${other.name} ${fared(other)}`).join("; ");
  const closest = fewer.length === 0 ? [] : [bestOf(fewer)];
  const less = closest.map((other) => `${other.numDevices} do not: ${other.name} ${fared(other)}`);
  return [`${winner.name} ${fared(winner)}`, ...(against === "" ? [] : [against]), ...less].join("; ");
}

export function whyNone(tried: readonly Candidate[]): string {
  const best = bestOf(tried);
  return `${best.numDevices} as ${best.name} come closest: ${fared(best)}`;
}

function fared({ figures, run, misfit }: Candidate): string {
  if (figures === null || run === null) return `does not fit (${misfit})`;
  const { busyMs, collectivesMs, overheadMs } = run.totals;
  const percent = (part: number): string => `${Math.round((100 * part) / Math.max(busyMs, 1e-9))} %`;
  const refused = figures.numRefused === 0 ? "" : `, refuses ${figures.numRefused}`;
  return (
    `p99 TTFT ${Math.round(figures.ttftMsP99)} ms, ITL ${figures.itlMsP99.toPrecision(3)} ms${refused}, busy ${Math.round(100 * run.busy)} %, ` +
    `collectives ${percent(collectivesMs)} and overheads ${percent(overheadMs)} of its steps`
  );
}

// ---- candidates --------------------------------------------------------------------------------------------------------

async function simulateAll(
  model: ModelDescription,
  trace: Trace,
  numDevices: number,
  question: DeviceQuestion,
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (let worldSize = 1; worldSize <= Math.min(numDevices, MOST_RANKS); worldSize++) {
    if (numDevices % worldSize !== 0) continue;
    for (const plan of plansOf(model, worldSize, question)) {
      candidates.push(await simulateOne(trace, plan, numDevices, question));
    }
  }
  return candidates;
}

/** The best layout of each kind. */
function plansOf(model: ModelDescription, worldSize: number, { on }: DeviceQuestion): ResolvedPlan[] {
  const any = resolvePlan("auto", model, worldSize);
  if (worldSize === 1) return [any];
  const cost = costOfCluster(any, on);
  if (cost === null) return [any];
  const strategies = strategiesOf(cost, COMPARED_STEPS).filter((strategy) => strategy.cost !== null);
  const score = ({ stepMs }: Strategy): number => stepMs.reduce((product, ms) => product * ms, 1);
  return (["tp", "ep", "ep x tp"] as const)
    .map((kind) => strategies.filter((strategy) => strategy.kind === kind).toSorted((a, b) => score(a) - score(b))[0])
    .flatMap((strategy) => (strategy?.cost ? [strategy.cost.plan] : []));
}

function costOfCluster(plan: ResolvedPlan, on: DeviceQuestion["on"]): PlanCost | null {
  try {
    return on(plan, 1).cost;
  } catch (caught) {
    if (MoesaicError.from(caught).code === "resource_exhausted") return null;
    throw caught;
  }
}

async function simulateOne(
  trace: Trace,
  plan: ResolvedPlan,
  numDevices: number,
  { on, objective, seed }: DeviceQuestion,
): Promise<Candidate> {
  const numReplicas = numDevices / plan.worldSize;
  const candidate = { numDevices, name: nameOf(plan, numReplicas), isWinner: false };
  let cluster: SimulatedCluster;
  try {
    cluster = on(plan, numReplicas);
  } catch (caught) {
    const { code, message } = MoesaicError.from(caught);
    if (code !== "resource_exhausted") throw caught;
    return { ...candidate, figures: null, run: null, misfit: message };
  }
  const run = await simulate(trace, cluster, seed);
  const figures = loadFigures(run.records, objective);
  return { ...candidate, figures: { ...figures, isMet: meetsObjective(figures, objective) }, run, misfit: null };
}

function nameOf({ worldSize, attention, experts }: ResolvedPlan, numReplicas: number): string {
  const replicas = numReplicas === 1 ? "one replica" : `${numReplicas} replicas`;
  if (worldSize === 1) return replicas;
  return `${replicas} of ${layoutName({ ep: experts.ep, tp: experts.tp, attentionTp: attention.tp })}`;
}

/** By goodput, then by the gaps between tokens. */
function bestOf(candidates: readonly Candidate[]): Candidate {
  const goodput = ({ figures }: Candidate): number => figures?.goodput ?? -1;
  const gap = ({ figures }: Candidate): number => figures?.itlMsP99 ?? Infinity;
  return candidates.toSorted((a, b) => goodput(b) - goodput(a) || gap(a) - gap(b))[0]!;
}

function inOrder(tried: ReadonlyMap<number, Candidate[]>): Candidate[] {
  return [...tried.entries()].toSorted(([a], [b]) => a - b).flatMap(([, candidates]) => candidates);
}
