import { dirname } from "node:path";
import type { KernelInfo, PackageInfo, SurveyedKernel } from "../native/binding.js";
import { native, packagePath } from "../native/index.js";
import { countKernels, kernelText, opsText, refusalText, type BoundKernel } from "../plans/bound-kernels.js";
import { checkSupported, kernelPackagesOf, withDevices, type ClusterSpec } from "../plans/cluster-spec.js";
import { engineChoicesOf, type EngineChoice } from "../plans/engine-choices.js";
import { renderSection } from "../plans/text-table.js";
import { MoesaicError } from "../proto/errors.js";
import { defineCommand, defineGroup } from "./command.js";
import { engineOptionsOf } from "./explained-plan.js";
import { firstRankProgram } from "./first-rank.js";
import { findPackages, PROBE_MODEL, type FoundPackage } from "./kernel-packages.js";
import { clusterOfFlags, DUMMY_OPTION, inTermsOfFlags, LAYOUT_OPTIONS } from "./layout-flags.js";
import { JSON_OPTION } from "./options.js";
import { readClusterSpec } from "./text-file.js";
import { thisMachine } from "./this-machine.js";

const listCommand = defineCommand({
  usage: "list",
  describe: "kernel packages that are there, and what each kernel can do on this machine's devices",
  options: JSON_OPTION,
  examples: [["kernels list", "which kernels run here, and why others do not"]],
  parse: () => null,
  async run(_, { out, json }) {
    const packages = await findPackages();
    if (json) for (const found of packages) await out.json(packageJson(found));
    else await out.write(`${[devicesText(), ...packages.map(packageText)].join("\n\n")}\n`);
    return 0;
  },
});

const explainCommand = defineCommand({
  usage: "explain [file]",
  describe: "which kernel computes each op of a cluster's first rank, what was refused before it, and why so",
  positionals: { file: { describe: "cluster file" } },
  options: { ...LAYOUT_OPTIONS, ...DUMMY_OPTION, ...JSON_OPTION },
  examples: [
    ["kernels explain --dummy gpt-oss-20b", "of a model that is not here"],
    ["kernels explain cluster.yaml --json", "of a cluster file, for scripts"],
  ],
  parse: (args, { file }) => {
    const given = [file, args.model, args.dummy].filter((value) => value !== undefined);
    if (given.length !== 1) {
      throw new MoesaicError("invalid_argument", "expected one of a cluster file, --model DIR and --dummy gpt-oss-20b");
    }
    return file === undefined ? { spec: clusterOfFlags(args) } : { file: String(file) };
  },
  async run({ spec, file }, { out, json }) {
    const cluster = spec ?? (await readClusterSpec(file));
    const baseDir = file === undefined ? "." : dirname(file);
    const explained = await explainKernels(cluster, baseDir).catch((error: unknown) => {
      throw inTermsOfFlags(error);
    });
    await (json ? out.json(explanationJson(explained)) : out.write(explanationText(explained)));
    return 0;
  },
});

export const kernelsCommand = defineGroup("kernels", "look at kernel packages and at what they are chosen for", [
  listCommand,
  explainCommand,
]);

// ---- explain -------------------------------------------------------------------------------------------------------

interface KernelsExplanation {
  model: string;
  worldSize: number;
  choices: EngineChoice[];
  packages: PackageInfo[];
  /** Of the program, then those that the engine runs beside it. */
  kernels: (BoundKernel & { count: number })[];
}

async function explainKernels(written: ClusterSpec, baseDir: string): Promise<KernelsExplanation> {
  const machine = thisMachine();
  const cluster = withDevices(written, machine);
  checkSupported(cluster);
  const program = await firstRankProgram(cluster, baseDir);
  const { kernels, engineKernels } = native.describeProgram(program, engineOptionsOf(cluster));
  return {
    model: cluster.spec.servedModelName,
    worldSize: program.worldSize,
    choices: engineChoicesOf(written, cluster, machine),
    packages: kernelPackagesOf(cluster).map((name) => native.openPackage(packagePath(name))),
    kernels: countKernels([...kernels, ...engineKernels]),
  };
}

function explanationJson({ model, worldSize, choices, packages, kernels }: KernelsExplanation): unknown {
  const described = packages.map(({ name, version, abiVersion, path }) => ({
    name,
    version,
    abi_version: abiVersion,
    path,
  }));
  return { model, rank: 0, world_size: worldSize, choices, packages: described, kernels };
}

function explanationText({ model, worldSize, choices, packages, kernels }: KernelsExplanation): string {
  const sections = [
    `${model}: kernels of rank 0 of ${worldSize}`,
    renderSection(
      "Chosen",
      choices.map(({ name, value, why }) => [name, value, why]),
    ),
    renderSection(
      "Packages, in order of preference",
      packages.map((one) => [one.name, one.version, `ABI ${one.abiVersion}`, one.path]),
    ),
    renderSection("Kernels, and what was refused before them", kernels.flatMap(kernelLines)),
  ];
  return `${sections.join("\n\n")}\n`;
}

/** A line of the kernel, and one for each refusal. */
function kernelLines(row: BoundKernel & { count: number }): string[][] {
  const [first = "", ...others] = row.refused.map(refusalText);
  return [[opsText(row), kernelText(row), `x ${row.count}`, first], ...others.map((reason) => ["", "", "", reason])];
}

// ---- list ----------------------------------------------------------------------------------------------------------

function devicesText(): string {
  const { name, features } = native.deviceProperties();
  const { devices, missing } = native.cudaDevices();
  const gpu = missing ?? devices.map((device) => device.name).join("; ");
  const rows = [
    ["cpu", `${name}, ${features.join(" ")}`],
    ["cuda", gpu],
  ];
  return renderSection(`Devices; kernels were asked about the shapes of ${PROBE_MODEL}`, rows);
}

function packageText(found: FoundPackage): string {
  if (!found.isUsable) return `${found.name}: cannot be used: ${found.why}`;
  const { name, version, abiVersion, path, kernels } = found;
  return renderSection(
    `${name} ${version}, ABI ${abiVersion}, ${path}`,
    kernels.map((kernel) => [kernel.kernel, opsText(kernel), verdictOf(kernel)]),
  );
}

function verdictOf({ state, reason }: SurveyedKernel): string {
  if (state === "runs") return "runs";
  return state === "unused" ? "not asked: no op of the shapes is of its kind" : `no: ${reason}`;
}

function packageJson(found: FoundPackage): unknown {
  if (!found.isUsable) return { package: found.name, path: found.path, usable: false, reason: found.why };
  const { name, version, abiVersion, path } = found;
  const kernels = found.kernels.map(({ kernel, ops, state, reason }): KernelInfo & Record<string, unknown> => {
    return { name: kernel, ops, state, reason };
  });
  return { package: name, path, usable: true, version, abi_version: abiVersion, kernels };
}
