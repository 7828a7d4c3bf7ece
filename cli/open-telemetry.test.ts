import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startOpenTelemetry } from "./open-telemetry.js";

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };
/** Not to be resolved by the compiler. */
const MISSING: string = "no-such-package-at-all";

describe("startOpenTelemetry", () => {
  it("loads nothing where nobody asks, or tracing is switched off", async () => {
    const load = () => Promise.reject(new Error("loaded"));
    for (const env of [{}, { ...ENDPOINT, OTEL_SDK_DISABLED: "true" }, { ...ENDPOINT, OTEL_TRACES_EXPORTER: "none" }]) {
      assert.equal(await startOpenTelemetry(env, load), null);
    }
  });

  it("says what to install where the SDK is not there", async () => {
    const message = /^OTEL_EXPORTER_OTLP_ENDPOINT asks for traces .* npm install @opentelemetry\/sdk-node@/;
    await assert.rejects(
      startOpenTelemetry(ENDPOINT, () => import(MISSING)),
      { code: "failed_precondition", message },
    );
  });

  it("starts and stops the SDK that is there", async () => {
    const calls: string[] = [];
    class NodeSDK {
      start() {
        calls.push("start");
      }
      async shutdown() {
        calls.push("shutdown");
        throw new Error("the collector is away");
      }
    }
    const telemetry = await startOpenTelemetry(ENDPOINT, async () => ({ NodeSDK }));
    await telemetry!.stop();
    assert.deepEqual(calls, ["start", "shutdown"]);
  });
});
