import type { ToolDefinition } from "./chat-message.js";
import { refuseTooDeep, templateJson } from "./template-json.js";

/**
 * Functions as the TypeScript declarations that gpt-oss models read in the developer message, comments before
 * properties, `?` on the optional ones. Follows the chat template of the checkpoints letter by letter.
 * @throws MoesaicError invalid_argument when a schema is nested too deep
 */
export function toolsSection(tools: readonly ToolDefinition[]): string {
  const declarations = tools.map(functionDeclaration).join("");
  return `# Tools\n\n## functions\n\nnamespace functions {\n${declarations}\n} // namespace functions`;
}

const INDENT = "    ";
type Schema = Record<string, unknown>;

function functionDeclaration(tool: ToolDefinition): string {
  const comment = tool.description ? `\n// ${tool.description}` : "";
  const parameters = tool.parameters ?? {};
  const argument = propertiesOf(parameters).length > 0 ? `_: ${typeOf(parameters, "", 0)}` : "";
  return `${comment}\ntype ${tool.name} = (${argument}) => any;\n`;
}

/** @param indent of the properties, should the type turn out to be an object */
function typeOf(schema: Schema, indent: string, depth: number): string {
  refuseTooDeep(depth);
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => templateJson(value)).join(" | ");
  if (schema.type === "array") return `${itemType(schema.items, indent, depth)}[]`;
  if (schema.type === "object") return objectType(schema, indent, depth);
  if (schema.type === "integer") return "number";
  return isPlainType(schema.type) ? schema.type : "any";
}

function isPlainType(type: unknown): type is string {
  return type === "string" || type === "number" || type === "boolean" || type === "null";
}

function itemType(items: unknown, indent: string, depth: number): string {
  return isSchema(items) ? typeOf(items, indent, depth + 1) : "any";
}

function objectType(schema: Schema, indent: string, depth: number): string {
  const properties = propertiesOf(schema);
  if (properties.length === 0) return "object";
  const required: unknown[] = Array.isArray(schema.required) ? schema.required : [];
  const lines = properties.map(([name, property]) =>
    propertyLines(name, property, required.includes(name), indent, depth),
  );
  return `{\n${lines.join("")}${indent.slice(INDENT.length)}}`;
}

function propertyLines(name: string, property: Schema, isRequired: boolean, indent: string, depth: number): string {
  const { description } = property;
  const comment = typeof description === "string" && description !== "" ? `${indent}// ${description}\n` : "";
  const type = typeOf(property, indent + INDENT, depth + 1);
  return `${comment}${indent}${name}${isRequired ? "" : "?"}: ${type},${defaultComment(property.default)}\n`;
}

function defaultComment(value: unknown): string {
  if (value === undefined) return "";
  return ` // default: ${typeof value === "string" ? value : templateJson(value)}`;
}

/** A property whose schema is `true` or broken still has a name the model should know. */
function propertiesOf(schema: Schema): [string, Schema][] {
  if (!isSchema(schema.properties)) return [];
  return Object.entries(schema.properties).map(([name, property]) => [name, isSchema(property) ? property : {}]);
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
