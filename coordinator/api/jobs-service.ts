import type { v1 } from "../../proto/messages.js";
import type { JobStore } from "../jobs/job-store.js";
import type { ContextHandlers } from "./server.js";

/** @param store the jobs, or why there are none now: throws */
export function jobsHandlers(store: () => JobStore): ContextHandlers<v1.Jobs> {
  return {
    submit: async (request, { tenant }) => store().submit(request, { tenant }),
    get: async ({ job_id: jobId }) => store().get(jobId),
    list: async ({ page_size: pageSize, page_token: pageToken }) => store().list(pageSize, pageToken),
    watch: ({ job_id: jobId, first_index: firstIndex }, { signal }) => store().watch(jobId, firstIndex, signal),
    cancel: async ({ job_id: jobId }) => store().cancel(jobId),
    delete: async ({ job_id: jobId }) => {
      await store().delete(jobId);
      return {};
    },
  };
}
