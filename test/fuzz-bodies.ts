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

export interface FuzzedRequest {
  path: string;
  body: string;
}

/** Bodies of every sort: no JSON, any JSON, and good requests with parts replaced, added or left out. */
export function fuzzedRequests(): fc.Arbitrary<FuzzedRequest> {
  const path = fc.constantFrom(...GOOD.map(([known]) => known));
  const raw = fc.record({ path, body: fc.oneof(fc.string({ unit: "binary" }), fc.json()) });
  return fc.oneof({ arbitrary: raw, weight: 1 }, { arbitrary: fc.constantFrom(...GOOD).chain(bent), weight: 4 });
}

function bent([path, body]: (typeof GOOD)[number]): fc.Arbitrary<FuzzedRequest> {
  const places = placesOf(body);
  const edits = fc.array(fc.tuple(fc.constantFrom(...places), strangeValue()), { maxLength: 2 });
  return edits.map((list) => ({ path, body: JSON.stringify(list.reduce(edited, structuredClone(body))) }));
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
