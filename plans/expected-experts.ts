/** Some experts in one place, and how long it takes to read one of them. */
export interface ExpertPlace {
  numExperts: number;
  /** Any unit of time; above 0 where there are experts. */
  timePerExpert: number;
}

/** The part of all experts that `numTokens` tokens hit when each picks `expertsPerToken` different ones at random. */
export function hitFraction(numTokens: number, expertsPerToken: number, numExperts: number): number {
  return 1 - (1 - expertsPerToken / numExperts) ** numTokens;
}

/**
 * Expected time until the last place has read the experts that were hit: what a layer waits for. Hits are taken as
 * independent, which is off by two in a hundred for one token and by nothing for many.
 *
 *   E[max] = sum over the times t at which a place may be done of (next t - t) * P(some place takes longer than t)
 */
export function expectedSlowest(places: readonly ExpertPlace[], hit: number): number {
  const kinds = kindsOf(places).map((kind) => ({ ...kind, cdf: binomialCdf(kind.numExperts, hit) }));
  const times = kinds.flatMap(({ timePerExpert, cdf }) => cdf.map((_, count) => count * timePerExpert));
  const steps = [...new Set(times)].toSorted((a, b) => a - b);
  return steps.reduce((sum, time, index) => {
    const next = steps[index + 1];
    return next === undefined ? sum : sum + (next - time) * (1 - probabilityWithin(kinds, time));
  }, 0);
}

interface Kind extends ExpertPlace {
  numPlaces: number;
  /** cdf[m]: probability that at most m experts are hit. */
  cdf: number[];
}

/** Places that are alike need be looked at once. */
function kindsOf(places: readonly ExpertPlace[]): Omit<Kind, "cdf">[] {
  const kinds = new Map<string, Omit<Kind, "cdf">>();
  for (const place of places) {
    const key = `${place.numExperts} ${place.timePerExpert}`;
    kinds.set(key, { ...place, numPlaces: (kinds.get(key)?.numPlaces ?? 0) + 1 });
  }
  return [...kinds.values()];
}

function probabilityWithin(kinds: readonly Kind[], time: number): number {
  return kinds.reduce((product, { timePerExpert, numPlaces, cdf }) => {
    // A time that was made by multiplying must count as reached when it is divided again.
    const count = timePerExpert === 0 ? 0 : Math.floor(time / timePerExpert + 1e-9);
    return product * (cdf[Math.min(count, cdf.length - 1)] ?? 1) ** numPlaces;
  }, 1);
}

/** Logarithms, since (1 - p) ^ n of many experts is no number a double can hold. */
function binomialCdf(size: number, p: number): number[] {
  if (p >= 1) return Array.from({ length: size + 1 }, (_, count) => (count === size ? 1 : 0));
  let log = size * Math.log1p(-p);
  let sum = Math.exp(log);
  const cdf = [sum];
  for (let count = 1; count <= size; count++) {
    log += Math.log((size - count + 1) / count) + Math.log(p) - Math.log1p(-p);
    sum += Math.exp(log);
    cdf.push(Math.min(1, sum));
  }
  cdf[size] = 1;
  return cdf;
}
