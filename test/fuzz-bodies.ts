import * as fc from "fast-check";

/** Where bodies are posted to, with one that is good: it is what gets bent. */
const GOOD: readonly (readonly [path: string, body: Record<string, unknown>])[] = [
  [
    "/v1/chat/completions",
    {
      model: "",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: [{ type: "text", text: "Hello?" }] },
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", tool_call_id: "1", content: "ok" },
      ],
      max_completion_tokens: 3,
      temperature: 0.5,
      n: 1,
      stop: ["x"],
      seed: 1,
      logprobs: true,
      top_logprobs: 1,
      logit_bias: { 5: 1 },
      tools: [
        {
          type: "function",
          function: { name: "f", parameters: { type: "object", properties: { a: { type: "string" } } } },
        },
      ],
      tool_choice: "auto",
      reasoning_effort: "low",
      stream: true,
      stream_options: { include_usage: true },
      service_tier: "flex",
      metadata: { a: "b" },
      user: "u",
    },
  ],
  ["/v1/completions", { prompt: "Once", max_tokens: 3, logprobs: 1, n: 1, echo: false, stream: false, stop: "x" }],
  [
    "/v1/responses",
    {
      input: [
        { role: "user", content: [{ type: "input_text", text: "Hello?" }] },
        { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "Hm." }] },
        { type: "function_call", call_id: "1", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "1", output: "ok" },
      ],
      instructions: "Be brief.",
      max_output_tokens: 3,
      reasoning: { effort: "low", summary: "auto" },
      text: { format: { type: "text" } },
      tools: [{ type: "function", name: "f", parameters: { type: "object" }, strict: false }],
      tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "f" }] },
      include: ["message.output_text.logprobs"],
      stream: true,
      store: true,
    },
  ],
  [
    "/v1/batches",
    { input_file_id: "file-1", endpoint: "/v1/completions", completion_window: "24h", metadata: { a: "b" } },
  ],
  ["/tokenize", { messages: [{ role: "user", content: "Hello?" }], tools: [] }],
  ["/detokenize", { tokens: [1, 2, 3] }],
];

const JSON_TYPE = "application/json";
const FORM_TYPE = "multipart/form-data; boundary=x";
/** An upload, cut where it may be bent. */
const FORM = [
  "--x\r\n",
  'content-disposition: form-data; name="purpose"\r\n',
  "\r\n",
  "batch",
  "\r\n--x\r\n",
  'content-disposition: form-data; name="file"; filename="a.jsonl"\r\n',
  "content-type: text/plain\r\n",
  "\r\n",
  "{}\n",
  "\r\n--x",
  "--\r\n",
];

export interface FuzzedRequest {
  path: string;
  type: string;
  body: string;
}

/** Bodies of every sort: no JSON, any JSON, good requests and forms with parts replaced, added or left out. */
export function fuzzedRequests(): fc.Arbitrary<FuzzedRequest> {
  const path = fc.constantFrom(...GOOD.map(([known]) => known));
  const body = fc.oneof(fc.string({ unit: "binary" }), fc.json());
  const raw = fc.record({ path, type: fc.constant(JSON_TYPE), body });
  return fc.oneof(
    { arbitrary: raw, weight: 2 },
    { arbitrary: fc.constantFrom(...GOOD).chain(bent), weight: 8 },
    { arbitrary: fuzzedForms(), weight: 1 },
  );
}

/** Lines of a batch's input: good ones with a part of the line or of its body replaced, and no lines at all. */
export function fuzzedLines(): fc.Arbitrary<{ endpoint: string; line: string }> {
  const endpoints = GOOD.filter(([path]) => /completions$|responses$/.test(path));
  return fc.constantFrom(...endpoints).chain(([url, body]) => {
    const { stream: _stream, store: _store, ...asked } = body;
    const line = { custom_id: "a", method: "POST", url, body: asked };
    const edits = fc.array(fc.tuple(fc.constantFrom(...placesOf(line)), strangeValue()), { maxLength: 2 });
    const bentLine = edits.map((list) => JSON.stringify(list.reduce(edited, structuredClone(line))));
    const anyLine = fc.oneof(
      { arbitrary: bentLine, weight: 8 },
      { arbitrary: fc.string({ unit: "binary" }), weight: 1 },
    );
    return anyLine.map((text) => ({ endpoint: url, line: text.replaceAll("\n", " ") }));
  });
}

/** Uploads with pieces of the form left out, twice, or of anything. */
function fuzzedForms(): fc.Arbitrary<FuzzedRequest> {
  const piece = fc.oneof(fc.constant(""), fc.constantFrom(...FORM), fc.string({ unit: "binary" }));
  const edits = fc.array(fc.tuple(fc.nat(FORM.length - 1), piece), { maxLength: 2 });
  const type = fc.oneof(
    { arbitrary: fc.constant(FORM_TYPE), weight: 6 },
    fc.constantFrom(JSON_TYPE, "multipart/form-data", "multipart/form-data; boundary=y", "text/plain"),
  );
  return fc.record({ edits, type }).map(({ edits: list, type: contentType }) => {
    const pieces = [...FORM];
    for (const [at, text] of list) pieces[at] = text;
    return { path: "/v1/files", type: contentType, body: pieces.join("") };
  });
}

function bent([path, body]: (typeof GOOD)[number]): fc.Arbitrary<FuzzedRequest> {
  const places = placesOf(body);
  const edits = fc.array(fc.tuple(fc.constantFrom(...places), strangeValue()), { maxLength: 2 });
  const bodies = edits.map((list) => JSON.stringify(list.reduce(edited, structuredClone(body))));
  return bodies.map((bentBody) => ({ path, type: JSON_TYPE, body: bentBody }));
}

type Place = readonly (string | number)[];

function placesOf(value: unknown, place: Place = []): Place[] {
  if (typeof value !== "object" || value === null) return [place];
  const inner = Object.entries(value).flatMap(([key, child]) =>
    placesOf(child, [...place, Array.isArray(value) ? Number(key) : key]),
  );
  return place.length === 0 ? inner : [place, ...inner];
}

/** Numbers at the edges, texts of every script, values of other types; undefined leaves the part out. */
function strangeValue(): fc.Arbitrary<unknown> {
  return fc.oneof(
    { arbitrary: fc.constantFrom(undefined, null), weight: 4 },
    fc.constantFrom("", 0, -1, 1e308, 2 ** 53, 0.1, true, [], {}, [[]], "__proto__", "<|start|>"),
    fc.constantFrom("required", { type: "function", name: "f" }, { type: "json_schema" }, { type: "object" }),
    fc.string({ unit: "grapheme" }),
    fc.jsonValue(),
    fc.array(fc.integer(), { maxLength: 50 }),
    fc.integer({ min: 1, max: 40 }).map(nested),
    fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 }),
  );
}

function nested(depth: number): unknown {
  let value: unknown = "x";
  for (let level = 0; level < depth; level += 1)
    value = level % 2 === 0 ? [value] : { type: "object", properties: { a: value } };
  return value;
}

function edited(body: Record<string, unknown>, [place, value]: readonly [Place, unknown]): Record<string, unknown> {
  let parent: Record<string | number, unknown> = body;
  for (const key of place.slice(0, -1)) {
    const child = parent[key];
    if (typeof child !== "object" || child === null) return body;
    parent = child as Record<string | number, unknown>;
  }
  // Values are shared among requests, and an edit may go into one.
  parent[place.at(-1)!] = structuredClone(value);
  return body;
}
