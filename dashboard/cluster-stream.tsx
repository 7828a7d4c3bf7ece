import { useEffect, useRef, useState } from "preact/hooks";
import type { ClusterView } from "../coordinator/dashboard/cluster-view.js";
import { mergeView, type ClusterModel } from "./cluster-model.js";

/** The coordinator sends a view a second; after so much silence it is gone, milliseconds. */
const SILENCE_MS = 6_000;
const CHECK_MS = 1_000;
const RETRY_MS = 2_000;

export interface ClusterStream {
  /** connecting: nothing came yet. lost: what is shown is old, and it is tried again. */
  connection: "connecting" | "live" | "lost";
  /** When the last view came, by this browser's clock; 0: none did. */
  heardMs: number;
  model: ClusterModel | null;
}

/** The cluster as it is, for as long as the page is open. While `isPaused` the last model stays, and views are still taken. */
export function useCluster(isPaused: boolean): ClusterStream {
  const [stream, setStream] = useState<ClusterStream>({ connection: "connecting", heardMs: 0, model: null });
  const latest = useRef(stream);
  const paused = useRef(isPaused);
  paused.current = isPaused;
  useEffect(() => {
    const show = (changes: Partial<ClusterStream>): void => {
      latest.current = { ...latest.current, ...changes };
      const { model, ...rest } = latest.current;
      setStream((shown) =>
        paused.current && shown.model !== null ? { ...rest, model: shown.model } : { ...rest, model },
      );
    };
    return subscribe(
      (view) => show({ connection: "live", heardMs: Date.now(), model: mergeView(latest.current.model, view) }),
      () => show({ connection: latest.current.heardMs === 0 ? "connecting" : "lost" }),
    );
  }, []);
  useEffect(() => setStream(latest.current), [isPaused]);
  return stream;
}

/** @returns a function that ends it */
function subscribe(onView: (view: ClusterView) => void, onLost: () => void): () => void {
  let source: EventSource;
  let heardMs = 0;
  let retryMs = Infinity;
  const open = (): void => {
    retryMs = Infinity;
    heardMs = Date.now();
    source = new EventSource("watch");
    source.addEventListener("message", ({ data }: MessageEvent<string>) => {
      heardMs = Date.now();
      onView(JSON.parse(data) as ClusterView);
    });
    // The browser's own retry stops for good at an answer that is no stream, such as a proxy's.
    source.addEventListener("error", lose);
  };
  const lose = (): void => {
    source.close();
    retryMs = Date.now() + RETRY_MS;
    onLost();
  };
  open();
  const timer = setInterval(() => {
    if (Date.now() >= retryMs) open();
    else if (retryMs === Infinity && Date.now() - heardMs > SILENCE_MS) lose();
  }, CHECK_MS);
  return () => {
    clearInterval(timer);
    source.close();
  };
}
