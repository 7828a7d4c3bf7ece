import { useEffect, useRef, useState } from "preact/hooks";
import type { ClusterModel } from "./cluster-model.js";
import { busiestExperts, expertFact, heatOf, HOTTEST, type ExpertCounts } from "./expert-facts.js";
import { figures, formatCount, formatPercent } from "./format.js";
import { Table } from "./table.js";

/** From cold to hot, dark to light so that it is read without colours too: red, green and blue of five steps of one ramp. */
const RAMP = [
  [13, 17, 43],
  [74, 24, 108],
  [182, 55, 84],
  [240, 130, 40],
  [252, 240, 170],
] as const;

const MOVES: Readonly<Record<string, readonly [layers: number, experts: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export function Experts({ model }: { model: ClusterModel }) {
  const [isRecent, setIsRecent] = useState(true);
  if (model.experts.length === 0) {
    return (
      <p class="empty">
        No rank counts its experts' tokens: no step has run yet, or the ranks run on a GPU, where they are not counted.
      </p>
    );
  }
  return (
    <>
      <fieldset class="choice">
        <legend>Tokens of</legend>
        <label>
          <input type="radio" name="experts" checked={isRecent} onChange={() => setIsRecent(true)} /> the last 30
          seconds
        </label>
        <label>
          <input type="radio" name="experts" checked={!isRecent} onChange={() => setIsRecent(false)} /> all since the
          epoch began
        </label>
      </fieldset>
      {model.experts.map(({ replicaId, numLayers, numExperts, numTokens, numRecentTokens }) => (
        <HeatMap
          key={replicaId}
          name={model.experts.length > 1 ? `Replica ${replicaId}: ` : ""}
          load={{ numLayers, numExperts, numTokens: isRecent ? numRecentTokens : numTokens }}
        />
      ))}
    </>
  );
}

function HeatMap({ name, load }: { name: string; load: ExpertCounts }) {
  const { numLayers, numExperts } = load;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [cell, setCell] = useState<{ layer: number; expert: number }>({ layer: 0, expert: 0 });
  useEffect(() => draw(canvas.current!, load));
  const move = (event: KeyboardEvent): void => {
    const step = MOVES[event.key];
    if (step === undefined) return;
    event.preventDefault();
    setCell(({ layer, expert }) => ({
      layer: Math.min(Math.max(layer + step[0], 0), numLayers - 1),
      expert: Math.min(Math.max(expert + step[1], 0), numExperts - 1),
    }));
  };
  const point = (event: MouseEvent): void => {
    const box = canvas.current!.getBoundingClientRect();
    const part = (at: number, begin: number, size: number, count: number): number =>
      Math.min(Math.max(Math.floor(((at - begin) / size) * count), 0), count - 1);
    setCell({
      layer: part(event.clientY, box.top, box.height, numLayers),
      expert: part(event.clientX, box.left, box.width, numExperts),
    });
  };
  const total = load.numTokens.reduce((sum, count) => sum + count, 0);
  const busiest = busiestExperts(load, 8);
  const fact = expertFact(load, cell.layer, cell.expert);
  return (
    <div class="experts">
      <figure>
        <figcaption>
          {name}
          {numLayers} layers, from the top, by {numExperts} experts; {formatCount(total)} pairs of token and expert
        </figcaption>
        <div class="heat">
          <canvas
            ref={canvas}
            width={numExperts}
            height={numLayers}
            role="img"
            tabIndex={0}
            aria-label={`${name}heat map of ${numLayers} layers by ${numExperts} experts; the arrow keys move through it`}
            onKeyDown={move}
            onMouseMove={point}
          />
          <span
            class="cell"
            aria-hidden="true"
            style={{
              left: `${(100 * cell.expert) / numExperts}%`,
              top: `${(100 * cell.layer) / numLayers}%`,
              width: `${100 / numExperts}%`,
              height: `${100 / numLayers}%`,
            }}
          />
        </div>
        <output class="cell-text">
          Layer {fact.layer}, expert {fact.expert}: {formatCount(fact.numTokens)} tokens, {formatPercent(fact.share)} of
          its layer, {figures(fact.timesMean)} times the mean
        </output>
        <p class="ramp">
          none <span aria-hidden="true" /> {HOTTEST} times the mean of the layer, or more
        </p>
      </figure>
      <Table
        label={`${name}busiest experts`}
        head={["Busiest", "Tokens", "Of its layer", "Times the mean"]}
        rows={busiest.map(({ layer, expert, numTokens, share, timesMean }) => [
          `Layer ${layer}, expert ${expert}`,
          formatCount(numTokens),
          formatPercent(share),
          figures(timesMean),
        ])}
        empty="No token in this time."
      />
    </div>
  );
}

/** A pixel for each expert; the page scales it. */
function draw(canvas: HTMLCanvasElement, load: ExpertCounts): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const image = context.createImageData(load.numExperts, load.numLayers);
  for (const [index, heat] of heatOf(load).entries()) {
    const at = heat * (RAMP.length - 1);
    const low = RAMP[Math.floor(at)]!;
    const high = RAMP[Math.ceil(at)]!;
    const part = at - Math.floor(at);
    for (let channel = 0; channel < 3; channel += 1) {
      image.data[4 * index + channel] = low[channel]! + part * (high[channel]! - low[channel]!);
    }
    image.data[4 * index + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
