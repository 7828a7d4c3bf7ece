import { batchCommand } from "./bench-batch.js";
import { calibrateCommand } from "./bench-calibrate.js";
import { commCommand } from "./bench-comm.js";
import { kernelsCommand } from "./bench-kernels.js";
import { kvCommand } from "./bench-kv.js";
import { latencyCommand } from "./bench-latency.js";
import { loadCommand } from "./bench-load.js";
import { throughputCommand } from "./bench-throughput.js";
import { traceCommand } from "./bench-trace.js";
import { defineGroup } from "./command.js";

export const benchCommand = defineGroup("bench", "measure, with results checked in the same run", [
  latencyCommand,
  throughputCommand,
  batchCommand,
  commCommand,
  loadCommand,
  kernelsCommand,
  kvCommand,
  traceCommand,
  calibrateCommand,
]);
