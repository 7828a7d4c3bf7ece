import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getContainerRuntimeClient } from "testcontainers";
import { until } from "./bus-fixture.js";

/**
 * The container engine for testcontainers: the one that DOCKER_HOST or Docker's socket names, else podman as a service
 * of our own. testcontainers reads the environment once, so only one of them is tried.
 */
export class ContainerEngine {
  readonly #service: ChildProcess | null;
  readonly #folder: string | null;

  private constructor(service: ChildProcess | null, folder: string | null) {
    this.#service = service;
    this.#folder = folder;
  }

  /** @throws Error that says why none can start */
  static async start(): Promise<ContainerEngine> {
    // Its helper container would have to come from a registry; what we start we end ourselves.
    process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true";
    const isNamed = process.env["DOCKER_HOST"] !== undefined || existsSync("/var/run/docker.sock");
    if (!isNamed && !hasPodman()) throw new Error("Docker and podman are absent");
    const engine = isNamed ? new ContainerEngine(null, null) : ContainerEngine.#ofPodman();
    try {
      await engine.#untilListening();
      await getContainerRuntimeClient();
    } catch (caught) {
      await engine.end();
      throw caught;
    }
    return engine;
  }

  static #ofPodman(): ContainerEngine {
    const folder = mkdtempSync(join(tmpdir(), "moesaic-podman-"));
    const configuration = join(folder, "containers.conf");
    writeFileSync(configuration, PODMAN_CONFIGURATION);
    const socket = join(folder, SOCKET);
    const service = spawn("podman", ["system", "service", "--time=0", `unix://${socket}`], {
      stdio: "ignore",
      env: { ...process.env, CONTAINERS_CONF: configuration },
    });
    process.env["DOCKER_HOST"] = `unix://${socket}`;
    return new ContainerEngine(service, folder);
  }

  async #untilListening(): Promise<void> {
    const folder = this.#folder;
    if (folder !== null) await until("podman listens", () => existsSync(join(folder, SOCKET)), 10_000);
  }

  async end(): Promise<void> {
    const service = this.#service;
    if (service !== null && service.exitCode === null && service.signalCode === null) {
      const gone = once(service, "exit");
      service.kill("SIGTERM");
      await gone;
    }
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true });
  }
}

function hasPodman(): boolean {
  return spawnSync("podman", ["--version"]).error === undefined;
}

/** What a machine needs that is itself a container: no higher limits than its own, no systemd, no journal. */
const PODMAN_CONFIGURATION = `
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`;

const SOCKET = "podman.sock";
