import type { KeyValue } from "../../proto/bus/bus.js";
import { MoesaicError } from "../../proto/errors.js";

/** Keys whose updates happen, while nobody hears of it as long as `loses` says so. */
export function losingAnswers(kv: KeyValue, loses: () => boolean): KeyValue {
  return {
    get: (key) => kv.get(key),
    put: (key, value) => kv.put(key, value),
    create: (key, value) => kv.create(key, value),
    delete: (key, revision) => kv.delete(key, revision),
    watch: (pattern) => kv.watch(pattern),
    update: async (key, value, revision) => {
      const updated = await kv.update(key, value, revision);
      if (loses()) throw new MoesaicError("deadline_exceeded", "the answer was lost");
      return updated;
    },
  };
}
