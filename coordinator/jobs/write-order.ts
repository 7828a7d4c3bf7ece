/** Writes to one thing happen one after another, as they were asked for; those to others beside them. */
export class WriteOrder {
  /** The last write to each, which the next one waits for. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs when all earlier writes to it have ended, however they ended. */
  async run<T>(id: string, write: () => Promise<T>): Promise<T> {
    const before = this.#last.get(id);
    const written = (async () => {
      await before?.catch(() => {});
      return write();
    })();
    this.#last.set(id, written);
    try {
      return await written;
    } finally {
      if (this.#last.get(id) === written) this.#last.delete(id);
    }
  }

  /** Resolves when what was asked for has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#last.values());
  }
}
