import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { MoesaicError } from "../../proto/errors.js";
import { Asset, EventStream, type Endpoint } from "../api/openai/endpoints.js";
import type { SseEvent } from "../api/openai/sse-stream.js";
import type { ClusterWatch } from "./cluster-watch.js";

/** Where `npm run build` leaves the page. */
const ASSETS = new URL("../../dashboard/assets/", import.meta.url);

const ASSET_TYPES: Readonly<Record<string, string>> = {
  "index.html": "text/html; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
  "page.css": "text/css; charset=utf-8",
};

/** The page loads nothing from elsewhere, runs nothing that stands in it, and is shown in nobody's frame. */
const HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Who may look at the cluster may open it. */
const RPC = "/moesaic.v1.Cluster/Watch";

/** The dashboard: its page, and the stream of views (`cluster-view.ts`) that fills it. */
export function dashboardEndpoints(watch: ClusterWatch): Endpoint[] {
  const assets = Object.entries(ASSET_TYPES).map(([name, type]) => assetEndpoint(name, type));
  const views: Endpoint = {
    method: "GET",
    url: "/dashboard/watch",
    rpc: RPC,
    answer: async ({ context }) => new EventStream(events(watch.watch(context.signal)), () => []),
  };
  return [...assets, views];
}

function assetEndpoint(name: string, type: string): Endpoint {
  return {
    method: "GET",
    url: name === "index.html" ? "/dashboard/" : `/dashboard/${name}`,
    rpc: RPC,
    answer: async () => new Asset(await read(name), { ...HEADERS, "content-type": type }),
  };
}

async function read(name: string): Promise<Buffer> {
  try {
    return await readFile(fileURLToPath(new URL(name, ASSETS)));
  } catch (cause) {
    throw new MoesaicError("not_found", "the dashboard was not built; run npm run build", { cause });
  }
}

async function* events(views: AsyncIterable<string>): AsyncIterable<SseEvent[]> {
  for await (const data of views) yield [{ data }];
}
