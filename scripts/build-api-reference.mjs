// Writes docs/api.md: what the package exports, with its comments, from the declarations that the build made of client/; and
// docs/grpc.md, out of the .proto files. `--check` writes nothing and fails when a page says something else.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import { grpcReference } from "./grpc-reference.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const INDEX = join(ROOT, "dist", "client", "index.d.ts");
const PAGE = join(ROOT, "docs", "api.md");
const GRPC_PAGE = join(ROOT, "docs", "grpc.md");
const HEAD = `# The client, in full

<!-- Made by scripts/build-api-reference.mjs of the comments in client/: change those, then \`npm run api\`. -->

What \`import\` and \`require("moesaic")\` give. Programs that use it are in [examples/](../examples/README.md); what goes over the wire, and what each
field of a status is, is in [grpc.md](grpc.md).
`;

try {
  settle(PAGE, await render());
  settle(GRPC_PAGE, grpcReference(ROOT));
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

function settle(path, page) {
  if (!process.argv.includes("--check")) writeFileSync(path, page);
  else if (readFileSync(path, "utf8") !== page)
    throw new Error(`${path} is not what the comments say: run npm run api`);
}

async function render() {
  const exported = exportsOf(INDEX);
  const names = exported.map(({ name }) => name);
  const sections = [];
  for (const { name, file } of exported) sections.push(await section(name, declarationOf(name, file), names));
  return `${HEAD}\n${names.map(linkTo).join(" ·\n")}\n\n${sections.join("\n")}`;
}

/** Names with the files that declare them, in the order of the index. */
function exportsOf(index) {
  const statements = readFileSync(index, "utf8").matchAll(/^export (?:type )?\{([^}]*)\} from "(.+)\.js";$/gm);
  return [...statements].flatMap(([, list, path]) =>
    list
      .split(",")
      .map((item) => item.trim().replace(/^type /, ""))
      .filter((name) => name !== "")
      .map((name) => ({ name, file: join(dirname(index), `${path}.d.ts`) })),
  );
}

/**
 * The compiler prints a declaration from the first column on: its comment, then one line, or lines up to one that
 * begins with a brace and opens no other.
 */
function declarationOf(name, file) {
  const text = readFileSync(file, "utf8");
  const start = String.raw`^(?:/\*\*((?:(?!\*/)[^])*)\*/\n)?`;
  const head = String.raw`export (?:declare )?(?:const |function |class |interface |type )${name}\b`;
  const found = new RegExp(String.raw`${start}(${head}(?:.*;$|[^]*?^\}(?!.*\{$).*$))`, "m").exec(text);
  if (found === null) throw new Error(`${file} declares no ${name}; run npm run build`);
  const [, comment = "", code] = found;
  return { comment, code: code.replace(/^ *#private;\n/m, "").replace(/^export (declare )?/, "") };
}

async function section(name, { comment, code }, names) {
  // Alone it is no file of declarations, where a class may have methods without a body.
  const declared = await format(/^(class|const|function)/.test(code) ? `declare ${code}` : code, {
    parser: "typescript",
    printWidth: 110,
  });
  const used = names.filter((other) => other !== name && new RegExp(`\\b${other}\\b`).test(code));
  const parts = [
    `## ${name}`,
    prose(comment),
    `\`\`\`ts\n${declared.replace(/^declare /, "").trimEnd()}\n\`\`\``,
    used.length === 0 ? "" : `Of ${used.map(linkTo).join(", ")}.`,
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

/** A comment without its stars; what it says of errors and results is a line of its own, and other pages are links. */
function prose(comment) {
  const text = comment.replaceAll(/^ *\* ?/gm, "").trim();
  return text
    .replaceAll(/\bdocs\/([\w-]+\.md(?:#[\w-]+)?)/g, "[$1]($1)")
    .replaceAll(/\s*@(throws|returns) /g, (_, tag) => `\n\n${tag === "throws" ? "Throws" : "Returns"} `)
    .trim();
}

function linkTo(name) {
  return `[${name}](#${name.toLowerCase()})`;
}
