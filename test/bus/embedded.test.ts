import { EmbeddedBroker } from "../../proto/bus/embedded-bus.js";
import type { BusFixture } from "./bus-fixture.js";
import { describeBus } from "./bus-suite.js";
import { describeCluster } from "./cluster-suite.js";
import { describeOutages } from "./outage-suite.js";

describeBus("embedded", startBroker);
describeCluster("embedded", startBroker);
describeOutages("embedded", startBroker);

async function startBroker(): Promise<BusFixture> {
  const broker = new EmbeddedBroker();
  return {
    connect: async () => broker.connect(),
    takeAway: async () => broker.stop(),
    bringBack: async () => broker.start(),
    end: async () => {},
  };
}
