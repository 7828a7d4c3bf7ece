import { z } from "zod";
import { MoesaicError } from "../../../proto/errors.js";
import type { KeptStores } from "../../jobs/jobs.js";
import { ByteStream, type Call, type Endpoint } from "./endpoints.js";
import type { FormPart } from "./form.js";
import { expirySeconds, fileDocument, findFile, shownFile, type StoredFile } from "./file-document.js";
import { receiveFile } from "./file-upload.js";
import { RPC } from "./inference.js";
import { objectId } from "./object-id.js";
import { pageFields, pageOf } from "./page.js";
import { readBody, someValueOf } from "./request-body.js";

/** All of them wait for the disk together. */
const MAX_UPLOADS = 16;
const UPLOAD_RETRY_MS = 1_000;
const OTHER_PURPOSES = ["assistants", "evals", "fine-tune", "user_data", "vision"];

const uploadFields = z
  .strictObject({
    purpose: someValueOf(["batch"], OTHER_PURPOSES, "files are for batches here"),
    "expires_after[anchor]": z.literal("created_at").optional(),
    "expires_after[seconds]": expirySeconds.optional(),
  })
  .refine(
    (fields) => (fields["expires_after[anchor]"] === undefined) === (fields["expires_after[seconds]"] === undefined),
    {
      error: "expected anchor and seconds",
      path: ["expires_after"],
    },
  );

const listQuery = z.object({ ...pageFields(10_000, 10_000), purpose: z.string().optional() });

/** @param kept what is kept for good, or why nothing is: throws */
export function fileEndpoints(kept: () => KeptStores): Endpoint[] {
  const files = new Files(kept);
  const url = "/v1/files";
  return [
    { method: "POST", url, rpc: RPC.submitJob, takesForm: true, answer: (call) => files.upload(call) },
    { method: "GET", url, rpc: RPC.listJobs, answer: async (call) => files.list(call) },
    { method: "GET", url: `${url}/:id`, rpc: RPC.getJob, answer: async (call) => files.get(call) },
    { method: "GET", url: `${url}/:id/content`, rpc: RPC.getJob, answer: async (call) => files.content(call) },
    { method: "DELETE", url: `${url}/:id`, rpc: RPC.deleteJob, answer: (call) => files.delete(call) },
  ];
}

class Files {
  readonly #kept: () => KeptStores;
  #numUploads = 0;

  constructor(kept: () => KeptStores) {
    this.#kept = kept;
  }

  /** Part after part to where it is kept, so that a file is never in memory; one that is not taken leaves nothing. */
  async upload({ body, context: { tenant } }: Call): Promise<object> {
    const { objects } = this.#kept();
    if (this.#numUploads >= MAX_UPLOADS) throw tooManyUploads();
    const id = objectId("file-");
    this.#numUploads += 1;
    try {
      const { filename, numBytes, fields } = await receiveFile(body as AsyncIterable<FormPart>, (bytes) =>
        objects.append(id, bytes, true),
      );
      const { purpose, "expires_after[seconds]": seconds } = readBody(uploadFields, fields);
      const file = { filename, purpose, num_bytes: numBytes };
      return shownFile({ id, document: await objects.create(id, fileDocument(tenant, file, seconds)) });
    } catch (caught) {
      await objects.abandon(id);
      throw caught;
    } finally {
      this.#numUploads -= 1;
    }
  }

  list({ query, context: { tenant } }: Call): object {
    const { purpose, ...page } = readBody(listQuery, query);
    const files = this.#kept().objects.list("file", tenant);
    const wanted = purpose === undefined ? files : files.filter(({ document }) => document.file!.purpose === purpose);
    return pageOf(wanted, page, shownFile);
  }

  get(call: Call): object {
    return shownFile(this.#find(call));
  }

  content(call: Call): ByteStream {
    const { id, document } = this.#find(call);
    return new ByteStream(this.#kept().objects.content(id), document.file!.num_bytes ?? 0);
  }

  /** @throws MoesaicError failed_precondition while a batch reads it */
  async delete(call: Call): Promise<object> {
    const { id } = this.#find(call);
    const { objects } = this.#kept();
    if (objects.isHeld(id)) {
      const text = `a batch that has not ended reads file ${id}: cancel the batch, or wait for its end`;
      throw new MoesaicError("failed_precondition", text, { place: "file_id" });
    }
    await objects.delete(id);
    return { id, object: "file", deleted: true };
  }

  #find({ params, context: { tenant } }: Call): StoredFile {
    return findFile(this.#kept(), params["id"]!, tenant);
  }
}

function tooManyUploads(): MoesaicError {
  const text = `${MAX_UPLOADS} files are being uploaded already; wait for one of them`;
  return new MoesaicError("resource_exhausted", text, { retryAfterMs: UPLOAD_RETRY_MS });
}
