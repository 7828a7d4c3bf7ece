import type { Server } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { fileURLToPath } from "node:url";

/** The contract as it is published, beside the folder that the compiled files are in. */
const PROTO_DIR = fileURLToPath(new URL("../../../proto/moesaic/v1", import.meta.url));
const FILES = ["inference", "cluster", "rank"].map((name) => `${name}.proto`);

/** Lets tools such as grpcurl ask for the contract (gRPC server reflection, v1 and v1alpha). @param services those that are served */
export function addReflection(server: Server, services: readonly string[]): void {
  const contract = loadSync(FILES, { includeDirs: [PROTO_DIR], keepCase: true, longs: Number });
  new ReflectionService(contract, { services: [...services] }).addToServer(server);
}
