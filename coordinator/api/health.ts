import type { Server } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";

/** The standard health service. Who watches is told of changes alone, as its contract says; the library tells of every call. */
export class Health {
  readonly #service = new HealthImplementation({ "": "NOT_SERVING" });
  #isServing = false;

  addTo(server: Server): void {
    this.#service.addToServer(server);
  }

  set(isServing: boolean): void {
    if (isServing === this.#isServing) return;
    this.#isServing = isServing;
    this.#service.setStatus("", isServing ? "SERVING" : "NOT_SERVING");
  }
}
