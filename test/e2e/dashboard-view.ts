import type { ClusterView } from "../../coordinator/dashboard/cluster-view.js";

/** What the dashboard of a running cluster is told first: all that is remembered. */
export async function dashboardView(http: string): Promise<ClusterView> {
  const response = await fetch(`http://${http}/dashboard/watch`);
  let text = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    const end = text.indexOf("\n\n");
    // Leaving the loop ends the stream.
    if (end >= 0) return JSON.parse(text.slice("data: ".length, end)) as ClusterView;
  }
  throw new Error(`the stream of views ended: ${text}`);
}
