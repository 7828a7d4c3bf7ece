import type { RankSteps, ClusterModel } from "./cluster-model.js";
import { formatDuration, formatPercent } from "./format.js";

const WIDTH = 960;
const ROW = 26;
const LABEL = 64;
const BOTTOM = 18;
/** Of the rank that has run the most. */
const NUM_STEPS = 48;

/** What each rank did in the last steps: a bar a step, its hatched end the time inside collectives. */
export function Timeline({ model: { timelines } }: { model: ClusterModel }) {
  const replicas = Map.groupBy(timelines, ({ replicaId }) => replicaId);
  const shown = [...replicas].filter(([, ranks]) => ranks.some(({ steps }) => steps.length > 0));
  if (shown.length === 0)
    return <p class="empty">No rank has told of a step yet: each does once a second while steps run.</p>;
  return (
    <>
      {shown.map(([replicaId, ranks]) => (
        <ReplicaTimeline key={replicaId} replicaId={replicaId} ranks={ranks} />
      ))}
    </>
  );
}

function ReplicaTimeline({ replicaId, ranks }: { replicaId: number; ranks: RankSteps[] }) {
  // The last step that all ranks have told of is the last one shown: they report at different moments.
  const told = ranks.filter(({ steps }) => steps.length > 0);
  const lastId = Math.min(...told.map(({ steps }) => steps.at(-1)!.stepId));
  const rows = told.map(({ rank, steps }) => {
    return { rank, steps: steps.filter(({ stepId }) => stepId <= lastId).slice(-NUM_STEPS) };
  });
  const all = rows.flatMap(({ steps }) => steps);
  const beginMs = Math.min(...all.map((step) => step.beginMs));
  const endMs = Math.max(...all.map((step) => step.endMs));
  const spanMs = Math.max(endMs - beginMs, 0.001);
  const xOf = (ms: number): number => LABEL + ((ms - beginMs) / spanMs) * (WIDTH - LABEL);
  const height = ROW * rows.length + BOTTOM;
  const summary = rows.map(({ rank, steps }) => `rank ${rank}: ${describe(steps)}`);
  return (
    <figure class="timeline">
      <figcaption>
        <strong>Replica {replicaId}</strong>, steps up to {lastId}, {formatDuration(spanMs)} in all
        <ul class="legend">
          {rows.map(({ rank, steps }) => (
            <li key={rank}>
              rank {rank}: <b>{describe(steps)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div class="scroll" role="region" aria-label={`Step timeline of replica ${replicaId}`} tabIndex={0}>
        <svg
          viewBox={`0 0 ${WIDTH} ${height}`}
          role="img"
          aria-label={`Last steps of replica ${replicaId}. ${summary.join("; ")}`}
        >
          {rows.map(({ rank, steps }, row) => (
            <g key={rank} transform={`translate(0 ${row * ROW})`}>
              <text class="tick" x="0" y={ROW / 2 + 3}>
                rank {rank}
              </text>
              {steps.map((step) => {
                const width = Math.max(xOf(step.endMs) - xOf(step.beginMs), 0.5);
                const waits = Math.min((step.collectiveMs / spanMs) * (WIDTH - LABEL), width);
                return (
                  <g key={step.stepId}>
                    <rect class="step" x={xOf(step.beginMs)} y="3" width={width} height={ROW - 8}>
                      <title>
                        {`step ${step.stepId}, rank ${rank}: ${formatDuration(step.endMs - step.beginMs)}, ` +
                          `${formatDuration(step.collectiveMs)} in collectives`}
                      </title>
                    </rect>
                    <rect class="waits" x={xOf(step.endMs) - waits} y={ROW - 12} width={waits} height="7" />
                  </g>
                );
              })}
            </g>
          ))}
          {[0, 0.25, 0.5, 0.75, 1].map((part) => (
            <text
              class="tick"
              key={part}
              x={xOf(beginMs + part * spanMs)}
              y={height - 4}
              text-anchor={part === 0 ? "start" : part === 1 ? "end" : "middle"}
            >
              {formatDuration(part * spanMs)}
            </text>
          ))}
        </svg>
      </div>
      <p class="quiet">
        A bar is a step inside the rank's engine; the strip at its end is its time in collectives, waiting for the
        others included. Bars of different ranks are placed to within the time that a report takes.
      </p>
    </figure>
  );
}

function describe(steps: RankSteps["steps"]): string {
  if (steps.length === 0) return "none";
  const ms = steps.reduce((sum, { beginMs, endMs }) => sum + endMs - beginMs, 0);
  const waits = steps.reduce((sum, { collectiveMs }) => sum + collectiveMs, 0);
  return `${formatDuration(ms / steps.length)} a step, ${formatPercent(ms === 0 ? 0 : waits / ms)} in collectives`;
}
