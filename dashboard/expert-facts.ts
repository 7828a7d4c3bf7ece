/** Pairs of token and expert of some time, layer after layer. */
export interface ExpertCounts {
  numLayers: number;
  numExperts: number;
  numTokens: readonly number[];
}

/** An expert of a layer, with its part of the layer's tokens. */
export interface ExpertFact {
  layer: number;
  expert: number;
  numTokens: number;
  /** 0 to 1 of the layer's. */
  share: number;
  /** Its tokens by those that each would have if all had as many. */
  timesMean: number;
}

export function expertFact({ numExperts, numTokens }: ExpertCounts, layer: number, expert: number): ExpertFact {
  const ofLayer = numTokens.slice(layer * numExperts, (layer + 1) * numExperts);
  const total = ofLayer.reduce((sum, count) => sum + count, 0);
  const share = total === 0 ? 0 : ofLayer[expert]! / total;
  return { layer, expert, numTokens: ofLayer[expert]!, share, timesMean: share * numExperts };
}

/** Those with the largest part of their layer, the largest first. */
export function busiestExperts(load: ExpertCounts, count: number): ExpertFact[] {
  const { numLayers, numExperts } = load;
  const busiest = Array.from({ length: numLayers }, (_, layer) => {
    const all = Array.from({ length: numExperts }, (__, expert) => expertFact(load, layer, expert));
    return all.toSorted((a, b) => b.share - a.share).slice(0, count);
  });
  return busiest
    .flat()
    .toSorted((a, b) => b.share - a.share)
    .slice(0, count)
    .filter(({ numTokens }) => numTokens > 0);
}

/** How many times the mean the colour of the hottest cell stands for: more looks the same. */
export const HOTTEST = 4;

/** 0 for an expert without tokens, 1 for one with `HOTTEST` times the mean of its layer. */
export function heatOf(load: ExpertCounts): Float64Array {
  const { numLayers, numExperts, numTokens } = load;
  const heat = new Float64Array(numLayers * numExperts);
  for (let layer = 0; layer < numLayers; layer += 1) {
    const first = layer * numExperts;
    let total = 0;
    for (let expert = 0; expert < numExperts; expert += 1) total += numTokens[first + expert]!;
    if (total === 0) continue;
    for (let expert = 0; expert < numExperts; expert += 1) {
      heat[first + expert] = Math.min(1, (numTokens[first + expert]! * numExperts) / (HOTTEST * total));
    }
  }
  return heat;
}
