import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Journal } from "../../coordinator/jobs/journal.js";
import { silentLogger } from "../../proto/log.js";
import type { JobLogFixture } from "./job-log-fixture.js";
import { describeJobStore } from "./job-store-suite.js";
import { describeObjectStore } from "./object-store-suite.js";

describeJobStore("journal", startJournal);
describeObjectStore("journal", startJournal);

async function startJournal(): Promise<JobLogFixture> {
  const folder = mkdtempSync(join(tmpdir(), "moesaic-jobs-"));
  let current: Journal | null = null;
  return {
    open: async () => {
      await current?.close();
      return (current = await Journal.open(folder, silentLogger));
    },
    abandon: async () => {},
    end: async () => {
      await current?.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
