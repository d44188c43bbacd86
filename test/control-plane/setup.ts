import { controlPlanePrograms } from "./programs.ts";

/** Runs before the first test file: building takes longer than a test's time limit. */
export default function setup(): void {
  controlPlanePrograms();
}
