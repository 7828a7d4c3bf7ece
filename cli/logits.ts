import type { MoesaicClient } from "../client/client.js";
import type { GenerateRequest } from "../client/generate-request.js";
import { MoesaicError } from "../proto/errors.js";
import { defineCommand, type ExitCode } from "./command.js";
import type { CommandContext } from "./context.js";
import { LAYOUT_OPTIONS, targetOf } from "./layout-flags.js";
import { withCluster } from "./local-cluster.js";
import { ENDPOINT_OPTION, JSON_OPTION, text } from "./options.js";
import { INPUT_OPTIONS, readRequests } from "./request-input.js";
import { SafetensorsWriter } from "./safetensors-writer.js";

export const logitsCommand = defineCommand({
  usage: "logits",
  describe: "write the logits after every token of prompts, to check fidelity from outside",
  options: {
    ...ENDPOINT_OPTION,
    ...LAYOUT_OPTIONS,
    ...INPUT_OPTIONS,
    out: { ...text("safetensors file: float32 tensors logits.<i> of [tokens, vocabulary]"), demandOption: true },
    ...JSON_OPTION,
  },
  examples: [["logits --model DIR --tokens 1,2,3 --out logits.safetensors", "one prompt: tensor logits.0"]],
  parse: async (args) => ({
    target: targetOf(args, ["endpoint", "model"]),
    requests: (await readRequests(args, {})).map(({ request }) => request),
    file: args.out,
  }),
  run: ({ target, requests, file }, context) =>
    withCluster(target, context, (client) => writeLogits(client, requests, file, context)),
});

async function writeLogits(
  client: MoesaicClient,
  requests: readonly GenerateRequest[],
  file: string,
  { signal, out, json }: CommandContext,
): Promise<ExitCode> {
  const [model] = await client.listModels({ signal });
  if (model === undefined) throw new MoesaicError("failed_precondition", "the cluster serves no model");
  const prompts: number[][] = [];
  for (const request of requests) prompts.push(await promptTokenIds(client, request, signal));
  const tensors = prompts.map((prompt, index) => ({
    name: `logits.${index}`,
    shape: [prompt.length, model.vocabSize],
  }));
  const writer = await SafetensorsWriter.create(file, tensors);
  try {
    for (const [index, prompt] of prompts.entries()) {
      for await (const rows of client.logits(prompt, { signal })) {
        await writer.write(`logits.${index}`, rows.firstPosition * rows.vocabSize, rows.values);
      }
    }
    await writer.finish();
  } catch (caught) {
    await writer.abandon();
    throw caught;
  }
  const text = tensors.map(({ name, shape }) => `${name} [${shape.join(", ")}]`).join(", ");
  await (json ? out.json({ file, tensors }) : out.line(`${file}: ${text}`));
  return 0;
}

async function promptTokenIds(client: MoesaicClient, request: GenerateRequest, signal: AbortSignal): Promise<number[]> {
  if ("tokenIds" in request) return [...request.tokenIds];
  return client.tokenize("prompt" in request ? { text: request.prompt } : request, { signal });
}
