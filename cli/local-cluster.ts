import type { Tracer } from "@opentelemetry/api";
import { MoesaicClient } from "../client/client.js";
import { numLocalRanks } from "../coordinator/cluster/local-ranks.js";
import { Coordinator } from "../coordinator/coordinator.js";
import { native } from "../native/index.js";
import { deviceOf, withDevices, type ClusterSpec } from "../plans/cluster-spec.js";
import { engineChoicesOf } from "../plans/engine-choices.js";
import { systemClock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { packageVersion, type CommandContext } from "./context.js";
import { inTermsOfFlags, type Target } from "./layout-flags.js";
import { LoadProgress } from "./load-progress.js";
import { thisMachine } from "./this-machine.js";
import { JOIN_TOKEN_VARIABLE, workerCommandOf } from "./worker-command.js";

/** Weights of models without a checkpoint are made from this seed, the same for every run. */
export const DUMMY_SEED = 1;
/** A throw-away cluster has no other clients: what still runs at its end has nobody who waits for it. */
const GRACE_MS = 0;

export async function startCoordinator(
  spec: ClusterSpec,
  baseDir: string,
  context: CommandContext,
  tracer?: Tracer,
): Promise<Coordinator> {
  // Its workers will need the addon: better to hear here, once, that it is not built.
  const { numCores } = native.deviceProperties();
  const machine = thisMachine();
  const { numGpus, missing } = machine;
  const cluster = withDevices(spec, machine);
  if (deviceOf(cluster) === "cuda" && numLocalRanks(cluster) > numGpus) {
    const there = missing ?? `this machine has ${numGpus} of the ${numLocalRanks(cluster)} GPUs that the ranks need`;
    throw new MoesaicError("failed_precondition", `device cuda: ${there}`);
  }
  return Coordinator.start({
    spec: cluster,
    engineChoices: engineChoicesOf(spec, cluster, machine),
    baseDir,
    workerCommand: workerCommandOf(context),
    ...joinTokenOf(context),
    dummySeed: DUMMY_SEED,
    numCores,
    build: packageVersion(),
    ...(tracer === undefined ? {} : { tracer }),
    clock: systemClock,
    log: context.log.child({ process: "coordinator" }),
  });
}

/** Ranks of other machines are given the same one by hand; where none was given one is drawn that nobody else knows. */
function joinTokenOf({ env }: CommandContext): { joinToken?: string } {
  const joinToken = env[JOIN_TOKEN_VARIABLE];
  return joinToken === undefined ? {} : { joinToken };
}

/** Starts a cluster, lends it out, and always takes it down again: its workers are gone when this returns or throws. */
export async function withLocalCluster<T>(
  spec: ClusterSpec,
  context: CommandContext,
  use: (client: MoesaicClient, coordinator: Coordinator) => Promise<T>,
): Promise<T> {
  const coordinator = await startCoordinator(spec, ".", context).catch((error: unknown) => {
    throw inTermsOfFlags(error);
  });
  const client = new MoesaicClient({ endpoint: coordinator.grpcAddress });
  try {
    await loaded(coordinator, context);
    return await use(client, coordinator);
  } finally {
    client.close();
    await coordinator.drain(GRACE_MS);
  }
}

/** A client of the target, which is started and taken down again where it does not run already. */
export async function withCluster<T>(
  target: Target,
  context: CommandContext,
  use: (client: MoesaicClient) => Promise<T>,
): Promise<T> {
  if ("spec" in target) return withLocalCluster(target.spec, context, use);
  const client = new MoesaicClient(target);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** @throws MoesaicError why the cluster failed, or cancelled when it was not waited for */
export async function loaded(coordinator: Coordinator, { signal, stderr }: CommandContext): Promise<void> {
  const progress = new LoadProgress(coordinator, stderr);
  try {
    await Promise.race([coordinator.whenReady(), aborted(signal)]);
  } finally {
    progress.stop();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const give = () => reject(new MoesaicError("cancelled", "interrupted while the model was loading"));
    if (signal.aborted) give();
    signal.addEventListener("abort", give, { once: true });
  });
}
