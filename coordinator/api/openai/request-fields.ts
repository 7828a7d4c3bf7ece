import { z } from "zod";
import { boundedArray, someOf, unavailable } from "./request-body.js";

const MAX_METADATA = 16;

/** OpenAI's bounds: 16 pairs, keys of 64 and values of 512 characters. */
export const metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= MAX_METADATA, `expected at most ${MAX_METADATA} pairs`)
  .nullish();

const hint = z.string().max(512).nullish();

/** Who asks and what may be cached: taken, checked, and of no effect here. */
export const hintFields = {
  user: hint,
  safety_identifier: hint,
  prompt_cache_key: hint,
  prompt_cache_retention: someOf(["in_memory"], ["24h"], "nothing is cached beyond memory"),
  prompt_cache_options: unavailable("caching is automatic"),
};

const TIERS = ["auto", "default", "flex", "scale", "priority"] as const;
type ServiceTier = (typeof TIERS)[number];

export const serviceTier = z.enum(TIERS).nullish();

/** Lower runs earlier. */
const PRIORITIES: Readonly<Record<ServiceTier, number>> = { auto: 0, default: 0, scale: 0, flex: 10, priority: -10 };

export function priorityOf(tier: ServiceTier | null | undefined): number {
  return PRIORITIES[tier ?? "auto"];
}

/** The tier that served a request, as the answer says it. */
export function servedTierOf(tier: ServiceTier | null | undefined): ServiceTier {
  return tier === "flex" || tier === "priority" ? tier : "default";
}

export const reasoningEffort = someOf(
  ["low", "medium", "high"],
  ["none", "minimal", "xhigh", "max"],
  "the model knows low, medium and high",
);

export const verbosity = someOf(["medium"], ["low", "high"], "the model knows no verbosity; ask for it in words");

export const streamOptions = z
  .strictObject({
    include_usage: z.boolean().nullish(),
    include_obfuscation: unavailable("events are not padded", [false]),
  })
  .nullish();

const jsonSchema = z.record(z.string(), z.unknown(), { error: "expected a JSON schema, an object" });

export const functionName = z
  .string()
  .regex(/^[\w.-]{1,64}$/, "expected 1 to 64 letters, digits, underscores, dots or hyphens");

/** A function that the model may call; chat completions wrap it once more. */
export const functionFields = {
  name: functionName,
  description: z.string().nullish(),
  parameters: jsonSchema.nullish(),
  strict: z.boolean().nullish(),
};

export const schemaFormatFields = {
  name: functionName,
  description: z.string().nullish(),
  schema: jsonSchema.nullish(),
  strict: z.boolean().nullish(),
};

export const MAX_TOOLS = 256;

export function toolsOf<T>(tool: z.ZodType<T>): z.ZodOptional<z.ZodNullable<z.ZodType<T[]>>> {
  return boundedArray(tool, 0, MAX_TOOLS).nullable().optional();
}
