import { it } from "node:test";
import { describeBus } from "./bus-suite.js";
import { describeCluster } from "./cluster-suite.js";
import { findNatsServer, NatsServer, NO_NATS_SERVER } from "./nats-server.js";
import { describeOutages } from "./outage-suite.js";
import { describeServer } from "./server-suite.js";

const program = findNatsServer();
if (program === null) {
  it("a nats-server process keeps the same promises", { skip: NO_NATS_SERVER }, () => {});
} else {
  const start = (): Promise<NatsServer> => NatsServer.start(program);
  describeBus("nats-server process", start);
  describeCluster("nats-server process", start);
  describeOutages("nats-server process", start);
  describeServer(program);
}
