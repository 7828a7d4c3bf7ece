import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ClusterModel } from "./cluster-model.js";
import { useCluster, type ClusterStream } from "./cluster-stream.js";
import { Experts } from "./experts.js";
import { formatCount, formatDuration, formatPercent } from "./format.js";
import { Charts, Tiles } from "./overview.js";
import { Playground } from "./playground.js";
import { Table } from "./table.js";
import { ThemeChoice } from "./theme.js";
import { Timeline } from "./timeline.js";
import { Topology } from "./topology.js";

const SECTIONS = [
  ["overview", "Overview"],
  ["topology", "Topology"],
  ["experts", "Experts"],
  ["timeline", "Steps"],
  ["jobs", "Jobs"],
  ["events", "Events"],
  ["playground", "Chat"],
] as const;

export function Page() {
  const [isPaused, setIsPaused] = useState(false);
  const stream = useCluster(isPaused);
  const { model } = stream;
  useEffect(() => {
    document.title = model === null ? "Moesaic" : `${model.status.name}: ${model.status.state} – Moesaic`;
  }, [model?.status.name, model?.status.state]);
  return (
    <>
      <a class="skip" href="#overview">
        Skip to the overview
      </a>
      <header>
        <div class="title">
          <h1>{model?.status.name ?? "Moesaic"}</h1>
          {model !== null && (
            <p>
              <span class={`state state-${model.status.state}`}>{model.status.state}</span> {model.status.model}{" "}
              <small>
                up {formatDuration(model.status.uptimeMs)}, moesaic {model.status.version}, bus {model.status.bus?.name}{" "}
                {model.status.bus?.state}
              </small>
            </p>
          )}
        </div>
        <nav aria-label="Sections">
          {SECTIONS.map(([id, name]) => (
            <a key={id} href={`#${id}`}>
              {name}
            </a>
          ))}
        </nav>
        <div class="controls">
          <button type="button" aria-pressed={isPaused} onClick={() => setIsPaused(!isPaused)}>
            {isPaused ? "Paused" : "Pause"}
          </button>
          <ThemeChoice />
        </div>
      </header>
      <main>
        <Notice stream={stream} />
        {model === null ? (
          <Waiting connection={stream.connection} />
        ) : (
          <Sections model={model} isOld={stream.connection === "lost"} />
        )}
      </main>
    </>
  );
}

function Waiting({ connection }: Pick<ClusterStream, "connection">) {
  return (
    <p class="waiting" role="status">
      {connection === "connecting" ? "Asking the coordinator…" : "The coordinator does not answer."}
    </p>
  );
}

/** What is wrong, where something is. Screen readers are told when it changes. */
function Notice({ stream: { connection, heardMs, model } }: { stream: ClusterStream }) {
  const text =
    connection === "lost"
      ? `The coordinator has not answered since ${new Date(heardMs).toLocaleTimeString()}; what is shown is of then. Trying again.`
      : (model?.status.reason ?? "");
  return (
    <div role="status" class={text === "" ? "" : "notice"}>
      {text}
    </div>
  );
}

function Sections({ model, isOld }: { model: ClusterModel; isOld: boolean }) {
  const { status, jobs, events } = model;
  return (
    <div class={isOld ? "old" : ""}>
      <Section id="overview" title="Overview">
        <Tiles model={model} />
        <Charts model={model} />
      </Section>
      <Section id="topology" title="Topology">
        <Topology status={status} />
      </Section>
      <Section id="experts" title="Experts">
        <Experts model={model} />
      </Section>
      <Section id="timeline" title="Steps of each rank">
        <Timeline model={model} />
      </Section>
      <Section id="jobs" title="Jobs">
        <Table
          label="List of jobs"
          head={["Job", "State", "Requests", "Finished", "Failed", "Output tokens", "Created", "Why it waits"]}
          rows={(jobs ?? []).map((job) => [
            job.jobId,
            job.state,
            formatCount(job.numRequests),
            `${formatCount(job.numFinished)} (${formatPercent(job.numRequests === 0 ? 0 : job.numFinished / job.numRequests)})`,
            formatCount(job.numFailed),
            formatCount(job.numOutputTokens),
            new Date(job.createdUnixMs).toLocaleString(),
            job.reason || "–",
          ])}
          empty={
            jobs === null
              ? "This cluster keeps no jobs now."
              : "No job has been submitted: moesaic jobs submit FILE.jsonl."
          }
        />
      </Section>
      <Section id="events" title="Events">
        <Table
          label="List of events"
          head={["Event", "At", "Replica", "Rank", "Host", "More"]}
          rows={events.map(({ atMs, event: { name, ...fields } }) => {
            const { replicaId, rank, hostId, ...more } = fields as Record<string, string | number>;
            const rest = Object.entries(more).map(([key, value]) => `${key} ${value}`);
            const text = (value: string | number | undefined): string => (value === undefined ? "–" : String(value));
            return [
              name.replaceAll("_", " "),
              new Date(atMs).toLocaleTimeString(),
              text(replicaId),
              text(rank),
              text(hostId).split("/")[0]!,
              rest.join(", ") || "–",
            ];
          })}
          empty="Nothing has happened yet."
        />
      </Section>
      <Section id="playground" title="Chat">
        <Playground modelName={status.model} isReady={!isOld && status.state === "ready"} />
      </Section>
    </div>
  );
}

function Section({ id, title, children }: { id: string; title: string; children: ComponentChildren }) {
  return (
    <section id={id} aria-labelledby={`${id}-title`} tabIndex={-1}>
      <h2 id={`${id}-title`}>{title}</h2>
      {children}
    </section>
  );
}
