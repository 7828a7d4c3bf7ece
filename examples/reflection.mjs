// Any gRPC client can use the cluster. This one knows nothing of it: it asks the server for the contract of a service (gRPC server
// reflection, as grpcurl does), and calls a method by what it was told.
import * as grpc from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer, loadSync } from "@grpc/proto-loader";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import protobuf from "protobufjs";

const endpoint = process.env.MOESAIC_ENDPOINT ?? "127.0.0.1:50051";
const credentials = grpc.credentials.createInsecure();

const folder = dirname(createRequire(import.meta.url).resolve("@grpc/reflection/package.json"));
const reflection = loadSync(join(folder, "build/proto/grpc/reflection/v1/reflection.proto"), { keepCase: true });
const Reflection = grpc.makeClientConstructor(reflection["grpc.reflection.v1.ServerReflection"], "ServerReflection");
const reflector = new Reflection(endpoint, credentials);
const asking = reflector.ServerReflectionInfo();
asking.on("error", () => {});
asking.write({ file_containing_symbol: "moesaic.v1.Inference" });
const [{ file_descriptor_response: files }] = await once(asking, "data");
asking.end();
reflector.close();

// The files as one FileDescriptorSet: field 1, repeated.
const set = protobuf.Writer.create();
for (const file of files.file_descriptor_proto) set.uint32(10).bytes(file);
const contract = loadFileDescriptorSetFromBuffer(Buffer.from(set.finish()), { keepCase: true, longs: Number });
const Inference = grpc.makeClientConstructor(contract["moesaic.v1.Inference"], "Inference");
const inference = new Inference(endpoint, credentials);
process.stdout.write(`methods: ${Object.keys(contract["moesaic.v1.Inference"]).join(", ")}\n`);
const stream = inference.Generate({ prompt: "The capital of France is", sampling: { temperature: 0, max_tokens: 3 } });
for await (const { delta } of stream) {
  for (const { text } of delta?.text ?? []) process.stdout.write(text);
}
process.stdout.write("\n");
inference.close();
