import type { IncomingMessage } from "node:http";
import { isLoopbackAddress } from "../../../plans/cluster-spec.js";
import { MoesaicError } from "../../../proto/errors.js";

/**
 * Keeps pages in a browser of this machine from using an API that trusts the machine. A page may send requests to loopback
 * from any site; browsers then name the site in `origin` or say `sec-fetch-site`. A name of the attacker's that resolves to
 * 127.0.0.1 shows in `host`. There is no CORS: programs need none, and the dashboard's page comes from here itself.
 * @throws MoesaicError failed_precondition
 */
export function refuseBrowserPages({ headers }: IncomingMessage): void {
  const { host, origin } = headers;
  // Whether the host is loopback is looked at below.
  if (origin !== undefined && origin !== `http://${host}`) {
    throw refusal(`requests of web pages are not served (origin ${origin}); call from a program, without that header`);
  }
  const site = headers["sec-fetch-site"];
  if (site === "cross-site" || site === "same-site") {
    throw refusal("requests of other sites' pages are not served; call from a program");
  }
  if (host === undefined || !isLoopbackAddress(withPort(host))) {
    throw refusal(`host ${host ?? "(none)"} is not this machine's loopback; use 127.0.0.1, [::1] or localhost`);
  }
}

function withPort(host: string): string {
  return /:\d+$/.test(host) && !host.endsWith("]") ? host : `${host}:80`;
}

function refusal(message: string): MoesaicError {
  return new MoesaicError("failed_precondition", message);
}
