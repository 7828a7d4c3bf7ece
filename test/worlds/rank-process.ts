/**
 * For tests: one follower in a process of its own, so that it can be killed. Told its part by a message, it answers with its
 * address, then with how its epoch ended.
 */
import { planFromFlags } from "../../plans/sharding-plan.js";
import type { ConnectOptions } from "../../native/binding.js";
import { native, packagePath } from "../../native/index.js";
import { tinyPrograms } from "./tiny-world.js";

/** What the parent sends once it knows all addresses; the key as plain numbers, for it travels as JSON. */
export interface RankProcessTask {
  rank: number;
  options: Omit<ConnectOptions, "key"> & { key: number[] };
}

const dataPlane = native.listenDataPlane("127.0.0.1:0");

process.on("message", ({ rank, options }: RankProcessTask) => {
  void follow(rank, { ...options, key: Uint8Array.from(options.key) });
});
process.send?.({ addresses: native.dataPlaneAddresses(dataPlane) });

async function follow(rank: number, options: ConnectOptions): Promise<void> {
  const plan = planFromFlags(1, options.peers.length);
  const program = tinyPrograms(plan)[rank]!;
  const engine = native.openEngine(program, {
    packages: [packagePath("reference")],
    numThreads: 1,
    device: "cpu",
    deterministic: true,
  });
  await native.connectEngine(engine, dataPlane, options);
  await native.loadDummyWeights(engine, 7, () => {});
  process.send?.({ isReady: true });
  const ended = await native.followLead(engine).then(
    () => "in order",
    (error: unknown) => String(error),
  );
  native.closeEngine(engine);
  process.send?.({ ended }, () => process.disconnect());
}
