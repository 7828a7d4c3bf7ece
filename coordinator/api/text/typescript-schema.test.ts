import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toolsSection } from "./typescript-schema.js";

describe("toolsSection", () => {
  it("writes comments, optional marks, defaults, unions, lists and nested objects", () => {
    const parameters = {
      type: "object",
      properties: {
        location: { type: "string", description: "The city and state" },
        format: { enum: ["celsius", "fahrenheit"], default: "celsius" },
        days: { type: "array", items: { type: "integer" } },
        place: { type: "object", properties: { exact: { type: "boolean" } }, required: ["exact"] },
        other: { anyOf: [{ type: "string" }] },
      },
      required: ["location"],
    };
    const section = toolsSection([
      { name: "get_weather", description: "Gets the weather.", parameters },
      { name: "now" },
    ]);
    assert.equal(
      section,
      [
        "# Tools",
        "",
        "## functions",
        "",
        "namespace functions {",
        "",
        "// Gets the weather.",
        "type get_weather = (_: {",
        "// The city and state",
        "location: string,",
        'format?: "celsius" | "fahrenheit", // default: celsius',
        "days?: number[],",
        "place?: {",
        "    exact: boolean,",
        "},",
        "other?: any,",
        "}) => any;",
        "",
        "type now = () => any;",
        "",
        "} // namespace functions",
      ].join("\n"),
    );
  });

  it("makes something of schemas that are none", () => {
    const parameters = {
      type: "object",
      properties: { a: true, b: null, c: { type: ["string", "null"] } },
      required: 7,
    };
    const section = toolsSection([{ name: "f", parameters }]);
    assert.match(section, /type f = \(_: \{\na\?: any,\nb\?: any,\nc\?: any,\n\}\) => any;/);
  });
});
