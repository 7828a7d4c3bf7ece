import { z } from "zod";
import { boundedArray } from "./request-body.js";

const MAX_PARTS = 1024;

/**
 * Content as one text or as parts. Parts are joined by a line break: they were apart in the request.
 * @param textTypes the types of part that carry text; others are images, sound and files, which the model cannot take
 */
export function textContent(...textTypes: string[]): z.ZodType<string> {
  const part = z
    .looseObject({ type: z.string() })
    .superRefine(({ type, ...fields }, context) => {
      if (!textTypes.includes(type)) {
        const message = `"${type}" is not supported: the model takes text alone, as ${textTypes.join(" or ")}`;
        context.addIssue({ code: "custom", message, path: ["type"], params: { isUnavailable: true } });
      } else if (typeof textOf(type, fields) !== "string") {
        context.addIssue({ code: "custom", message: "expected a string", path: [type === "refusal" ? type : "text"] });
      }
    })
    .transform(({ type, ...fields }) => textOf(type, fields) as string);
  const parts = boundedArray(part, 0, MAX_PARTS).transform((texts) => texts.join("\n"));
  // Not a union: its problems would hide those of the parts.
  return z.unknown().transform((value, context) => {
    if (typeof value === "string") return value;
    const parsed = parts.safeParse(value);
    if (parsed.success) return parsed.data;
    const isList = Array.isArray(value);
    if (!isList) context.addIssue({ code: "custom", message: "expected a string or an array of parts" });
    else for (const issue of parsed.error.issues) context.addIssue(passedOn(issue));
    return z.NEVER;
  });
}

function passedOn(issue: z.core.$ZodIssue): { code: "custom"; message: string; path: PropertyKey[]; params: object } {
  const params = issue.code === "custom" ? (issue.params ?? {}) : {};
  return { code: "custom", message: issue.message, path: [...issue.path], params };
}

function textOf(type: string, fields: Record<string, unknown>): unknown {
  return type === "refusal" ? fields["refusal"] : fields["text"];
}
