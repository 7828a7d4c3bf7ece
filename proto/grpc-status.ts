import { Metadata, status, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import { ERROR_CODES, MoesaicError, type ErrorCode, type ErrorFields } from "./errors.js";

const PLACE_KEY = "moesaic-place-bin";
const RETRY_AFTER_KEY = "moesaic-retry-after-ms";

const GRPC_CODES: Readonly<Record<ErrorCode, status>> = {
  invalid_argument: status.INVALID_ARGUMENT,
  not_found: status.NOT_FOUND,
  failed_precondition: status.FAILED_PRECONDITION,
  resource_exhausted: status.RESOURCE_EXHAUSTED,
  deadline_exceeded: status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  unavailable: status.UNAVAILABLE,
  unimplemented: status.UNIMPLEMENTED,
  internal: status.INTERNAL,
};

const CODES_BY_GRPC = new Map<number, ErrorCode>(ERROR_CODES.map((code) => [GRPC_CODES[code], code]));

/** Our error as a gRPC status; place and retry-after travel as trailing metadata. */
export function toGrpcStatus(caught: unknown): StatusObject {
  const error = MoesaicError.from(caught);
  const metadata = new Metadata();
  if (error.place !== undefined) metadata.set(PLACE_KEY, Buffer.from(error.place, "utf8"));
  if (error.retryAfterMs !== undefined) metadata.set(RETRY_AFTER_KEY, String(Math.ceil(error.retryAfterMs)));
  return { code: GRPC_CODES[error.code], details: error.message, metadata };
}

/**
 * The same as an Error, for streams: emitted as "error" on a server's stream it ends the call with this status (a destroyed
 * stream would end without one, and the client would wait).
 */
export function toStatusError(caught: unknown): Error {
  const status = toGrpcStatus(caught);
  return Object.assign(new Error(status.details), status);
}

/** What a gRPC call failed with as our error. Codes outside our list become internal. */
export function fromGrpcStatus(caught: unknown): MoesaicError {
  if (!isServiceError(caught)) return MoesaicError.from(caught);
  const fields: ErrorFields = { cause: caught };
  const place: unknown = caught.metadata?.get(PLACE_KEY)[0];
  if (Buffer.isBuffer(place)) fields.place = place.toString("utf8");
  const retryAfterMs = Number(caught.metadata?.get(RETRY_AFTER_KEY)[0]);
  if (Number.isFinite(retryAfterMs)) fields.retryAfterMs = retryAfterMs;
  return new MoesaicError(CODES_BY_GRPC.get(caught.code) ?? "internal", caught.details, fields);
}

function isServiceError(caught: unknown): caught is ServiceError {
  return caught instanceof Error && "code" in caught && typeof caught.code === "number" && "details" in caught;
}
