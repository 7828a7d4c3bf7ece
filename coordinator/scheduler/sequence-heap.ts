import type { Sequence } from "./sequence.js";

/**
 * The first of many sequences by a fixed order, in O(log n). A sequence that stops belonging here (aborted, say) is not
 * searched for: `belongs` turns false for it and it is dropped when it comes up, or when such entries are the majority.
 */
export class SequenceHeap {
  readonly #isBefore: (a: Sequence, b: Sequence) => boolean;
  readonly #belongs: (sequence: Sequence) => boolean;
  #heap: Sequence[] = [];
  /** Size at which stale entries are swept out: twice what was live at the last sweep. */
  #sweepSize = 64;

  constructor(isBefore: (a: Sequence, b: Sequence) => boolean, belongs: (sequence: Sequence) => boolean) {
    this.#isBefore = isBefore;
    this.#belongs = belongs;
  }

  /** Entries kept, those included that no longer belong here. */
  get size(): number {
    return this.#heap.length;
  }

  push(sequence: Sequence): void {
    if (this.#heap.length >= this.#sweepSize) this.#sweep();
    this.#heap.push(sequence);
    this.#rise(this.#heap.length - 1);
  }

  /** The first that belongs here, or undefined. */
  first(): Sequence | undefined {
    while (this.#heap.length > 0 && !this.#belongs(this.#heap[0]!)) this.#removeTop();
    return this.#heap[0];
  }

  /** Takes the first out. */
  shift(): Sequence | undefined {
    const sequence = this.first();
    if (sequence !== undefined) this.#removeTop();
    return sequence;
  }

  /** Those that belong here, in no order. O(n). */
  members(): Sequence[] {
    return this.#heap.filter((sequence) => this.#belongs(sequence));
  }

  #removeTop(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #sweep(): void {
    this.#heap = this.members();
    for (let index = (this.#heap.length >> 1) - 1; index >= 0; index--) this.#sink(index);
    this.#sweepSize = Math.max(64, 2 * this.#heap.length);
  }

  #rise(start: number): void {
    const heap = this.#heap;
    for (let index = start; index > 0;) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(heap[index]!, heap[parent]!)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #sink(start: number): void {
    const heap = this.#heap;
    for (let index = start; ;) {
      let first = index;
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < heap.length && this.#isBefore(heap[child]!, heap[first]!)) first = child;
      }
      if (first === index) return;
      this.#swap(index, first);
      index = first;
    }
  }

  #swap(a: number, b: number): void {
    [this.#heap[a], this.#heap[b]] = [this.#heap[b]!, this.#heap[a]!];
  }
}
