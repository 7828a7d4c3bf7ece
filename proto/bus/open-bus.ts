import type { Logger } from "../log.js";
import type { Bus } from "./bus.js";
import { EmbeddedBroker } from "./embedded-bus.js";
import { connectNatsBus } from "./nats-bus.js";

export interface BusOptions {
  /** `embedded`, `nats://host:port` or `tls://host:port`. */
  url: string;
  credentialsFile: string | null;
  /** Who we are, for the server's monitoring: `coordinator`, `worker`. */
  clientName: string;
}

/** The bus that a cluster spec names. The embedded one is known to its own process alone. @throws MoesaicError as `connectNatsBus` */
export async function openBus(options: BusOptions, log: Logger): Promise<Bus> {
  return options.url === "embedded" ? new EmbeddedBroker().connect() : connectNatsBus(options, log);
}
