import { MoesaicError } from "./errors.js";

/** Metadata key under which a caller that is trusted names the tenant it asks for. */
export const TENANT_KEY = "moesaic-tenant";

/** On whose account a request runs that names nobody. */
export const DEFAULT_TENANT = "default";

/** A tenant's name: 1 to 64 letters, digits, dots, dashes and underscores. @throws MoesaicError invalid_argument */
export function checkTenant(name: string): string {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(name)) return name;
  const text = "expected 1 to 64 letters, digits, dots, dashes or underscores";
  throw new MoesaicError("invalid_argument", `${text}, got ${JSON.stringify(name.slice(0, 64))}`, {
    place: TENANT_KEY,
  });
}
