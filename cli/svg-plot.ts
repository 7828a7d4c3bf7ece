/** Lines over a common axis. */
export interface Plot {
  title: string;
  /** Name and unit of each axis. */
  x: string;
  y: string;
  /** One or two; x ascending, all values finite and not negative. */
  series: readonly { name: string; points: readonly (readonly [x: number, y: number])[] }[];
}

const WIDTH = 640;
const HEIGHT = 400;
const MARGIN = { left: 72, right: 24, top: 48, bottom: 56 };
const INNER = { width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
const TICKS = 6;
/** Seen well on white and on black. */
const [INK, GRID] = ["#808080", "#80808040"];
const COLOURS = ["#2f7fd1", "#d0701f"];

/** An SVG file of the plot, both axes from 0 on. */
export function svgPlot(plot: Plot): string {
  return svgPanels([plot]);
}

/** An SVG file of plots under each other. */
export function svgPanels(plots: readonly Plot[]): string {
  const height = plots.length * HEIGHT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    ...plots.flatMap((plot, index) =>
      index === 0 ? panel(plot) : [`<g transform="translate(0 ${index * HEIGHT})">`, ...panel(plot), "</g>"],
    ),
    "</svg>\n",
  ].join("\n");
}

function panel({ title, x, y, series }: Plot): string[] {
  const points = series.flatMap((each) => each.points);
  const xTicks = ticksTo(Math.max(...points.map(([at]) => at)));
  const yTicks = ticksTo(Math.max(...points.map(([, value]) => value)));
  const place = placer(xTicks.at(-1)!, yTicks.at(-1)!);
  return [
    text(title, MARGIN.left, 24, "start", "font-size='15'"),
    ...yTicks.map((value) => {
      const [left, at] = place([0, value]);
      return line([left, at], [left + INNER.width, at], GRID) + text(tickLabel(value), left - 8, at + 4, "end");
    }),
    ...xTicks.map((value) => {
      const [at, bottom] = place([value, 0]);
      return line([at, bottom], [at, bottom + 5], INK) + text(tickLabel(value), at, bottom + 20, "middle");
    }),
    line(place([0, 0]), place([xTicks.at(-1)!, 0]), INK),
    line(place([0, 0]), place([0, yTicks.at(-1)!]), INK),
    text(x, MARGIN.left + INNER.width / 2, HEIGHT - 12, "middle"),
    text(y, 0, 0, "middle", `transform="translate(18 ${MARGIN.top + INNER.height / 2}) rotate(-90)"`),
    ...series.map((each, index) => drawn(each, index, place)),
  ];
}

/** From 0 in equal steps of 1, 2 or 5 times a power of ten, to the first that is not below `most`. */
export function ticksTo(most: number): number[] {
  if (!(most > 0)) return [0, 1];
  const rough = most / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const numSteps = Math.ceil(most / step - 1e-9);
  return Array.from({ length: numSteps + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

type Point = readonly [number, number];

function placer(mostX: number, mostY: number): (point: Point) => Point {
  return ([x, y]) => [
    round(MARGIN.left + (INNER.width * x) / mostX),
    round(MARGIN.top + INNER.height * (1 - y / mostY)),
  ];
}

function drawn({ name, points }: Plot["series"][number], index: number, place: (point: Point) => Point): string {
  const colour = COLOURS[index % COLOURS.length]!;
  const placed = points.map((point) => place(point));
  const path = placed.map(([x, y]) => `${x},${y}`).join(" ");
  const dots = points.length > 64 ? [] : placed.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="3" fill="${colour}"/>`);
  const label = text(name, WIDTH - MARGIN.right, MARGIN.top - 8 - 16 * index, "end", "", colour);
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join("")}${label}`;
}

function line([x1, y1]: Point, [x2, y2]: Point, colour: string): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${colour}"/>`;
}

function text(content: string, x: number, y: number, anchor: string, more = "", colour = INK): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${colour}" ${more}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function tickLabel(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 6 });
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
