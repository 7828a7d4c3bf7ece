import { snakeCased } from "../client/camel-case.js";
import { MoesaicClient } from "../client/client.js";
import { tokensPerSecond, type Job, type JobResult } from "../client/job.js";
import { checkJobId } from "../coordinator/jobs/job-request.js";
import { count, counted, renderSection } from "../plans/text-table.js";
import { MoesaicError } from "../proto/errors.js";
import { defineCommand, defineGroup, type ExitCode } from "./command.js";
import { completionJson, errorJson } from "./completion-json.js";
import type { CommandContext } from "./context.js";
import { plainResult } from "./generate.js";
import { LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { localJob, type LocalJob } from "./local-job.js";
import { withLocalCluster } from "./local-cluster.js";
import { readJobFile, type JobFile } from "./job-file.js";
import { JobProgress } from "./job-progress.js";
import { DEFAULT_ENDPOINT, ENDPOINT_OPTION, flag, JSON_OPTION, text, wholeNumber } from "./options.js";
import { CONSTRAINT_OPTIONS, constraintOf } from "./constraint-options.js";
import { SAMPLING_OPTIONS, samplingOf } from "./sampling-options.js";

const TARGET_OPTIONS = {
  endpoint: { ...ENDPOINT_OPTION.endpoint, default: DEFAULT_ENDPOINT },
  ...JSON_OPTION,
} as const;
const JOB = { job: { describe: "id of the job" } } as const;

const submitCommand = defineCommand({
  usage: "submit <file>",
  describe: "run a file of requests as a job, and print the results in their order; again: go on with it",
  positionals: { file: { describe: "JSON lines, a request each" } },
  options: {
    endpoint: text(
      `address HOST:PORT of a running cluster's gRPC API (default ${DEFAULT_ENDPOINT}, unless --model is given)`,
    ),
    ...LAYOUT_OPTIONS,
    "job-id": text("id of the job: letters, digits, _ and - (default: made of what is in the file)"),
    detach: flag("do not wait for results; print the job's id"),
    ...SAMPLING_OPTIONS,
    ...CONSTRAINT_OPTIONS,
    ...JSON_OPTION,
  },
  examples: [
    ["jobs submit requests.jsonl --json > results.jsonl", "a result line per request, in input order"],
    ["jobs submit requests.jsonl --detach", "hand them over and leave; jobs watch shows the results later"],
    ["jobs submit requests.jsonl --model DIR --json", "on a throw-away cluster; interrupted, the same line goes on"],
  ],
  parse: async (args, { file: path }) => {
    const { endpoint = args.model === undefined ? DEFAULT_ENDPOINT : undefined, detach } = args;
    const target = targetOf({ ...args, endpoint }, ["endpoint", "model"]);
    if (detach && "spec" in target) {
      throw new MoesaicError(
        "invalid_argument",
        "--detach: a throw-away cluster ends with its command; leave one of both out",
      );
    }
    if (args["job-id"] !== undefined) checkJobId(args["job-id"]);
    const constraint = constraintOf(args);
    const file = await readJobFile(String(path), {
      sampling: samplingOf(args),
      ...(constraint === undefined ? {} : { constraint }),
    });
    return { target, file, detach, jobId: args["job-id"] ?? idOf(file) };
  },
  run: ({ target, file, jobId, detach }, context) =>
    "spec" in target
      ? submitLocally(localJob(target.spec, jobId), file, context)
      : withClient(target.endpoint, (client) => submit(client, file, jobId, detach, context)),
});

const watchCommand = defineCommand({
  usage: "watch <job>",
  describe: "print the results of a job in the order of its requests, until it ends",
  positionals: JOB,
  options: {
    ...TARGET_OPTIONS,
    "first-index": {
      ...wholeNumber("first-index", "first request whose result is printed", 0, 2 ** 31 - 1),
      default: "0",
    },
  },
  examples: [["jobs watch JOB --first-index 1000 --json >> results.jsonl", "go on after 1000 results"]],
  parse: ({ endpoint, "first-index": firstIndex }, { job }) => ({
    endpoint,
    jobId: String(job),
    firstIndex: Number(firstIndex),
  }),
  run: ({ endpoint, jobId, firstIndex }, context) =>
    withClient(endpoint, (client) => watch(client, jobId, firstIndex, context)),
});

const listCommand = defineCommand({
  usage: "list",
  describe: "jobs that a cluster keeps, oldest first",
  options: TARGET_OPTIONS,
  examples: [["jobs list", "of the cluster of this machine"]],
  parse: ({ endpoint }) => ({ endpoint }),
  run: ({ endpoint }, context) =>
    withClient(endpoint, async (client) => {
      const jobs: Job[] = [];
      for await (const job of client.listJobs({ signal: context.signal })) jobs.push(job);
      await showJobs(jobs, context);
      return 0;
    }),
});

const getCommand = jobCommand("get", "how far a job is", (client, jobId, { signal }) =>
  client.getJob(jobId, { signal }),
);

const cancelCommand = jobCommand(
  "cancel",
  "end what has no result yet; results that exist stay",
  (client, jobId, { signal }) => client.cancelJob(jobId, { signal }),
);

const deleteCommand = defineCommand({
  usage: "delete <job>",
  describe: "cancel a job and forget it with its results",
  positionals: JOB,
  options: TARGET_OPTIONS,
  examples: [["jobs delete JOB", "its room is free, and so is its id"]],
  parse: ({ endpoint }, { job }) => ({ endpoint, jobId: String(job) }),
  run: ({ endpoint, jobId }, { out, json, signal }) =>
    withClient(endpoint, async (client) => {
      await client.deleteJob(jobId, { signal });
      await (json ? out.json({ job_id: jobId, state: "deleted" }) : out.line(`deleted: ${jobId}`));
      return 0;
    }),
});

export const jobsCommand = defineGroup("jobs", "durable sets of requests, run behind what clients wait for", [
  submitCommand,
  listCommand,
  watchCommand,
  getCommand,
  cancelCommand,
  deleteCommand,
]);

function jobCommand(
  name: string,
  describe: string,
  ask: (client: MoesaicClient, jobId: string, context: CommandContext) => Promise<Job>,
) {
  return defineCommand({
    usage: `${name} <job>`,
    describe,
    positionals: JOB,
    options: TARGET_OPTIONS,
    examples: [[`jobs ${name} JOB`, describe]],
    parse: ({ endpoint }, { job }) => ({ endpoint, jobId: String(job) }),
    run: ({ endpoint, jobId }, context) =>
      withClient(endpoint, async (client) => {
        await showJobs([await ask(client, jobId, context)], context);
        return 0;
      }),
  });
}

/** Ids of files: the same requests are the same job, so that whoever submits a file again goes on with it. */
function idOf({ digest }: JobFile): string {
  return `file-${digest.slice(0, 24)}`;
}

/** What was printed to its end need not be kept: nobody but this command could ask for it. */
async function submitLocally(job: LocalJob, file: JobFile, context: CommandContext): Promise<ExitCode> {
  const exitCode = await withLocalCluster(job.spec, context, (client) =>
    submit(client, file, job.jobId, false, context),
  );
  if (!context.signal.aborted) await job.remove();
  return exitCode;
}

async function submit(
  client: MoesaicClient,
  file: JobFile,
  jobId: string,
  detach: boolean,
  context: CommandContext,
): Promise<ExitCode> {
  const { out, json, signal } = context;
  const progress = new JobProgress(context, file.numRequests);
  try {
    const onSubmitted = (numSubmitted: number) => progress.submitted(numSubmitted);
    const job = await client.submitJob(file.requests(), { jobId, onSubmitted, signal });
    if (detach) {
      await (json ? out.json(snakeCased(job)) : out.line(jobId));
      return 0;
    }
  } finally {
    progress.stop();
  }
  return watch(client, jobId, 0, context);
}

async function watch(
  client: MoesaicClient,
  jobId: string,
  firstIndex: number,
  context: CommandContext,
): Promise<ExitCode> {
  const { stderr, signal } = context;
  const progress = new JobProgress(context);
  let next = firstIndex;
  try {
    const results = client.watchJob(jobId, { firstIndex, signal, onProgress: (job) => progress.show(job) });
    for (;;) {
      const { done, value } = await results.next();
      if (done === true) return finished(value, progress, context);
      await showResult(value, context);
      next = value.index + 1;
    }
  } catch (caught) {
    const error = MoesaicError.from(caught);
    if (error.code === "cancelled" || error.code === "unavailable") {
      progress.stop();
      stderr.write(
        `moesaic: job ${jobId} goes on; see the rest with: moesaic jobs watch ${jobId} --first-index ${next}\n`,
      );
    }
    throw error;
  } finally {
    progress.stop();
  }
}

async function showResult({ index, requestId, completion, error }: JobResult, context: CommandContext): Promise<void> {
  const { out, json, stderr } = context;
  const id = requestId === "" ? index : requestId;
  if (completion !== null)
    return json ? out.json(completionJson(id, completion)) : out.line(plainResult(id, completion));
  if (json) return out.json(errorJson(id, error!));
  stderr.write(`moesaic: request ${id}: ${error!.describe()}\n`);
}

function finished(job: Job, progress: JobProgress, { stderr }: CommandContext): ExitCode {
  progress.stop();
  stderr.write(`${summaryOf(job)}\n`);
  return job.state === "finished" && job.numFailed === 0 ? 0 : 1;
}

function summaryOf(job: Job): string {
  const seconds = (job.endedUnixMs - job.acceptedUnixMs) / 1_000;
  const speed = tokensPerSecond(job);
  const failed = job.numFailed === 0 ? "" : ` (${count(job.numFailed)} failed)`;
  const what = `${count(job.numFinished)} of ${counted(job.numRequests, "request")}${failed}`;
  const tokens = `${count(job.numPromptTokens)} prompt and ${count(job.numOutputTokens)} output tokens`;
  const rate = speed === null ? "" : `: ${count(Math.round(speed))} output tokens/s`;
  return `job ${job.jobId} ${job.state}: ${what}, ${tokens} in ${seconds.toFixed(1)} s${rate}`;
}

async function showJobs(jobs: readonly Job[], { out, json }: CommandContext): Promise<void> {
  if (json) {
    for (const job of jobs) await out.json(snakeCased(job));
    return;
  }
  const rows = jobs.map((job) => [
    job.jobId,
    job.state,
    `${job.numFinished}`,
    `${job.numRequests}`,
    `${job.numFailed}`,
    `${job.numOutputTokens}`,
    new Date(job.createdUnixMs).toISOString(),
    job.reason,
  ]);
  const header = ["job", "state", "finished", "requests", "failed", "output tokens", "created", ""];
  await out.line(rows.length === 0 ? "no jobs" : renderSection("", rows, header).trimStart());
}

async function withClient(endpoint: string, use: (client: MoesaicClient) => Promise<ExitCode>): Promise<ExitCode> {
  const client = new MoesaicClient({ endpoint });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}
