import type { v1 } from "../../../proto/messages.js";

/** Token counts of one HTTP request: each prompt once however many choices it has, the outputs of all choices. */
export class UsageCount {
  promptTokens = 0;
  cachedTokens = 0;
  completionTokens = 0;
  reasoningTokens = 0;

  /** @param isFirstChoice whether the prompt has not been counted yet */
  add(usage: v1.Usage.$Properties | null | undefined, isFirstChoice: boolean): void {
    if (isFirstChoice) {
      this.promptTokens += usage?.prompt_tokens ?? 0;
      this.cachedTokens += usage?.cached_tokens ?? 0;
    }
    this.completionTokens += usage?.completion_tokens ?? 0;
    this.reasoningTokens += usage?.reasoning_tokens ?? 0;
  }

  /** As completions and chat completions say it. */
  completionUsage(): object {
    return {
      prompt_tokens: this.promptTokens,
      completion_tokens: this.completionTokens,
      total_tokens: this.promptTokens + this.completionTokens,
      prompt_tokens_details: { cached_tokens: this.cachedTokens },
      completion_tokens_details: { reasoning_tokens: this.reasoningTokens },
    };
  }

  /** As responses say it. */
  responseUsage(): object {
    return {
      input_tokens: this.promptTokens,
      input_tokens_details: { cached_tokens: this.cachedTokens },
      output_tokens: this.completionTokens,
      output_tokens_details: { reasoning_tokens: this.reasoningTokens },
      total_tokens: this.promptTokens + this.completionTokens,
    };
  }
}
