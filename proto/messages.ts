/**
 * The generated messages, with 64-bit fields as numbers (exact to 2^53): without the Long library protobufjs decodes to
 * numbers, and that must be settled before the generated code is loaded.
 */
import "./protobuf-setup.js";
import { moesaic } from "./generated/moesaic.js";

export import v1 = moesaic.v1;

/** Raised with every incompatible change of rank.proto; a coordinator accepts this version and the one before. */
export const PROTOCOL_VERSION = 2;
