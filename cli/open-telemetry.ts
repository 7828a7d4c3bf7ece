import { trace, type Tracer } from "@opentelemetry/api";
import { MoesaicError } from "../proto/errors.js";

/** Any of these asks for traces; what else the variables of OpenTelemetry say is the SDK's to read. */
const VARIABLES = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"];
const SDK_PACKAGE = "@opentelemetry/sdk-node";
/** The newest that runs on Node.js 20. */
const SDK_VERSION = "0.223.0";

export interface OpenTelemetry {
  tracer: Tracer;
  /** Sends what has not been sent. */
  stop(): Promise<void>;
}

/** What is used of the SDK, which is no dependency: it is large, and few need it. */
interface SdkModule {
  NodeSDK: new (options: object) => { start(): void; shutdown(): Promise<void> };
}

/**
 * Starts the OpenTelemetry SDK where the environment asks for traces.
 * @param load loads the SDK by its name
 * @returns null where it does not
 * @throws MoesaicError failed_precondition when the SDK is asked for and not installed
 */
export async function startOpenTelemetry(
  env: NodeJS.ProcessEnv,
  load: (name: string) => Promise<unknown> = (name) => import(name),
): Promise<OpenTelemetry | null> {
  const variable = VARIABLES.find((name) => env[name] !== undefined && env[name] !== "");
  const isOff = env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true" || env["OTEL_TRACES_EXPORTER"] === "none";
  if (variable === undefined || isOff) return null;
  const { NodeSDK } = await loadSdk(variable, load);
  // Metrics are scraped and logs are lines: traces alone leave this way.
  const sdk = new NodeSDK({
    serviceName: env["OTEL_SERVICE_NAME"] ?? "moesaic",
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  return { tracer: trace.getTracer("moesaic"), stop: () => sdk.shutdown().catch(() => {}) };
}

async function loadSdk(variable: string, load: (name: string) => Promise<unknown>): Promise<SdkModule> {
  try {
    return (await load(SDK_PACKAGE)) as SdkModule;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    const message =
      `${variable} asks for traces and ${SDK_PACKAGE} is not installed: npm install ${SDK_PACKAGE}@${SDK_VERSION} beside ` +
      `moesaic, or unset the variable`;
    throw new MoesaicError("failed_precondition", message, { cause });
  }
}
