import { commCommand } from "./bench-comm.js";
import { kernelsCommand } from "./bench-kernels.js";
import { latencyCommand } from "./bench-latency.js";
import { throughputCommand } from "./bench-throughput.js";
import { defineGroup } from "./command.js";

export const benchCommand = defineGroup("bench", "measure, with results checked in the same run", [
  latencyCommand,
  throughputCommand,
  commCommand,
  kernelsCommand,
]);
