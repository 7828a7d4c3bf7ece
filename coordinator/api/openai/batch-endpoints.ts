import { z } from "zod";
import type { KeptStores } from "../../jobs/jobs.js";
import { batchDocument, findBatch, shownBatch, type KeptBatch } from "./batch-document.js";
import type { BatchKeeper } from "./batch-keeper.js";
import type { Call, Endpoint } from "./endpoints.js";
import { findFile } from "./file-document.js";
import { RPC } from "./inference.js";
import { objectId } from "./object-id.js";
import { pageFields, pageOf } from "./page.js";
import { readBody } from "./request-body.js";

const listQuery = z.object(pageFields(100, 20));

/** @param kept what is kept for good, or why nothing is: throws */
export function batchEndpoints(kept: () => KeptStores, keeper: BatchKeeper): Endpoint[] {
  const batches = new Batches(kept, keeper);
  const url = "/v1/batches";
  return [
    { method: "POST", url, rpc: RPC.submitJob, answer: (call) => batches.create(call) },
    { method: "GET", url, rpc: RPC.listJobs, answer: async (call) => batches.list(call) },
    { method: "GET", url: `${url}/:id`, rpc: RPC.getJob, answer: async (call) => batches.get(call) },
    { method: "POST", url: `${url}/:id/cancel`, rpc: RPC.cancelJob, answer: (call) => batches.cancel(call) },
  ];
}

class Batches {
  readonly #kept: () => KeptStores;
  readonly #keeper: BatchKeeper;

  constructor(kept: () => KeptStores, keeper: BatchKeeper) {
    this.#kept = kept;
    this.#keeper = keeper;
  }

  async create({ body, context: { tenant } }: Call): Promise<object> {
    const kept = this.#kept();
    const created = batchDocument(tenant, body);
    const { id: inputFileId } = findFile(kept, created.batch.input_file_id!, tenant);
    const id = objectId("batch_");
    const document = await kept.objects.create(id, created);
    this.#keeper.follow(id, inputFileId);
    return this.#shown({ id, document });
  }

  list({ query, context: { tenant } }: Call): object {
    const page = readBody(listQuery, query);
    return pageOf(this.#kept().objects.list("batch", tenant), page, (batch) => this.#shown(batch));
  }

  get({ params, context: { tenant } }: Call): object {
    return this.#shown(findBatch(this.#kept(), params["id"]!, tenant));
  }

  async cancel({ params, context: { tenant } }: Call): Promise<object> {
    const { id } = findBatch(this.#kept(), params["id"]!, tenant);
    await this.#keeper.cancel(id);
    return this.#shown(findBatch(this.#kept(), id, tenant));
  }

  #shown(batch: KeptBatch): object {
    return shownBatch(batch, this.#keeper.jobOf(batch.id));
  }
}
