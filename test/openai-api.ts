import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import OpenAI from "openai";
import { parseClusterSpec, type ClusterSpec } from "../plans/cluster-spec.js";
import { describeModel } from "../plans/model-description.js";
import { systemClock, type Clock } from "../proto/clock.js";
import { MoesaicError } from "../proto/errors.js";
import { silentLogger } from "../proto/log.js";
import type { OutputListener, SequenceRunner } from "../coordinator/engine-loop.js";
import { Jobs } from "../coordinator/jobs/jobs.js";
import { ClusterWatch } from "../coordinator/dashboard/cluster-watch.js";
import { Metrics } from "../coordinator/metrics.js";
import type { FinishReason, SequenceSpec } from "../coordinator/scheduler/sequence.js";
import { HttpServer } from "../coordinator/api/http.js";
import { BackgroundKeeper } from "../coordinator/api/openai/background-keeper.js";
import { BatchKeeper } from "../coordinator/api/openai/batch-keeper.js";
import { InferenceService, randomIds } from "../coordinator/api/inference-service.js";
import { openServedModel } from "../coordinator/api/model.js";
import { trustLoopback } from "../coordinator/api/request-context.js";
import type { Tokenizer } from "../coordinator/api/text/tokenizer.js";
import { DEMO_MODEL } from "./paths.js";

/** Most tokens of a sequence of the scripted model. */
export const MAX_MODEL_LEN = 4096;

interface Live {
  spec: SequenceSpec;
  listener: OutputListener;
  numOutputTokens: number;
}

/** Says what a test tells it to, a token each turn of the event loop, with the tokenizer and prompts of the demo model. */
export class ScriptedModel implements SequenceRunner {
  /** The answer to a sequence, with the spellings of control tokens; by default to the user's taste. */
  answer: (spec: SequenceSpec) => string = () => "<|channel|>final<|message|>ok<|return|>";
  /** Thrown for every new sequence. */
  refusal: MoesaicError | null = null;
  /** Resolves before each token. */
  pace: () => Promise<void> = () => new Promise((resolve) => setImmediate(resolve));
  numCachedTokens = 0;
  readonly specs: SequenceSpec[] = [];
  readonly #live = new Map<number, Live>();
  readonly #tokenizer: Tokenizer;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  get numLive(): number {
    return this.#live.size;
  }

  /** Text of the last prompt, control tokens spelled. */
  get lastPrompt(): string {
    return this.#tokenizer.decode(Array.from(this.specs.at(-1)!.promptTokenIds), { skipSpecial: false });
  }

  submit(spec: SequenceSpec, listener: OutputListener): void {
    if (this.refusal !== null) throw this.refusal;
    this.specs.push(spec);
    const live = { spec, listener, numOutputTokens: 0 };
    this.#live.set(spec.seqId, live);
    void this.#speak(live, this.#tokenizer.encodeWithSpecials(this.answer(spec)));
  }

  abort(seqId: number, finish: FinishReason = "abort"): void {
    const live = this.#live.get(seqId);
    if (live !== undefined) this.#end(live, finish);
  }

  /** Ends what runs with an error, as lost ranks do. */
  fail(error: MoesaicError): void {
    for (const live of this.#live.values()) this.#end(live, "error", error);
  }

  async #speak(live: Live, tokenIds: number[]): Promise<void> {
    const { sampling, promptTokenIds, seqId } = live.spec;
    for (const tokenId of tokenIds) {
      await this.pace();
      if (!this.#live.has(seqId)) return;
      live.numOutputTokens += 1;
      const isFull = promptTokenIds.length + live.numOutputTokens >= sampling.maxSeqLen;
      const finish = sampling.stopTokenIds.includes(tokenId) ? "stop" : isFull ? "length" : undefined;
      if (finish !== undefined) this.#live.delete(seqId);
      live.listener({
        ...this.#outputOf(live),
        tokenId,
        ...this.#logprobsOf(live, tokenId),
        ...(finish && { finish }),
      });
      if (finish !== undefined) return;
    }
    this.#end(live, "stop");
  }

  #end(live: Live, finish: FinishReason, error?: MoesaicError): void {
    if (!this.#live.delete(live.spec.seqId)) return;
    live.listener({ ...this.#outputOf(live), finish, ...(error === undefined ? {} : { error }) });
  }

  #outputOf({ spec, numOutputTokens }: Live) {
    const { seqId, requestId, promptTokenIds } = spec;
    const { numCachedTokens } = this;
    return { seqId, requestId, numPromptTokens: promptTokenIds.length, numOutputTokens, numCachedTokens };
  }

  #logprobsOf({ spec }: Live, tokenId: number): object {
    const { numTopLogprobs } = spec.sampling;
    if (numTopLogprobs < 0) return {};
    const topLogprobs = Array.from({ length: numTopLogprobs }, (_, index) => ({
      tokenId: index === 0 ? tokenId : index,
      logprob: -(index + 1) / 2,
    }));
    return { logprob: -0.5, topLogprobs };
  }
}

export interface ApiOptions {
  clock?: Clock;
  /** Where jobs and files are kept; that of an API that was stopped has what it left. */
  folder?: string;
  /** Whether they are. */
  keeps?: boolean;
}

export type OpenApi = Awaited<ReturnType<typeof openApi>>;

/** The HTTP server over a scripted model on a free port, with OpenAI's client; gone with the test. */
export async function openApi(
  test: TestContext,
  { clock = systemClock, folder = temporaryFolder(test), keeps = true }: ApiOptions = {},
) {
  const configFile = join(DEMO_MODEL, "config.json");
  const description = describeModel(JSON.parse(readFileSync(configFile, "utf8")), configFile);
  const served = await openServedModel("demo", description, DEMO_MODEL, MAX_MODEL_LEN);
  const model = new ScriptedModel(served.tokenizer!);
  const background = new BackgroundKeeper(silentLogger);
  const generate = background.listening((request, { tenant, signal }) =>
    service.generate(request, { tenant, signal, deadlineMs: Infinity }),
  );
  const metrics = new Metrics("demo", () => []);
  const service = new InferenceService(served, model, metrics, randomIds, clock);
  const batches = new BatchKeeper({ fingerprint: "moesaic-test", clock, log: silentLogger });
  const followers = [batches, background];
  const jobs = new Jobs({ spec: specOf(keeps), baseDir: folder, generate, followers, clock, log: silentLogger });
  await jobs.open();
  const watch = new ClusterWatch({
    replicas: () => [],
    status: () => ({ name: "test", state: "ready" }),
    newestJobs: (count) => jobs.kept.jobs.newest(count),
    model: { numLayers: description.layerKinds.length, numExperts: description.numExperts },
    clock: systemClock,
  });
  watch.start();
  const stop = async (): Promise<void> => {
    watch.close();
    await Promise.all([http.close(0), jobs.close()]);
  };
  const http = new HttpServer({
    metrics,
    notReadyReason: () => null,
    inference: service.handlers,
    kept: () => jobs.kept,
    batches,
    background,
    watch,
    build: "test",
    authenticate: trustLoopback,
    clock,
    log: silentLogger,
  });
  const url = `http://${await http.listen("127.0.0.1:0")}`;
  test.after(stop);
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  return {
    model,
    http,
    folder,
    kept: () => jobs.kept,
    stop,
    url,
    client,
    inference: service.handlers,
    post: (path: string, body: unknown) => post(url + path, body),
  };
}

function specOf(keeps: boolean): ClusterSpec {
  const spec = { model: "x", ...(keeps ? {} : { jobs: { directory: null } }) };
  const document = { apiVersion: "moesaic.dev/v1", kind: "Cluster", metadata: { name: "demo" }, spec };
  return parseClusterSpec(JSON.stringify(document), "cluster.yaml");
}

function temporaryFolder(test: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "moesaic-api-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A request as any program sends it. */
export async function post(url: string, body: unknown): Promise<{ status: number; headers: Headers; json: unknown }> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, json: await response.json() };
}

export async function collected<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const event of events) all.push(event);
  return all;
}
