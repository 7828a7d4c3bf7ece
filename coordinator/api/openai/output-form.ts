import { MoesaicError } from "../../../proto/errors.js";
import type { v1 } from "../../../proto/messages.js";

/** A form that output must have, not only may: what the prompt says is not enough for it. */
export interface RequiredForm {
  /** As a sentence's subject: `tool_choice "required"`. */
  what: string;
  /** The parameter that asks for it. */
  place: string;
}

/**
 * The one place where a required form becomes a constraint on sampling. Nothing constrains sampling yet, so every form is
 * refused: a client that asks for JSON must not find out by parsing.
 * @throws MoesaicError unimplemented
 */
export function constraintOf(form: RequiredForm | null): v1.OutputConstraint.$Shape | null {
  if (form === null) return null;
  const message = `${form.what} is not supported: output cannot be constrained yet; ask for the form in the prompt`;
  throw new MoesaicError("unimplemented", message, { place: form.place });
}
