import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toClusterStatus } from "../client/cluster-status.js";
import { v1 } from "../proto/messages.js";
import { describeStatus } from "./status-text.js";

describe("describeStatus", () => {
  it("shows bus, ranks with what they sent, placements with their times, and spares", () => {
    const status = v1.StatusResponse.fromObject({
      name: "chat",
      model: "demo",
      version: "1.2.3",
      state: "ready",
      uptime_ms: 61_000,
      bus: { name: "nats://bus:4222", state: "reconnecting" },
      replicas: [
        {
          replica_id: 0,
          epoch: 3,
          state: "ready",
          ranks: [
            {
              rank: 0,
              host_id: "a",
              pid: 7,
              state: "ready",
              device: "CPU",
              arenas: { weights: 3 * 2 ** 20, kv: 2 ** 20, workspace: 2 ** 19 },
              rss_bytes: 2 ** 23,
              transport: "shm",
              collectives: [
                { name: "all_reduce", calls: 12, bytes: 2 ** 21 },
                { name: "collect", calls: 0, bytes: 0 },
              ],
            },
            { rank: 1, state: "waiting" },
          ],
          placements: [
            { num_tokens_max: 1, placement: "replicated", replicated_ms: 1.25, sharded_ms: 2 },
            { num_tokens_max: 64, placement: "sharded" },
          ],
        },
      ],
      spares: [{ rank: -1, host_id: "b", pid: 9, state: "spare", device: "CPU", rss_bytes: 2 ** 20 }],
    });
    assert.equal(
      describeStatus(toClusterStatus(status)),
      [
        "chat: demo, ready, up 61 s, moesaic 1.2.3",
        "  bus: nats://bus:4222, reconnecting",
        "  replica 0: ready, epoch 3",
        "    rank 0: ready on a, pid 7, CPU; weights 3.0 MiB, KV 1.0 MiB, workspace 512.0 KiB, process 8.0 MiB",
        "      sent over shm: all_reduce 2.0 MiB in 12 calls",
        "    rank 1: waiting, nobody is attached",
        "    steps of up to 1 token: replicated (measured: replicated 1.25 ms, sharded 2.00 ms)",
        "    steps of up to 64 tokens: sharded (as predicted, not measured yet)",
        "  spare on b, pid 9, CPU, process 1.0 MiB",
      ].join("\n"),
    );
  });

  it("shows what a rank has loaded, and why a cluster or a replica is not ready", () => {
    const rank = { rank: 0, host_id: "a", pid: 7, state: "loading", device: "CPU", load_bytes_planned: 2 ** 22 };
    const status = v1.StatusResponse.fromObject({
      name: "chat",
      state: "starting",
      reason: "weights are loading",
      replicas: [
        {
          state: "loading",
          reason: "weights are loading",
          ranks: [{ ...rank, load_percent: 50, load_bytes_done: 2 ** 21 }],
        },
      ],
    });
    const text = describeStatus(toClusterStatus(status));
    assert.match(text, /starting \(weights are loading\)/);
    assert.match(text, /2\.0 MiB of 4\.0 MiB loaded \(50 %\)/);
  });
});
