import type { NatsConnection } from "nats";
import type { Logger } from "../log.js";
import type { BusStateCell } from "./bus-state.js";

/** What a bucket needs of its connection. */
export interface NatsLink {
  readonly connection: NatsConnection;
  readonly state: BusStateCell;
  readonly log: Logger;
}
