import { controlPlanePrograms } from "./programs.ts";

/** Before the first file of the layer: building takes longer than a test may. */
export default function setup(): void {
  controlPlanePrograms();
}
