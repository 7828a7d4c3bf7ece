import { totalmem } from "node:os";
import type { DeviceProperties, PackageInfo } from "../native/binding.js";
import { native, packagePath } from "../native/index.js";
import { MoesaicError } from "../proto/errors.js";
import { PROTOCOL_VERSION } from "../proto/messages.js";
import { defineCommand } from "./command.js";
import { packageVersion } from "./context.js";
import { explainCluster } from "./explained-plan.js";
import { PROBE_MODEL } from "./kernel-packages.js";
import { clusterOfFlags } from "./layout-flags.js";
import { JSON_OPTION } from "./options.js";
import { quickReadBandwidth } from "./read-bandwidth.js";
import { usableGpus } from "./this-machine.js";

/** One thing that was looked at: whether it is well, what there is, and what would make it better. */
interface Finding {
  name: string;
  state: "ok" | "slow" | "missing";
  text: string;
  advice?: string;
}

/** Ops whose time counts: what else a step runs is small beside them. */
const HEAVY_OPS = ["linear", "attention", "experts"];
const PACKAGES = ["cpu", "reference"] as const;

export const doctorCommand = defineCommand({
  usage: "doctor",
  describe: "what this machine can run, why not faster, and what to do about it",
  options: JSON_OPTION,
  examples: [["doctor --json", "for scripts"]],
  parse: () => null,
  async run(_, { out, json }) {
    const findings: Finding[] = [];
    for await (const finding of examine()) {
      findings.push(finding);
      if (!json) await out.line(render(finding));
    }
    const isWell = findings.every(({ name, state }) => state !== "missing" || name === "gpu");
    if (json) await out.json({ ok: isWell, findings });
    return isWell ? 0 : 1;
  },
});

/** Each as it is found: the last ones are measured. */
async function* examine(): AsyncGenerator<Finding> {
  yield versions();
  let device: DeviceProperties;
  try {
    device = native.deviceProperties();
  } catch (caught) {
    const { message } = MoesaicError.from(caught);
    yield { name: "native", state: "missing", text: message, advice: "npx moesaic build" };
    return;
  }
  yield cpu(device);
  yield memory(device);
  for (const name of PACKAGES) yield kernelPackage(name);
  yield gpu();
  yield await kernelsOfOps();
  yield await bandwidth(device);
}

function versions(): Finding {
  const text = `moesaic ${packageVersion()}, protocol ${PROTOCOL_VERSION}, Node.js ${process.version}, ${process.platform} ${process.arch}`;
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return { name: "versions", state: "ok", text };
  return { name: "versions", state: "missing", text, advice: "install Node.js 20.19 or newer" };
}

function cpu({ name, numCores, features }: DeviceProperties): Finding {
  const text = `${name}, ${numCores} cores, ${features.length === 0 ? "no vector extensions that kernels use" : features.join(" ")}`;
  if (features.includes("avx2")) return { name: "cpu", state: "ok", text };
  return { name: "cpu", state: "slow", text, advice: "a processor with AVX2 or AVX-512 runs the fast kernels" };
}

function memory({ memoryBytes }: DeviceProperties): Finding {
  const text = `${gib(memoryBytes)} usable of ${gib(totalmem())}`;
  if (memoryBytes >= totalmem() * 0.95) return { name: "memory", state: "ok", text };
  return {
    name: "memory",
    state: "ok",
    text,
    advice: "a container or ulimit keeps back the rest: raise it for larger models",
  };
}

function kernelPackage(name: string): Finding {
  try {
    const { version, kernels }: PackageInfo = native.openPackage(packagePath(name));
    return {
      name: `kernels/${name}`,
      state: "ok",
      text: `${version}, ${kernels.length} kernels: ${kernels.map((kernel) => kernel.name).join(", ")}`,
    };
  } catch (caught) {
    const { message } = MoesaicError.from(caught);
    return { name: `kernels/${name}`, state: "missing", text: message, advice: "npm run build" };
  }
}

/** Which kernel serves each op here; a heavy op that only the reference serves is what makes this machine slow. */
async function kernelsOfOps(): Promise<Finding> {
  try {
    const { json } = await explainCluster(clusterOfFlags({ dummy: PROBE_MODEL }), ".", []);
    const served = json.kernels.map((row) => ({
      ops: row.ops.join(" + "),
      by: `${row.package}/${row.kernel}`,
      package: row.package,
    }));
    const text = served.map(({ ops, by }) => `${ops}: ${by}`).join("; ");
    const isHeavy = (ops: string) => HEAVY_OPS.some((op) => ops.includes(op));
    const slow = served.filter((row) => row.package === "reference" && isHeavy(row.ops)).map(({ ops }) => ops);
    if (slow.length === 0) return { name: "ops", state: "ok", text };
    return {
      name: "ops",
      state: "slow",
      text,
      advice: `only reference kernels serve ${slow.join(", ")} on this processor`,
    };
  } catch (caught) {
    return { name: "ops", state: "missing", text: MoesaicError.from(caught).describe(), advice: "npm run build" };
  }
}

async function bandwidth({ numCores }: DeviceProperties): Promise<Finding> {
  const [one, all] = [await quickReadBandwidth(1), await quickReadBandwidth(numCores)];
  const text = `about ${gb(all)} read by ${numCores} threads, ${gb(one)} by one: decoding is bound by this`;
  return { name: "memory bandwidth", state: "ok", text };
}

function gpu(): Finding {
  const { devices, missing } = native.cudaDevices();
  if (missing !== null) return { name: "gpu", state: "missing", text: missing, advice: "models run on the CPU" };
  const text = devices
    .map(({ name, computeCapability, numMultiprocessors, memoryBytes }) => {
      const version = `${Math.floor(computeCapability / 10)}.${computeCapability % 10}`;
      return `${name}, compute capability ${version}, ${numMultiprocessors} multiprocessors, ${gib(memoryBytes)}`;
    })
    .join("; ");
  const { missing: unusable } = usableGpus();
  if (unusable !== null) return { name: "gpu", state: "missing", text, advice: `${unusable}; models run on the CPU` };
  return { name: "gpu", state: "ok", text };
}

function render({ name, state, text, advice }: Finding): string {
  return `${state.padEnd(7)}  ${name}: ${text}${advice === undefined ? "" : `\n         -> ${advice}`}`;
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function gb(bytesPerSecond: number): string {
  return `${(bytesPerSecond / 1e9).toFixed(1)} GB/s`;
}
