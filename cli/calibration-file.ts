import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseCalibration, type Calibration } from "../plans/calibration.js";
import { text } from "./options.js";
import { readTextFile } from "./text-file.js";

/** Calibrations that come with the program, by name. */
const MACHINES_DIR = fileURLToPath(new URL("../../plans/machines/", import.meta.url));

export const CALIBRATION_OPTION = {
  calibration: text(`file that bench calibrate wrote, or a machine that is known: ${knownMachines().join(", ")}`),
} as const;

export function knownMachines(): string[] {
  return readdirSync(MACHINES_DIR)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .toSorted();
}

/** @throws MoesaicError not_found, or invalid_argument where it is none */
export async function readCalibration(name: string): Promise<Calibration> {
  const isKnown = knownMachines().includes(name) && !existsSync(name);
  const file = isKnown ? `${MACHINES_DIR}${name}.json` : name;
  return parseCalibration(await readTextFile(file, "a calibration file, or the name of a known machine"), file);
}
