import { after, afterEach, before, describe } from "node:test";
import type { Bus } from "../../proto/bus/bus.js";

/** A server, or what stands for one, that a suite can use, take away and bring back. */
export interface BusFixture {
  connect(): Promise<Bus>;
  /** Without a warning, as a power cut does; what was written to buckets stays. Absent where it cannot be done. */
  takeAway?(): Promise<void>;
  bringBack?(): Promise<void>;
  end(): Promise<void>;
}

/** The buses that a test opens, closed by it at the end whatever happened. */
export class OpenBuses {
  readonly #fixture: Pick<BusFixture, "connect">;
  readonly #buses: Bus[] = [];

  constructor(fixture: Pick<BusFixture, "connect">) {
    this.#fixture = fixture;
  }

  async open(): Promise<Bus> {
    const bus = await this.#fixture.connect();
    this.#buses.push(bus);
    return bus;
  }

  async close(): Promise<void> {
    await Promise.all(this.#buses.splice(0).map((bus) => bus.close()));
  }
}

/** A suite over the buses of one fixture, which lives as long as the suite. */
export function describeBuses(name: string, start: () => Promise<BusFixture>, tests: (buses: OpenBuses) => void): void {
  describe(name, () => {
    let fixture: BusFixture;
    const buses = new OpenBuses({ connect: () => fixture.connect() });
    before(async () => {
      fixture = await start();
    });
    afterEach(() => buses.close());
    after(() => fixture.end());
    tests(buses);
  });
}

/** A name that no other test has used on the same server. */
export function freshName(noun: string): string {
  numNames += 1;
  return `${noun}-${process.pid}-${numNames}`;
}

let numNames = 0;

/** The next `count` items; what is missing after `timeoutMs` is an error. Goes on where the last call ended. */
export async function take<T>(items: AsyncIterable<T>, count: number, timeoutMs = 5000): Promise<T[]> {
  const iterator = items[Symbol.asyncIterator]();
  const taken: T[] = [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${taken.length} of ${count} after ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    while (taken.length < count) {
      const next = await Promise.race([iterator.next(), late]);
      if (next.done === true) throw new Error(`ended after ${taken.length} of ${count}`);
      taken.push(next.value);
    }
  } finally {
    clearTimeout(timer);
  }
  return taken;
}

/** Resolves once `condition` holds; an error that names `what` after `timeoutMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 5000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`${what}: not after ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}

export function text(payload: Uint8Array | null): string | null {
  return payload === null ? null : Buffer.from(payload).toString();
}
