import { z } from "zod";

/** Fields that more than one record has; identifiers are tokens, since they become parts of subjects and keys. */
export const clusterNameField = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "expected a name of a-z, 0-9 and -");
export const idField = z.string().regex(/^[\w-]{1,64}$/, "expected at most 64 letters, digits, _ and -");
export const grpcAddressField = z.string().regex(/^\S{1,255}:\d{1,5}$/, "expected HOST:PORT");
export const versionField = z.string().min(1).max(64);
export const hostIdField = z.string().min(1).max(255);
