/**
 * Holds back text that could be the beginning of a stop string, so that no client sees a character of one.
 * Stop strings are matched over everything a choice shows, across token borders.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** @returns text that is safe to show, and the stop string when one is complete: what follows it is dropped */
  push(text: string): { text: string; matched: string | null } {
    if (this.#stops.length === 0) return { text, matched: null };
    const seen = this.#held + text;
    const match = this.#firstMatch(seen);
    if (match !== null) {
      this.#held = "";
      return { text: seen.slice(0, match.at), matched: match.stop };
    }
    const numHeld = this.#longestPartialEnd(seen);
    this.#held = seen.slice(seen.length - numHeld);
    return { text: seen.slice(0, seen.length - numHeld), matched: null };
  }

  /** What was held back when the generation ended without completing a stop string. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }

  #firstMatch(text: string): { at: number; stop: string } | null {
    const matches = this.#stops.map((stop) => ({ at: text.indexOf(stop), stop })).filter((match) => match.at >= 0);
    return matches.sort((a, b) => a.at - b.at || b.stop.length - a.stop.length)[0] ?? null;
  }

  /** Length of the longest end of `text` that begins a stop string. */
  #longestPartialEnd(text: string): number {
    const longest = Math.max(...this.#stops.map((stop) => stop.length)) - 1;
    for (let length = Math.min(longest, text.length); length > 0; length -= 1) {
      const end = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
