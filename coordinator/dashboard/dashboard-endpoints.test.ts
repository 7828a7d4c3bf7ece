import assert from "node:assert/strict";
import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { text as readText } from "node:stream/consumers";
import { describe, it } from "node:test";
import { openApi } from "../../test/openai-api.js";
import type { ClusterView } from "./cluster-view.js";

/** fetch follows redirects and may not set the headers that browsers set. */
async function get(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const call = request(url, { headers });
  call.end();
  return ((await once(call, "response")) as [IncomingMessage])[0];
}

describe("the dashboard over HTTP", () => {
  for (const path of ["/", "/dashboard"]) {
    it(`is where ${path} leads`, async (test) => {
      const { url } = await openApi(test);
      const response = await get(url + path);
      response.resume();
      assert.equal(response.statusCode, 302);
      assert.equal(new URL(response.headers.location!, url + path).pathname, "/dashboard/");
    });
  }

  it("is one page with one script and one style sheet, and nothing from elsewhere", async (test) => {
    const { url } = await openApi(test);
    const files: [path: string, type: RegExp, content: RegExp][] = [
      ["/dashboard/", /^text\/html/, /<script type="module" src="page.js">/],
      ["/dashboard/page.js", /^text\/javascript/, /^\/\*! with Preact, MIT licence/],
      ["/dashboard/page.css", /^text\/css/, /prefers-color-scheme: dark/],
    ];
    for (const [path, type, content] of files) {
      const response = await get(url + path);
      assert.equal(response.statusCode, 200);
      assert.match(response.headers["content-type"]!, type);
      assert.match(String(response.headers["content-security-policy"]), /default-src 'none'; script-src 'self'/);
      const text = await readText(response);
      assert.match(text, content);
      assert.doesNotMatch(text.replaceAll("http://www.w3.org/", ""), /(src|href)="https?:|@import|url\(/);
    }
  });

  it("streams views of the cluster", async (test) => {
    const { url } = await openApi(test);
    const response = await fetch(`${url}/dashboard/watch`);
    assert.match(response.headers.get("content-type")!, /^text\/event-stream/);
    const views: ClusterView[] = [];
    let rest = "";
    for await (const bytes of response.body!.pipeThrough(new TextDecoderStream())) {
      const events = (rest + bytes).split("\n\n");
      rest = events.pop()!;
      for (const event of events) views.push(JSON.parse(event.replace(/^data: /, "")) as ClusterView);
      if (views.length >= 2) break;
    }
    assert.deepEqual(
      views.slice(0, 2).map(({ isWhole }) => isWhole),
      [true, false],
    );
    assert.equal(views[0]!.status.name, "test");
    assert.equal(views[1]!.samples.length, 1);
  });

  it("is closed to pages of other sites, and open to its own", async (test) => {
    const { url } = await openApi(test);
    const other = url.replace("127.0.0.1", "localhost");
    const refused = [{ origin: "https://example.com" }, { origin: other }, { "sec-fetch-site": "cross-site" }];
    for (const path of ["/dashboard/", "/dashboard/page.js", "/dashboard/watch", "/v1/models"]) {
      for (const headers of refused) {
        const response = await get(url + path, headers);
        response.resume();
        assert.equal(response.statusCode, 403, `${path} ${JSON.stringify(headers)}`);
      }
      const own = await get(url + path, { origin: url, "sec-fetch-site": "same-origin" });
      own.destroy();
      assert.equal(own.statusCode, 200, path);
    }
    // The name is the attacker's, and resolves to loopback.
    const renamed = await get(`${url}/v1/models`, { host: "evil.example", origin: "http://evil.example" });
    renamed.resume();
    assert.equal(renamed.statusCode, 403);
  });
});
