import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { GenericContainer, Wait, type StartedTestContainer } from "testcontainers";
import type { Bus } from "../../proto/bus/bus.js";
import { connectNatsBus } from "../../proto/bus/nats-bus.js";
import { silentLogger } from "../../proto/log.js";
import type { BusFixture } from "./bus-fixture.js";

/** A NATS server behind a container's network, in an image made of this machine's own nats-server: no registry. */
export class NatsContainer implements BusFixture {
  readonly #container: StartedTestContainer;

  private constructor(container: StartedTestContainer) {
    this.#container = container;
  }

  static async start(program: string): Promise<NatsContainer> {
    const context = mkdtempSync(join(tmpdir(), "moesaic-image-"));
    try {
      writeContext(context, program);
      const image = await GenericContainer.fromDockerfile(context).build("localhost/moesaic-test-nats:latest");
      const container = image
        .withExposedPorts(PORT)
        .withWaitStrategy(Wait.forLogMessage("Server is ready"))
        .withStartupTimeout(30_000);
      return new NatsContainer(await container.start());
    } finally {
      rmSync(context, { recursive: true, force: true });
    }
  }

  connect(): Promise<Bus> {
    const url = `nats://${this.#container.getHost()}:${this.#container.getMappedPort(PORT)}`;
    return connectNatsBus({ url, credentialsFile: null, clientName: "test" }, silentLogger);
  }

  async end(): Promise<void> {
    await this.#container.stop({ timeout: 1000 });
  }
}

/** The program at the root, and the libraries it is linked to where it looks for them. */
function writeContext(context: string, program: string): void {
  const root = join(context, "root");
  mkdirSync(join(root, "tmp"), { recursive: true });
  copyFileSync(realpathSync(program), join(root, "nats-server"));
  for (const library of librariesOf(program)) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    copyFileSync(realpathSync(library), join(root, library));
  }
  writeFileSync(
    join(context, "Dockerfile"),
    `FROM scratch\nCOPY root/ /\nENTRYPOINT ["/nats-server", "-a", "0.0.0.0", "-p", "${PORT}", "-js", "-sd", "/tmp"]\n`,
  );
}

/** None for a static program, of which ldd says so by failing. */
function librariesOf(program: string): string[] {
  try {
    const listed = execFileSync("ldd", [program], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return [...listed.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!);
  } catch {
    return [];
  }
}

const PORT = 4222;
