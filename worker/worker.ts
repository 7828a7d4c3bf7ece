import * as grpc from "@grpc/grpc-js";
import type { Bus } from "../proto/bus/bus.js";
import { discoverCoordinator } from "../proto/bus/discovery.js";
import type { Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import type { Logger } from "../proto/log.js";
import { JOIN_TOKEN_KEY } from "../proto/join-token.js";
import { v1 } from "../proto/messages.js";
import { createClient } from "../proto/rpc.js";
import { Attachment } from "./attachment.js";
import type { EngineFactory } from "./engine.js";
import { localAddressTowards } from "./local-address.js";

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

/**
 * One rank's life: find the coordinator, attach, and then epoch by epoch size, load, step. Resolves when the coordinator
 * drained it or the signal was aborted.
 * @throws MoesaicError: refused, coordinator lost, load or step failed; the failure has been reported upstream if it could be
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const address = await found(options);
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
    await reachable(channel, address, options);
    const dataPlane = options.engines.openDataPlane(await localAddressTowards(address));
    try {
      const stream = createClient(v1.Rank, channel).attach({}, metadataOf(options));
      await new Attachment(stream, address, dataPlane, options).run();
    } finally {
      dataPlane.close();
    }
  } finally {
    channel.close();
  }
}

async function found({ join, joinTimeoutMs = JOIN_TIMEOUT_MS, clock, log }: WorkerOptions): Promise<string> {
  if (typeof join === "string") return join;
  const { grpcAddress, coordinatorId } = await discoverCoordinator(join.bus, join.clusterName, joinTimeoutMs, clock);
  log.info({ grpcAddress, coordinatorId }, "coordinator found on the bus");
  return grpcAddress;
}

/** The channel dials again and again by itself until the deadline. */
function reachable(channel: grpc.Client, address: string, options: WorkerOptions): Promise<void> {
  const { joinTimeoutMs = JOIN_TIMEOUT_MS, signal } = options;
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new MoesaicError("cancelled", `told to stop while dialing ${address}`));
    signal.addEventListener("abort", giveUp, { once: true });
    channel.waitForReady(Date.now() + joinTimeoutMs, (error) => {
      signal.removeEventListener("abort", giveUp);
      if (error === undefined) return resolve();
      const message = `no coordinator answers at ${address} within ${joinTimeoutMs} ms; is it running there?`;
      reject(new MoesaicError("unavailable", message, { cause: error }));
    });
  });
}

function metadataOf({ joinToken }: WorkerOptions): grpc.Metadata {
  const metadata = new grpc.Metadata();
  if (joinToken !== undefined) metadata.set(JOIN_TOKEN_KEY, joinToken);
  return metadata;
}
