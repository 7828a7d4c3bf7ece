import type { EngineOptions, PackageInfo, SurveyedKernel } from "../native/binding.js";
import { installedPackages, native, packagePath } from "../native/index.js";
import { MoesaicError } from "../proto/errors.js";
import { engineOptionsOf } from "./explained-plan.js";
import { firstRankProgram } from "./first-rank.js";
import { clusterOfFlags, type LayoutArguments } from "./layout-flags.js";

/** A shape with both kinds of layers: what serves it serves every gpt-oss. */
export const PROBE_MODEL = "gpt-oss-20b:2";
/** Programs that have, together, every op that a step can have: alone, of two ranks, and with experts stored as bf16. */
const PROBES: readonly Partial<LayoutArguments>[] = [{}, { tp: 2 }, { dequantize: true }];
/** Of several answers about a kernel the best counts. */
const BEST_FIRST = ["runs", "refused", "other_device", "unsupported", "unused"] as const;

/** A library that is beside the addon under the name of a kernel package. */
export type FoundPackage =
  | ({ isUsable: true; kernels: SurveyedKernel[] } & Omit<PackageInfo, "kernels">)
  | { isUsable: false; name: string; path: string; why: string };

/** Every package that is there, and what its kernels could do on this machine's devices. */
export async function findPackages(): Promise<FoundPackage[]> {
  const opened = installedPackages().map(openPackage);
  const usable = opened.filter((one): one is PackageInfo => "kernels" in one);
  const surveyed = await survey(usable.map(({ path }) => path));
  return opened.map((one) => {
    if (!("kernels" in one)) return { isUsable: false, ...one };
    return { isUsable: true, ...one, kernels: surveyed.filter((kernel) => kernel.package === one.name) };
  });
}

function openPackage(name: string): PackageInfo | { name: string; path: string; why: string } {
  const path = packagePath(name);
  try {
    return native.openPackage(path);
  } catch (caught) {
    return { name, path, why: MoesaicError.from(caught).message };
  }
}

/** Asks about each program on the CPU, and on the GPU in both precisions where there is one. */
async function survey(packages: string[]): Promise<SurveyedKernel[]> {
  const answers: SurveyedKernel[][] = [];
  const hasGpu = native.cudaDevices().devices.length > 0;
  for (const flags of PROBES) {
    const cluster = clusterOfFlags({ dummy: PROBE_MODEL, device: "cpu", ...flags });
    const program = await firstRankProgram(cluster, ".");
    const options = { ...engineOptionsOf(cluster), packages };
    answers.push(native.surveyKernels(program, options));
    if (!hasGpu) continue;
    const gpu: EngineOptions = { ...options, device: "cuda" };
    answers.push(native.surveyKernels(program, gpu));
    for (const deterministic of [false, true]) {
      answers.push(native.surveyKernels({ ...program, precision: "fast" }, { ...gpu, deterministic }));
    }
  }
  const [first = []] = answers;
  return first.map((_, index) => bestOf(answers.map((list) => list[index]!)));
}

function bestOf(answers: readonly SurveyedKernel[]): SurveyedKernel {
  for (const state of BEST_FIRST) {
    const found = answers.find((answer) => answer.state === state);
    if (found !== undefined) return found;
  }
  throw new MoesaicError("internal", "a kernel was asked about nothing");
}
