import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { addReflection } from "./reflection.js";

interface Answer {
  list_services_response?: { service: { name: string }[] };
  file_descriptor_response?: { file_descriptor_proto: Buffer[] };
  error_response?: { error_code: number };
}

/** What a tool does that knows nothing of us: it asks over the wire. */
describe("addReflection", () => {
  const server = new grpc.Server();
  let client: grpc.Client & Record<string, () => grpc.ClientDuplexStream<object, Answer>>;

  before(async () => {
    addReflection(server, ["moesaic.v1.Inference", "moesaic.v1.Cluster"]);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    const folder = dirname(createRequire(import.meta.url).resolve("@grpc/reflection/package.json"));
    const proto = loadSync(join(folder, "build/proto/grpc/reflection/v1/reflection.proto"), { keepCase: true });
    const definition = proto["grpc.reflection.v1.ServerReflection"] as grpc.ServiceDefinition;
    const Client = grpc.makeGenericClientConstructor(definition, "ServerReflection");
    client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure()) as unknown as typeof client;
  });

  after(() => {
    client.close();
    server.forceShutdown();
  });

  async function ask(question: object): Promise<Answer> {
    const call = client["ServerReflectionInfo"]!();
    call.on("error", () => {}); // Its end at the end of the test.
    call.write(question);
    const [answer] = (await once(call, "data")) as [Answer];
    call.end();
    return answer;
  }

  it("lists the services that are served", async () => {
    const { list_services_response: list } = await ask({ list_services: "" });
    assert.deepEqual(list!.service.map(({ name }) => name).toSorted(), ["moesaic.v1.Cluster", "moesaic.v1.Inference"]);
  });

  it("has the contract of a method, and says so of what it does not know", async () => {
    const { file_descriptor_response: files } = await ask({ file_containing_symbol: "moesaic.v1.Inference" });
    assert.ok(Buffer.concat(files!.file_descriptor_proto).includes("resume_after_offset"));
    const { error_response: error } = await ask({ file_containing_symbol: "moesaic.v1.Nothing" });
    assert.equal(error!.error_code, grpc.status.NOT_FOUND);
  });
});
