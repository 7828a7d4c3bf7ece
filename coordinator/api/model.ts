import type { ModelDescription } from "../../plans/model-description.js";
import { MoesaicError } from "../../proto/errors.js";
import { loadChatTemplate } from "./text/chat-template.js";
import { harmonyTokenIds, type HarmonyTokenIds } from "./text/harmony.js";
import { promptRenderer, type PromptRenderer } from "./text/prompt-renderer.js";
import { loadTokenizer, type Tokenizer } from "./text/tokenizer.js";

/** The text side of a served model; a checkpoint without tokenizer files serves token ids only. */
export interface ServedModel {
  name: string;
  description: ModelDescription;
  maxModelLen: number;
  tokenizer: Tokenizer | null;
  renderer: PromptRenderer | null;
  harmony: HarmonyTokenIds | null;
  /** Ids that end a generation unless the request ignores them. */
  stopTokenIds: number[];
}

/** @param modelDir folder with the tokenizer files; null for a model that exists as a shape only */
export async function openServedModel(
  name: string,
  description: ModelDescription,
  modelDir: string | null,
  maxModelLen: number,
): Promise<ServedModel> {
  const tokenizer = modelDir === null ? null : await loadTokenizer(modelDir);
  if (modelDir === null || tokenizer === null) {
    return {
      name,
      description,
      maxModelLen,
      tokenizer: null,
      renderer: null,
      harmony: null,
      stopTokenIds: description.eosTokenIds,
    };
  }
  const renderer = promptRenderer(tokenizer, await loadChatTemplate(modelDir));
  const stopTokenIds = [...new Set([...description.eosTokenIds, ...tokenizer.eosTokenIds, ...renderer.stopTokenIds])];
  return { name, description, maxModelLen, tokenizer, renderer, harmony: harmonyTokenIds(tokenizer), stopTokenIds };
}

/** @throws MoesaicError failed_precondition when the model has no tokenizer */
export function requireTokenizer(model: ServedModel): Tokenizer {
  if (model.tokenizer !== null) return model.tokenizer;
  const message = `${model.name} has no tokenizer.json: send token ids, or add the tokenizer's files to its folder`;
  throw new MoesaicError("failed_precondition", message);
}
