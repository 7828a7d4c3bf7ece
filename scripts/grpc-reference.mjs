// The reference of the gRPC API, as Markdown, out of the comments in the .proto files.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";

/** What clients call; the service Rank is between coordinator and workers, and may change with any version. */
const FILES = ["inference.proto", "cluster.proto"];
const SERVICES = ["Inference", "Jobs", "Cluster"];

const HEAD = `# gRPC, in full

<!-- Made by scripts/build-api-reference.mjs of the comments in proto/moesaic/v1/: change those, then \`npm run api\`. -->

The package \`moesaic.v1\`, on the address \`spec.api.grpc\` of a cluster (127.0.0.1:50051 by default). The client of the npm package
speaks it ([api.md](api.md)); so does any other that is made of the
[.proto files](../proto/moesaic/v1/inference.proto), or that asks the server for them: it has reflection. The standard health service
\`grpc.health.v1.Health\` follows \`/readyz\`: \`Check\` says SERVING or NOT_SERVING of the whole server, \`Watch\` each change.

<!-- not run: needs grpcurl -->

\`\`\`sh
grpcurl -plaintext 127.0.0.1:50051 describe moesaic.v1.Inference
grpcurl -plaintext -d '{"prompt": "Once upon a time", "sampling": {"max_tokens": 8}}' 127.0.0.1:50051 moesaic.v1.Inference/Generate
\`\`\`

Fields that are \`optional\` tell absent from 0; of all others the default is 0, empty or false, and means what their comment says. Fields
that are unknown to the server are ignored, as protobuf has it.

| Metadata | Means |
|---|---|
| \`moesaic-tenant\` | on whose account the call runs |
| \`traceparent\`, \`tracestate\` | the trace that it is part of (W3C) |

| Status | Code in our errors | Means |
|---|---|---|
| INVALID_ARGUMENT | \`invalid_argument\` | what was sent is wrong; the text says what was expected, the trailing metadata \`moesaic-place-bin\` where |
| NOT_FOUND | \`not_found\` | there is no such model, request, job or replica |
| FAILED_PRECONDITION | \`failed_precondition\` | the call makes no sense as things are, or its caller may not make it |
| RESOURCE_EXHAUSTED | \`resource_exhausted\` | a queue or a limit is full; the trailing metadata \`moesaic-retry-after-ms\` says when to come back, where that is known |
| UNAVAILABLE | \`unavailable\` | not ready, draining, or ranks were lost; try again |
| DEADLINE_EXCEEDED | \`deadline_exceeded\` | the call's deadline has passed; what it ran has ended |
| CANCELLED | \`cancelled\` | the caller left, or somebody cancelled the request |
| UNIMPLEMENTED | \`unimplemented\` | not there, or not yet |
| INTERNAL | \`internal\` | a fault of the server |

A connection has at most 1,024 calls at once, more wait at the client. It is asked for a sign of life after every 20 seconds, given up where
none comes within 10, and closed after 30 minutes without a call. A message has at most 256 MiB; a larger one is RESOURCE_EXHAUSTED, and the
connection goes on. A client may ask for signs of life as often as it likes: the server answers, and does not count; who reads no answers is
cut. A call's deadline counts: what runs for it ends then, and its KV blocks are free.
`;

/** @param root folder of the repository */
export function grpcReference(root) {
  const types = new Map();
  const services = new Map();
  for (const file of FILES) {
    const text = readFileSync(join(root, "proto", "moesaic", "v1", file), "utf8");
    const { root: parsed } = protobuf.parse(text, { keepCase: true, alternateCommentMode: true });
    collect(parsed.lookup("moesaic.v1"), types, services);
  }
  const parts = SERVICES.map((name) => serviceSection(services.get(name), types));
  const used = [...types.values()].map((type) => typeSection(type, types));
  return `${HEAD}\n${parts.join("\n")}\n# Messages\n\n${used.join("\n")}`;
}

function collect(namespace, types, services) {
  for (const item of namespace.nestedArray) {
    if (item instanceof protobuf.Service) services.set(item.name, item);
    else if (item instanceof protobuf.Type || item instanceof protobuf.Enum) types.set(nameOf(item), item);
    if (item instanceof protobuf.Type) collect(item, types, services);
  }
}

/** With the message that it stands in. */
function nameOf(item) {
  return item.parent instanceof protobuf.Type ? `${item.parent.name}.${item.name}` : item.name;
}

function serviceSection(service, types) {
  const rows = service.methodsArray.map((method) => {
    const stream = method.responseStream ? "stream of " : "";
    return `| \`${method.name}\` | ${linkTo(method.requestType, types)} | ${stream}${linkTo(method.responseType, types)} | ${cell(method, service)} |`;
  });
  return `## ${service.name}\n\n${paragraph(service.comment)}| Call | Takes | Gives | |\n|---|---|---|---|\n${rows.join("\n")}\n`;
}

function typeSection(type, types) {
  const head = `## ${nameOf(type)}\n\n${paragraph(type.comment)}`;
  if (type instanceof protobuf.Enum) {
    const rows = Object.entries(type.values).map(
      ([name, id]) => `| \`${name}\` | ${id} | ${cell({ name, comment: type.comments[name] }, type)} |`,
    );
    return `${head}| Value | Number | |\n|---|---|---|\n${rows.join("\n")}\n`;
  }
  if (type.fieldsArray.length === 0) return `${head}No fields.\n`;
  const rows = type.fieldsArray.map((field) => {
    field.resolve();
    return `| \`${field.name}\` | ${field.id} | ${typeOf(field, types)} | ${cell(field, type)} |`;
  });
  return `${head}| Field | Number | Type | |\n|---|---|---|---|\n${rows.join("\n")}\n`;
}

function typeOf(field, types) {
  const name = linkTo(field.type, types, field.parent);
  if (field.map) return `map of ${field.keyType} to ${name}`;
  if (field.repeated) return `repeated ${name}`;
  const { partOf } = field;
  if (partOf === null) return name;
  // protobuf makes a group of one of each optional field.
  return partOf.name === `_${field.name}` ? `optional ${name}` : `${name}, one of \`${partOf.name}\``;
}

function linkTo(name, types, within) {
  const known = [within === undefined ? name : `${within.name}.${name}`, name].find((one) => types.has(one));
  return known === undefined ? name : `[${known}](#${known.toLowerCase().replaceAll(".", "")})`;
}

/** A stranger is told what everything is. */
function cell({ name, comment }, within) {
  const text = oneLine(comment);
  if (text === "") throw new Error(`${name} of ${nameOf(within)} has no comment in its .proto file`);
  return text.replaceAll("|", "\\|");
}

function paragraph(comment) {
  const text = oneLine(comment);
  return text === "" ? "" : `${text}\n\n`;
}

function oneLine(comment) {
  return (comment ?? "").replaceAll(/\s+/g, " ").trim();
}
