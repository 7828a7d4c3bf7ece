import { after, it } from "node:test";
import type { BusFixture } from "./bus-fixture.js";
import { describeBus } from "./bus-suite.js";
import { describeCluster } from "./cluster-suite.js";
import { ContainerEngine } from "./container-engine.js";
import { NatsContainer } from "./nats-container.js";
import { findNatsServer, NO_NATS_SERVER } from "./nats-server.js";

const container = await startContainer();
if (typeof container === "string") {
  it("a NATS server in a container keeps the same promises", { skip: container }, () => {});
} else {
  const { fixture, end } = container;
  after(end);
  // One container for both suites, ended after them.
  const borrowed: BusFixture = { connect: () => fixture.connect(), end: async () => {} };
  describeBus("nats-server in a container", async () => borrowed);
  describeCluster("nats-server in a container", async () => borrowed);
}

/** Or the reason why not. */
async function startContainer(): Promise<{ fixture: BusFixture; end: () => Promise<void> } | string> {
  const program = findNatsServer();
  if (program === null) return NO_NATS_SERVER;
  let engine: ContainerEngine | null = null;
  try {
    engine = await ContainerEngine.start();
    const started = engine;
    const fixture = await NatsContainer.start(program);
    return {
      fixture,
      end: async () => {
        await fixture.end();
        await started.end();
      },
    };
  } catch (caught) {
    await engine?.end();
    return `no container engine can start here: ${(caught as Error).message.split("\n")[0]}`;
  }
}
