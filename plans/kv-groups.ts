import type { ModelDescription } from "./model-description.js";
import type { KvGroup, ProgramLimits } from "./rank-program.js";

/**
 * Which layers share block tables. Group 0 keeps every token. Sliding layers get a group of their own, whose blocks are
 * freed behind the window, where full layers exist too: else group 0, which must hold every token for the sampler's
 * history anyway, would stand empty beside it.
 */
export function kvGroupsOf(model: ModelDescription): KvGroup[] {
  const layersOf = (kind: "full" | "sliding"): number[] =>
    model.layerKinds.flatMap((layerKind, layer) => (layerKind === kind ? [layer] : []));
  const [full, sliding] = [layersOf("full"), layersOf("sliding")];
  if (full.length === 0) return [{ kind: "full", window: 0, layers: sliding }];
  const group0: KvGroup = { kind: "full", window: 0, layers: full };
  if (sliding.length === 0) return [group0];
  return [group0, { kind: "sliding", window: model.slidingWindow, layers: sliding }];
}

/**
 * Most blocks of one group that a sequence of `numTokens` tokens owns at a time: every token's in a full group; in a
 * sliding one those of the window before a chunk and of the chunk itself, which may begin anywhere in a block.
 */
export function blocksOfGroup(
  group: KvGroup,
  numTokens: number,
  limits: Pick<ProgramLimits, "blockSize" | "maxBatchedTokens">,
): number {
  const all = Math.ceil(numTokens / limits.blockSize);
  if (group.kind === "full") return all;
  return Math.min(all, Math.ceil((group.window - 1 + limits.maxBatchedTokens) / limits.blockSize) + 1);
}

/** Most blocks of all groups that a sequence of `numTokens` tokens owns at a time. */
export function blocksOfSequence(
  groups: readonly KvGroup[],
  numTokens: number,
  limits: Pick<ProgramLimits, "blockSize" | "maxBatchedTokens">,
): number {
  return groups.reduce((sum, group) => sum + blocksOfGroup(group, numTokens, limits), 0);
}

/** Bytes of one block: room for keys and values of as many layers as the largest group has. */
export function blockBytes(groups: readonly KvGroup[], blockSize: number, kvBytesPerLayer: number): number {
  return blockSize * kvBytesPerLayer * Math.max(...groups.map(({ layers }) => layers.length));
}
