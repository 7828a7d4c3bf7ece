import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";

/** The query of a list: where it begins, how long and which way it goes. */
export function pageFields(maxLimit: number, limit: number) {
  return {
    limit: z.coerce.number().int().min(1).max(maxLimit).default(limit),
    order: z.enum(["asc", "desc"]).default("desc"),
    after: z.string().optional(),
  };
}

export interface PageQuery {
  limit: number;
  order: "asc" | "desc";
  after?: string | undefined;
}

/**
 * One page of a list, as OpenAI shows it.
 * @param items oldest first   @throws MoesaicError invalid_argument when `after` is none of them
 */
export function pageOf<T extends { id: string }>(
  items: readonly T[],
  { limit, order, after }: PageQuery,
  shown: (item: T) => object,
): object {
  const ordered = order === "asc" ? items : items.toReversed();
  const from = after === undefined ? 0 : indexOf(ordered, after) + 1;
  const page = ordered.slice(from, from + limit);
  return {
    object: "list",
    data: page.map(shown),
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
    has_more: from + page.length < ordered.length,
  };
}

function indexOf(items: readonly { id: string }[], id: string): number {
  const index = items.findIndex((item) => item.id === id);
  if (index >= 0) return index;
  throw new MoesaicError("invalid_argument", `nothing in this list has the id ${id.slice(0, 128)}`, { place: "after" });
}
