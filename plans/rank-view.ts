import type { ModelDescription } from "./model-description.js";
import type { KvGroup } from "./rank-program.js";
import type { RankShare } from "./rank-share.js";

/** What the ops and buffers of one rank follow from. */
export interface RankView {
  model: ModelDescription;
  share: RankShare;
  kvGroups: KvGroup[];
  worldSize: number;
  /** Group of the ranks that run attention. */
  owners: number;
  /** Group that adds up the outputs of its heads; null where one rank has all heads, or none. */
  headGroup: number | null;
}
