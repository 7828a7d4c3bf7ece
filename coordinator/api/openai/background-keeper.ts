import { randomInt } from "node:crypto";
import { MoesaicError } from "../../../proto/errors.js";
import type { Logger } from "../../../proto/log.js";
import { v1 } from "../../../proto/messages.js";
import type { RunRequest } from "../../jobs/job-runner.js";
import type { KeptFollower, KeptStores } from "../../jobs/jobs.js";
import { BackgroundResponse, type BackgroundFacts } from "./background-response.js";
import type { GenerateRequest } from "./inference.js";

/** Those that wait or run are in memory with their conversations. */
const MAX_LIVE = 1_024;
const RETRY_MS = 5_000;
/** What is written at a time. */
const PIECE_BYTES = 512 * 1024;
/** From its end, as long as responses that are in memory; one that waits or runs is kept for as long as that takes. */
const KEPT_MS = 24 * 3_600_000;

/** A response's id is its job's too. */
interface Live {
  tenant: string;
  response: BackgroundResponse;
}

/**
 * Responses that run whether or not somebody waits: each is a job of one request, run before other jobs, and an object with what
 * it shows beside its result. A coordinator that dies leaves both, and the next one runs what has no result.
 */
export class BackgroundKeeper implements KeptFollower {
  readonly #log: Logger;
  readonly #live = new Map<string, Live>();
  /** Those that the coordinator before had begun, while they are read back. */
  readonly #reading = new Map<string, Promise<void>>();
  readonly #leaving = new AbortController();
  #kept: KeptStores | null = null;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Aborted when this coordinator leaves. */
  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  begin(kept: KeptStores): void {
    this.#kept = kept;
    for (const { id, document } of kept.objects.list("background")) {
      if (!isOver(kept, id)) this.#reading.set(id, this.#readBack(id, document.tenant));
      // It ended, and its coordinator died before it could say until when it is kept.
      else void this.#beginTime(id);
    }
  }

  async end(): Promise<void> {
    this.#leaving.abort();
    for (const { response } of this.#live.values()) response.leave();
  }

  /** Runs requests as before, and hears the events of those that are responses in the background. */
  listening(generate: RunRequest): RunRequest {
    return (request, run) => this.#heard(run.jobId, generate(request, run));
  }

  /** @throws MoesaicError resource_exhausted, unavailable; failed_precondition where nothing is kept; as a job's Submit */
  async create(
    { jobs, objects }: KeptStores,
    tenant: string,
    facts: BackgroundFacts,
    request: GenerateRequest,
  ): Promise<BackgroundResponse> {
    const { id } = facts.head;
    if (this.#live.size >= MAX_LIVE) throw tooMany();
    const response = new BackgroundResponse(facts);
    this.#live.set(id, { tenant, response });
    try {
      await writeFacts(objects, id, facts);
      const document = { tenant, created_unix_ms: Date.now(), expires_unix_ms: 0, background: {} };
      await jobs.submit(submissionOf(id, request), { tenant, isUrgent: true });
      await objects.create(id, document);
    } catch (caught) {
      this.#live.delete(id);
      await objects.abandon(id);
      await jobs.delete(id).catch(() => {});
      throw caught;
    }
    void this.#follow(id);
    return response;
  }

  /** A response that runs, or that has ended and is kept; null: there is none. */
  async find(id: string, tenant: string): Promise<BackgroundResponse | null> {
    await this.#reading.get(id);
    const live = this.#live.get(id);
    if (live !== undefined) return live.tenant === tenant ? live.response : null;
    const kept = this.#kept;
    if (kept === null || kept.objects.find(id, "background", tenant) === null || !isOver(kept, id)) return null;
    const response = new BackgroundResponse(await factsOf(kept, id));
    await takeResult(kept, id, response);
    return response;
  }

  /** Ends one that runs. @throws MoesaicError unavailable */
  async cancel(id: string): Promise<void> {
    await this.#kept!.jobs.cancel(id);
    this.#live.get(id)?.response.cancel();
  }

  /** Forgets it, whether or not it has ended. @throws MoesaicError unavailable */
  async delete(id: string): Promise<void> {
    const { jobs, objects } = this.#kept!;
    this.#live.get(id)?.response.cancel();
    this.#live.delete(id);
    await jobs.delete(id).catch(ignoreAbsence);
    await objects.delete(id);
  }

  /** Never throws. */
  async #readBack(id: string, tenant: string): Promise<void> {
    try {
      this.#live.set(id, { tenant, response: new BackgroundResponse(await factsOf(this.#kept!, id)) });
      void this.#follow(id);
    } catch (caught) {
      const { message } = MoesaicError.from(caught);
      this.#log.warn({ responseId: id, text: message }, "response in the background was not read back");
    }
    this.#reading.delete(id);
  }

  /** It ends with the result that is kept, and not before: so its end is the same for whoever comes later. */
  async #follow(id: string): Promise<void> {
    const { jobs } = this.#kept!;
    const response = this.#live.get(id)?.response;
    try {
      await jobs.whenOver(id, this.#leaving.signal);
      if (this.#leaving.signal.aborted) return;
      if (response?.run.isLive === true && jobs.isComputed(id, 0)) await takeResult(this.#kept!, id, response);
    } catch (caught) {
      if (jobs.has(id)) this.#unread(id, response, MoesaicError.from(caught));
    }
    // Its job was cancelled, or is gone with its result: nothing more comes, and readers have to hear so.
    if (response?.run.isLive === true) response.cancel();
    this.#live.delete(id);
    await this.#beginTime(id);
  }

  /** It has ended: its time begins, unless it has. Never throws; the next coordinator tries again. */
  async #beginTime(id: string): Promise<void> {
    const { jobs, objects } = this.#kept!;
    try {
      if (this.#leaving.signal.aborted || objects.get(id).expires_unix_ms > 0) return;
      const endedUnixMs = jobs.has(id) ? jobs.get(id).ended_unix_ms! : Date.now();
      await objects.update(id, (document) => {
        document.expires_unix_ms = endedUnixMs + KEPT_MS;
      });
    } catch (caught) {
      const error = MoesaicError.from(caught);
      if (error.code === "not_found") return;
      this.#log.warn({ responseId: id, text: error.message }, "background response was not given its time");
    }
  }

  /** The result is there and cannot be read now: whoever waits hears so, whoever comes later may have it. */
  #unread(id: string, response: BackgroundResponse | undefined, error: MoesaicError): void {
    this.#log.warn({ responseId: id, code: error.code, text: error.message }, "background response was not read");
    response?.fail(error);
  }

  async *#heard<T extends v1.GenerateEvent.$Properties>(jobId: string, events: AsyncIterable<T>): AsyncIterable<T> {
    // Read back first, or its begin would be missed.
    await this.#reading.get(jobId);
    for await (const event of events) {
      if (!event.finish) this.#live.get(jobId)?.response.take(event);
      yield event;
    }
  }
}

/** The events of a result take the place of those that came while it ran, and are the same. */
async function takeResult({ jobs }: KeptStores, id: string, response: BackgroundResponse): Promise<void> {
  const endedAt = Math.floor(jobs.get(id).ended_unix_ms! / 1_000);
  for (const event of (await jobs.result(id, 0)) ?? []) response.take(event, endedAt);
}

async function writeFacts(objects: KeptStores["objects"], id: string, facts: BackgroundFacts): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(facts));
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    await objects.append(id, bytes.subarray(at, at + PIECE_BYTES), true);
  }
}

async function factsOf({ objects }: KeptStores, id: string): Promise<BackgroundFacts> {
  const pieces: Uint8Array[] = [];
  for await (const piece of objects.content(id)) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString()) as BackgroundFacts;
}

/** The same request gives the same events, whenever and by whomever it is run. */
function submissionOf(id: string, request: GenerateRequest): v1.SubmitJobRequest {
  request.request_id = id;
  request.event_per_token = true;
  request.sampling = { ...request.sampling, seed: request.sampling?.seed ?? randomInt(2 ** 48 - 1) };
  return v1.SubmitJobRequest.create({ job_id: id, requests: [request] });
}

function isOver({ jobs }: KeptStores, id: string): boolean {
  try {
    return ["finished", "cancelled"].includes(jobs.get(id).state ?? "");
  } catch {
    return false;
  }
}

function ignoreAbsence(error: unknown): void {
  if (MoesaicError.from(error).code !== "not_found") throw error;
}

function tooMany(): MoesaicError {
  const text = `${MAX_LIVE} responses wait or run in the background already; try again later`;
  return new MoesaicError("resource_exhausted", text, { retryAfterMs: RETRY_MS });
}
