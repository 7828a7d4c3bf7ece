import { z } from "zod";
import { boundedArray, chosen } from "./request-body.js";

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
  return chosen((value) => {
    if (typeof value === "string") return z.string();
    return Array.isArray(value) ? parts : { problem: "expected a string or an array of parts" };
  });
}

function textOf(type: string, fields: Record<string, unknown>): unknown {
  return type === "refusal" ? fields["refusal"] : fields["text"];
}
