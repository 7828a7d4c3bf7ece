import * as grpc from "@grpc/grpc-js";
import type { Bus } from "../proto/bus/bus.js";
import { discoverCoordinator } from "../proto/bus/discovery.js";
import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import type { Logger } from "../proto/log.js";
import { checkJoinToken, JOIN_TOKEN_KEY } from "../proto/join-token.js";
import { v1 } from "../proto/messages.js";
import { createClient } from "../proto/rpc.js";
import { Attachment, type AttachmentEnd } from "./attachment.js";
import type { EngineFactory } from "./engine.js";
import { Fence } from "./fence.js";
import { localAddressTowards } from "./local-address.js";
import { Rank } from "./rank.js";

export interface WorkerOptions {
  /** HOST:PORT of the coordinator, or the bus on which the coordinator of a cluster is announced. */
  join: string | { bus: Bus; clusterName: string };
  /** Longest wait for the coordinator to be reachable, milliseconds. Default 60 s: processes start in any order. */
  joinTimeoutMs?: number;
  /** What the coordinator asks of ranks that are not on its own machine. */
  joinToken?: string;
  /** Secret of a worker that the coordinator launched. */
  launchId?: string;
  engines: EngineFactory;
  build: string;
  maxMessageBytes: number;
  clock: Clock;
  log: Logger;
  /** Leaves the cluster when aborted. */
  signal: AbortSignal;
}

const JOIN_TIMEOUT_MS = 60_000;
/** Longest pause between two tries to reach the coordinator, milliseconds. */
const DIAL_PAUSE_MS_MAX = 1_000;
/** How long an address from the bus is dialed before the bus is asked again: its coordinator may be gone, milliseconds. */
const ANNOUNCED_DIAL_MS = 3_000;
/** Pause between two tries of a rank that holds an epoch and is refused, milliseconds: whoever goes on may not be there yet. */
const RETURN_PAUSE_MS = 200;

/**
 * One rank's life: find the coordinator, attach, and then epoch by epoch size, load, step. Resolves when the coordinator
 * drained it or the signal was aborted. A rank that lost its coordinator keeps what it holds and attaches again, to the same
 * one or its successor, for as long as its lease lasts. After that, if it had found the coordinator on the bus, it looks for
 * the next.
 * @throws MoesaicError: refused, coordinator lost, load or step failed; the failure has been reported upstream if it could be
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const { join, joinToken, log } = options;
  if (joinToken !== undefined) checkJoinToken(joinToken);
  const fence = new Fence();
  for (;;) {
    const end = await liveAsRank(options, fence);
    if (end.how === "left") return;
    if (typeof join === "string") throw end.error;
    log.warn({ text: end.error.message }, "coordinator lost; looking on the bus for the one of the cluster");
    await pause(DIAL_PAUSE_MS_MAX, options);
  }
}

async function liveAsRank(options: WorkerOptions, fence: Fence): Promise<AttachmentEnd> {
  const first = await connected(options);
  const rank = await rankTowards(first, fence, options);
  try {
    let end = await attach(rank, first, options);
    if (end.how === "lost" && rank.leaseLeftMs > 0) {
      options.log.warn({ text: end.error.message, leaseMs: rank.leaseLeftMs }, "coordinator lost; looking for it");
    }
    while (end.how === "lost" && rank.leaseLeftMs > 0) {
      end = await attachAgain(rank, end, options);
      if (rank.isLeaseOver) options.log.warn("no coordinator took the rank in again within its lease");
    }
    rank.check();
    return end;
  } finally {
    await rank.close();
  }
}

async function rankTowards({ address, channel }: Connected, fence: Fence, options: WorkerOptions): Promise<Rank> {
  try {
    return new Rank(options.engines.openDataPlane(await localAddressTowards(address)), fence, options);
  } catch (error) {
    channel.close();
    throw error;
  }
}

/** One more try; there may be nobody, or only those who cannot go on yet: then `lost` is still how it ended. */
async function attachAgain(rank: Rank, lost: AttachmentEnd, options: WorkerOptions): Promise<AttachmentEnd> {
  await pause(RETURN_PAUSE_MS, options);
  let found: Connected;
  try {
    found = await connected({ ...options, joinTimeoutMs: Math.max(1, rank.leaseLeftMs) });
  } catch (caught) {
    const error = MoesaicError.from(caught);
    if (error.code !== "unavailable" && error.code !== "deadline_exceeded") throw error;
    return lost;
  }
  return attach(rank, found, options);
}

async function attach(rank: Rank, { address, channel }: Connected, options: WorkerOptions): Promise<AttachmentEnd> {
  try {
    const stream = createClient(v1.Rank, channel).attach({}, metadataOf(options));
    return await new Attachment(stream, address, options.clock).run(rank, options.signal);
  } finally {
    channel.close();
  }
}

interface Connected {
  address: string;
  channel: grpc.Client;
}

/** @throws MoesaicError unavailable, deadline_exceeded when there is no coordinator in time; cancelled */
function connected(options: WorkerOptions): Promise<Connected> {
  const { join, joinTimeoutMs = JOIN_TIMEOUT_MS, log } = options;
  if (typeof join === "string") {
    log.info({ address: join }, "began to look for the coordinator at its address");
    return dial(join, joinTimeoutMs, options);
  }
  const { bus, clusterName } = join;
  log.info({ bus: bus.name, clusterName }, "began to look for the coordinator on the bus");
  return findAndDial(join, joinTimeoutMs, options);
}

async function findAndDial(
  { bus, clusterName }: { bus: Bus; clusterName: string },
  timeoutMs: number,
  options: WorkerOptions,
): Promise<Connected> {
  const { clock, log } = options;
  const endMs = clock.nowMs() + timeoutMs;
  for (;;) {
    const leftMs = () => Math.max(1, endMs - clock.nowMs());
    const found = discoverCoordinator(bus, clusterName, leftMs(), clock);
    const { grpcAddress, coordinatorId } = await unlessStopped(found, `looking for ${clusterName}`, options);
    log.info({ grpcAddress, coordinatorId }, "coordinator found on the bus");
    try {
      return await dial(grpcAddress, Math.min(ANNOUNCED_DIAL_MS, leftMs()), options);
    } catch (caught) {
      if (MoesaicError.from(caught).code !== "unavailable" || clock.nowMs() >= endMs) throw caught;
      log.info({ grpcAddress }, "the announced coordinator does not answer; looking again");
    }
  }
}

/** The channel dials again and again by itself until the deadline. */
async function dial(address: string, timeoutMs: number, options: WorkerOptions): Promise<Connected> {
  const channel = new grpc.Client(address, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": options.maxMessageBytes,
    "grpc.max_send_message_length": options.maxMessageBytes,
    "grpc.keepalive_time_ms": 20_000,
    // A proxy for the web is not for the control plane.
    "grpc.enable_http_proxy": 0,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": DIAL_PAUSE_MS_MAX,
  });
  try {
    await unlessStopped(ready(channel, address, timeoutMs, options.signal), `dialing ${address}`, options);
    return { address, channel };
  } catch (error) {
    channel.close();
    throw error;
  }
}

/** Looks again and again: a wait of grpc-js outlives its channel, and would keep a worker that was told to stop alive. */
async function ready(channel: grpc.Client, address: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const endMs = Date.now() + timeoutMs;
  let cause: Error | undefined;
  do {
    cause = await unreadyAt(channel, Math.min(endMs, Date.now() + DIAL_PAUSE_MS_MAX));
    if (cause === undefined) return;
  } while (Date.now() < endMs && !signal.aborted);
  const message = `no coordinator answers at ${address} within ${Math.ceil(timeoutMs)} ms; is it running there?`;
  throw new MoesaicError("unavailable", message, { cause });
}

function unreadyAt(channel: grpc.Client, deadlineMs: number): Promise<Error | undefined> {
  return new Promise((resolve) => channel.waitForReady(deadlineMs, resolve));
}

/** @throws MoesaicError cancelled as soon as the worker is told to stop */
async function unlessStopped<T>(work: Promise<T>, what: string, { signal }: WorkerOptions): Promise<T> {
  let giveUp = () => {};
  const stopped = new Promise<never>((_, reject) => {
    giveUp = () => reject(new MoesaicError("cancelled", `told to stop while ${what}`));
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp);
  });
  work.catch(() => {}); // Heard here or, when told to stop before, by nobody.
  try {
    return await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

function pause(delayMs: number, options: WorkerOptions): Promise<void> {
  const over = new Promise<void>((resolve) => options.clock.setTimer(delayMs, resolve));
  return unlessStopped(over, "looking for a coordinator", options);
}

function metadataOf({ joinToken }: WorkerOptions): grpc.Metadata {
  const metadata = new grpc.Metadata();
  if (joinToken !== undefined) metadata.set(JOIN_TOKEN_KEY, joinToken);
  return metadata;
}
