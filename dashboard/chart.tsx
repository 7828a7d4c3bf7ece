import { useState } from "preact/hooks";
import { linePath, ticksUpTo } from "./chart-scale.js";

const WIDTH = 480;
const HEIGHT = 160;
const LEFT = 52;
const BOTTOM = 18;
const TOP = 6;
const RIGHT = 6;
/** Seconds that a chart is wide. */
const NUM_SECONDS = 300;

export interface Series {
  name: string;
  /** One a second, the last one is now; null: there is none. */
  values: readonly (number | null)[];
}

export interface ChartProps {
  title: string;
  series: readonly Series[];
  format: (value: number) => string;
  /** What to say while there is nothing to show. */
  empty: string;
}

/** Lines over the last five minutes. What they mean is in the text beside them: the names with the value that is pointed at, or the last. */
export function Chart({ title, series, format, empty }: ChartProps) {
  const [pointed, setPointed] = useState<number | null>(null);
  const all = series.flatMap(({ values }) => values.filter((value) => value !== null));
  const ticks = ticksUpTo(Math.max(0, ...all));
  const top = ticks.at(-1)!;
  const xOf = (secondsAgo: number): number => WIDTH - RIGHT - (secondsAgo / NUM_SECONDS) * (WIDTH - LEFT - RIGHT);
  const yOf = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
  const shownAt = (values: readonly (number | null)[]): number | null => values.at(-1 - (pointed ?? 0)) ?? null;
  const point = (event: MouseEvent): void => {
    const box = (event.currentTarget as SVGSVGElement).getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const secondsAgo = Math.round(((WIDTH - RIGHT - x) / (WIDTH - LEFT - RIGHT)) * NUM_SECONDS);
    setPointed(Math.min(Math.max(secondsAgo, 0), NUM_SECONDS));
  };
  const summary = series
    .map(({ name, values }) => {
      const last = values.at(-1) ?? null;
      const known = values.filter((value) => value !== null);
      if (known.length === 0) return `${name}: none yet`;
      return `${name}: now ${last === null ? "none" : format(last)}, highest ${format(Math.max(...known))}`;
    })
    .join("; ");
  return (
    <figure class="chart">
      <figcaption>
        <strong>{title}</strong>
        <ul class="legend">
          {series.map(({ name, values }, index) => {
            const value = shownAt(values);
            return (
              <li key={name}>
                <svg class="swatch" viewBox="0 0 24 6" aria-hidden="true">
                  <line class={`series series-${index}`} x1="0" y1="3" x2="24" y2="3" />
                </svg>
                {name} <b>{value === null ? "–" : format(value)}</b>
              </li>
            );
          })}
          {pointed !== null && <li class="quiet">{pointed} s ago</li>}
        </ul>
      </figcaption>
      {all.length === 0 ? (
        <p class="empty">{empty}</p>
      ) : (
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          role="img"
          aria-label={`${title}, last five minutes. ${summary}`}
          onMouseMove={point}
          onMouseLeave={() => setPointed(null)}
        >
          {ticks.map((tick) => (
            <g key={tick}>
              <line class="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={yOf(tick)} y2={yOf(tick)} />
              <text class="tick" x={LEFT - 6} y={yOf(tick) + 3.5} text-anchor="end">
                {format(tick)}
              </text>
            </g>
          ))}
          {[300, 240, 180, 120, 60, 0].map((secondsAgo) => (
            <text class="tick" key={secondsAgo} x={xOf(secondsAgo)} y={HEIGHT - 4} text-anchor={anchorOf(secondsAgo)}>
              {secondsAgo === 0 ? "now" : `−${secondsAgo / 60} min`}
            </text>
          ))}
          {series.map(({ name, values }, index) => (
            <path
              key={name}
              class={`series series-${index}`}
              d={linePath(values, (at, value) => [xOf(values.length - 1 - at), yOf(value)])}
            />
          ))}
          {pointed !== null && (
            <line class="pointer" x1={xOf(pointed)} x2={xOf(pointed)} y1={TOP} y2={HEIGHT - BOTTOM} />
          )}
        </svg>
      )}
    </figure>
  );
}

function anchorOf(secondsAgo: number): "start" | "middle" | "end" {
  if (secondsAgo === 0) return "end";
  return secondsAgo === NUM_SECONDS ? "start" : "middle";
}
