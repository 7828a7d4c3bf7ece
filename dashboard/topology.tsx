import type { ClusterStatus, RankStatus, ReplicaStatus } from "../client/cluster-status.js";
import { formatBytes, formatPercent } from "./format.js";
import { Table } from "./table.js";

const WIDTH = 260;
const NODE = 24;
const MARGIN = 4;

/** Replicas with their ranks and the links between them, then all that is known of each rank. */
export function Topology({ status: { replicas, spares } }: { status: ClusterStatus }) {
  return (
    <>
      <div class="topology">
        {replicas.map((replica) => (
          <ReplicaGraph key={replica.replicaId} replica={replica} />
        ))}
      </div>
      <Table
        label="Ranks"
        head={[
          "Rank",
          "State",
          "Host",
          "Device",
          "Loaded",
          "Weights",
          "KV",
          "Workspace",
          "Resident",
          "Sent to ranks",
          "Last op",
        ]}
        rows={[
          ...replicas.flatMap(({ replicaId, ranks }) => ranks.map((rank) => rowOf(`${replicaId}.${rank.rank}`, rank))),
          ...spares.map((spare) => rowOf("spare", spare)),
        ]}
        empty="No rank has come yet."
      />
    </>
  );
}

function rowOf(name: string, rank: RankStatus): string[] {
  const { state, hostId, pid, device, arenas, collectives } = rank;
  const moved = collectives.reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    name,
    state,
    hostId === "" ? "–" : `${hostOf(rank)} (pid ${pid})`,
    device || "–",
    formatPercent(rank.loadPercent / 100),
    formatBytes(arenas?.weights ?? 0),
    formatBytes(arenas?.kv ?? 0),
    formatBytes(arenas?.workspace ?? 0),
    formatBytes(rank.rssBytes),
    rank.transport === "" ? "–" : `${formatBytes(moved)} by ${rank.transport}`,
    rank.lastOp || "–",
  ];
}

function hostOf({ hostId }: RankStatus): string {
  return hostId.split("/")[0]!;
}

function ReplicaGraph({ replica: { replicaId, state, reason, epoch, ranks } }: { replica: ReplicaStatus }) {
  const { places, height } = layOut(ranks.length);
  const links = ranks.flatMap((from, index) =>
    ranks.slice(index + 1).map((to, offset) => ({ from, to, a: places[index]!, b: places[index + 1 + offset]! })),
  );
  const hosts = new Set(ranks.map(hostOf).filter(Boolean));
  const text = ranks.map((rank) => `rank ${rank.rank} ${rank.state}${rank.hostId === "" ? "" : ` on ${hostOf(rank)}`}`);
  return (
    <figure class="replica">
      <figcaption>
        <strong>Replica {replicaId}</strong> <span class={`state state-${state}`}>{state}</span>{" "}
        <small>
          epoch {epoch}, {ranks.length} {ranks.length === 1 ? "rank" : "ranks"} on {hosts.size}{" "}
          {hosts.size === 1 ? "host" : "hosts"}
          {linkText(ranks)}
        </small>
        {reason !== "" && <p class="reason">{reason}</p>}
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${height}`}
        role="img"
        aria-label={`Replica ${replicaId}, ${state}: ${text.join(", ")}`}
      >
        {links.map(({ from, to, a, b }) => (
          <line
            key={`${from.rank}-${to.rank}`}
            class={`link link-${from.transport || "none"} ${isUp(from) && isUp(to) ? "" : "link-down"}`}
            x1={a.x}
            y1={a.y}
            x2={b.x}
            y2={b.y}
          />
        ))}
        {ranks.map((rank, index) => (
          <g key={rank.rank} transform={`translate(${places[index]!.x} ${places[index]!.y})`}>
            <circle class={`rank rank-${rank.state}`} r={NODE}>
              <title>{`rank ${rank.rank}, ${rank.state}${rank.hostId === "" ? "" : `, ${hostOf(rank)}, ${rank.device}`}`}</title>
            </circle>
            <text class="rank-number" text-anchor="middle" y="1">
              {rank.rank}
            </text>
            <text class="rank-state" text-anchor="middle" y="13">
              {rank.state === "loading" ? `${Math.round(rank.loadPercent)} %` : rank.state}
            </text>
          </g>
        ))}
      </svg>
    </figure>
  );
}

/** Side by side, or from three on around a circle. */
function layOut(count: number): { places: { x: number; y: number }[]; height: number } {
  const border = NODE + MARGIN;
  if (count <= 2) {
    const places = Array.from({ length: count }, (_, index) => ({
      x: border + index * (WIDTH - 2 * border),
      y: border,
    }));
    return { places, height: 2 * border };
  }
  const radius = WIDTH / 2 - border;
  const places = Array.from({ length: count }, (_, index) => {
    const angle = (2 * Math.PI * index) / count - Math.PI / 2;
    return { x: WIDTH / 2 + radius * Math.cos(angle), y: WIDTH / 2 + radius * Math.sin(angle) };
  });
  return { places, height: WIDTH };
}

function isUp({ state }: RankStatus): boolean {
  return state === "ready";
}

function linkText(ranks: readonly RankStatus[]): string {
  const transports = [...new Set(ranks.map(({ transport }) => transport).filter(Boolean))];
  return transports.length === 0 ? "" : `, linked by ${transports.join(" and ")}`;
}
