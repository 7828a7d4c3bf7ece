/** Flags of the layouts that must compute what one rank computes, every rank a process. */
export const LAYOUTS = ["--tp 2", "--tp 4", "--ep 2", "--ep 3", "--tp 2 --ep 2"] as const;
export const PLACEMENTS = ["replicated", "sharded"] as const;
export const PACKAGES = ["reference", "cpu"] as const;

/** How a model is run on several ranks. */
export interface RankLayout {
  layout: (typeof LAYOUTS)[number];
  placement: (typeof PLACEMENTS)[number];
  kernels: (typeof PACKAGES)[number];
}

export function allLayouts(): RankLayout[] {
  return LAYOUTS.flatMap((layout) =>
    PLACEMENTS.flatMap((placement) => PACKAGES.map((kernels) => ({ layout, placement, kernels }))),
  );
}

/** Each layout twice, in both placements and with both packages; which go together takes turns. */
export function pairedLayouts(): RankLayout[] {
  return LAYOUTS.flatMap((layout, index) => [
    { layout, placement: "replicated", kernels: PACKAGES[index % 2]! },
    { layout, placement: "sharded", kernels: PACKAGES[(index + 1) % 2]! },
  ]);
}

export function nameOf({ layout, placement, kernels }: RankLayout): string {
  return `${layout}, tokens ${placement}, ${kernels} kernels`;
}

export function flagsOf({ layout, placement, kernels }: RankLayout): string[] {
  return [...layout.split(" "), "--tokens-placement", placement, "--kernels", kernels];
}

/** Whether no sum is cut, so that the same bits as one rank's are promised. */
export function keepsBits({ layout }: RankLayout): boolean {
  return !layout.includes("--tp");
}
