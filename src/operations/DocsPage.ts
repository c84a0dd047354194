/**
 * The HTTP API as a page, made from its OpenAPI document.
 *
 * - The page runs no script, loads nothing, and is sandboxed: it has no part in the storage of the dashboard, which is at
 *   the same address.
 * - It can be read on a phone, in the dark, by a screen reader, and be searched by the browser.
 */
import type { OpenApi } from "effect/http-api"
import * as Crypto from "node:crypto"
import * as StaticContent from "../platform/StaticContent.ts"
import { operationsOf } from "./ApiDocument.ts"

const style = `
:root { color-scheme: light dark; --line: light-dark(#d5dae1, #39414d); --soft: light-dark(#4b5563, #b4bdca); --box: light-dark(#f4f6f9, #1b212a) }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: light-dark(#171c24, #e8ecf2); background: light-dark(#fff, #12161c) }
a { color: light-dark(#1d4fc4, #8db4ff) }
header, main, footer { padding: 0 1.5rem; max-width: 60rem; margin: 0 auto }
nav { padding: .75rem 1.5rem; border-block: 1px solid var(--line); background: var(--box) }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: 0 auto; padding: 0; max-width: 60rem }
article { border-top: 1px solid var(--line); padding-block: .25rem 1rem }
h2 { margin-top: 2.5rem }
h3 { font-size: 1rem; overflow-wrap: anywhere }
code, pre { font: .875rem/1.5 ui-monospace, monospace }
pre { background: var(--box); padding: .75rem 1rem; overflow-x: auto; border-radius: .4rem }
.method { display: inline-block; min-width: 4rem; font-weight: 700 }
table { table-layout: fixed; border-collapse: collapse; width: 100%; margin-block: .75rem }
caption { text-align: left; font-weight: 600; padding-block: .25rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere }
th { font-weight: 400; width: 13rem }
td small { color: var(--soft) }
`

/** The headers of the page. */
export const headers = StaticContent.pageHeaders({
  sources: [`style-src 'sha256-${Crypto.createHash("sha256").update(style).digest("base64")}'`],
  restrictions: ["sandbox"]
})

/** Returns the page. */
export const render = (document: OpenApi.OpenAPISpec): string => {
  const { description = "", title, version } = document.info
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    operationsOf(item).map(({ method, operation }) => ({ method: method.toUpperCase(), operation, path }))
  )
  const sections = document.tags.map((tag) => ({
    ...tag,
    operations: operations.filter(({ operation }) => operation.tags.includes(tag.name))
  }))
  const typeOf = typesIn(document)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}: the HTTP API</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${text(title)}: the HTTP API, version ${text(version)}</h1>
${paragraphs(description)}
<p>This page as a document: <a href="openapi.json">OpenAPI</a>.</p>
</header>
<nav aria-label="Parts of the API"><ul>
${sections.map(({ name }) => `<li><a href="#${text(name)}">${text(name)}</a></li>`).join("\n")}
</ul></nav>
<main>
${sections
  .map(
    (section) => `<section aria-labelledby="${text(section.name)}">
<h2 id="${text(section.name)}">${text(section.name)}</h2>
${paragraphs(section.description ?? "")}
${section.operations.map((one) => article(one, typeOf)).join("\n")}
</section>`
  )
  .join("\n")}
</main>
</body>
</html>
`
}

interface Operation {
  readonly method: string
  readonly path: string
  readonly operation: OpenApi.OpenAPISpecOperation
}

const article = ({ method, operation, path }: Operation, typeOf: (schema: object) => string): string => {
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema
  return `<article id="${text(operation.operationId)}">
<h3><code><span class="method">${method}</span> ${text(path)}</code></h3>
<p>${text(operation.summary ?? "")}.</p>
${paragraphs(operation.description ?? "")}
${
  operation.parameters.length === 0
    ? ""
    : table(
        "Parameters",
        operation.parameters.map(({ description = "", in: place, name, required, schema }) => [
          `<code>${text(name)}</code>`,
          `${inline(description)} <small>${place}, ${required ? "required" : "optional"}: <code>${text(typeOf(schema))}</code></small>`
        ])
      )
}
${body === undefined ? "" : `<p>Body:</p>\n<pre tabindex="0"><code>${text(typeOf(body))}</code></pre>`}
${table(
  "Responses",
  Object.entries(operation.responses).map(([status, response]) => {
    const schema = Number(status) < 300 ? Object.values(response.content ?? {})[0]?.schema : undefined
    const type = schema === undefined ? "" : `<pre tabindex="0"><code>${text(typeOf(schema))}</code></pre>`
    return [`<code>${status}</code>`, `${inline(response.description)}${type}`]
  })
)}
</article>`
}

const table = (caption: string, rows: ReadonlyArray<readonly [head: string, cell: string]>): string => `<table>
<caption>${caption}</caption>
<tbody>
${rows.map(([head, cell]) => `<tr><th scope="row">${head}</th><td>${cell}</td></tr>`).join("\n")}
</tbody>
</table>`

/** Returns a function that writes the schemas of a document as types. */
const typesIn = ({ components }: OpenApi.OpenAPISpec) => {
  interface Node {
    readonly $ref?: string
    readonly anyOf?: ReadonlyArray<Node>
    readonly oneOf?: ReadonlyArray<Node>
    readonly allOf?: ReadonlyArray<Node>
    readonly enum?: ReadonlyArray<unknown>
    readonly type?: string
    readonly items?: Node
    readonly properties?: Readonly<Record<string, Node>>
    readonly required?: ReadonlyArray<string>
    readonly additionalProperties?: Node | boolean
  }
  const write = (node: Node, indent: string, above: ReadonlyArray<string>): string => {
    if (node.$ref !== undefined) {
      const name = node.$ref.split("/").at(-1)!
      const schema = components.schemas[name] as Node | undefined
      return schema === undefined || above.includes(name) ? name : write(schema, indent, [...above, name])
    }
    const choices = node.anyOf ?? node.oneOf
    if (choices !== undefined) return [...new Set(choices.map((one) => write(one, indent, above)))].join(" | ")
    if (node.enum !== undefined) return node.enum.map((value) => JSON.stringify(value)).join(" | ")
    if (node.type === "array") return `Array<${write(node.items ?? {}, indent, above)}>`
    if (node.properties !== undefined && Object.keys(node.properties).length > 0) {
      const deeper = `${indent}  `
      const lines = Object.entries(node.properties).map(
        ([name, one]) =>
          `${deeper}${name}${node.required?.includes(name) === true ? "" : "?"}: ${write(one, deeper, above)}`
      )
      return `{\n${lines.join("\n")}\n${indent}}`
    }
    if (typeof node.additionalProperties === "object") {
      return `Record<string, ${write(node.additionalProperties, indent, above)}>`
    }
    return node.type ?? "any"
  }
  return (schema: object) => write(schema, "", [])
}

const paragraphs = (markdown: string) =>
  markdown === ""
    ? ""
    : markdown
        .split("\n\n")
        .map((paragraph) => `<p>${inline(paragraph)}</p>`)
        .join("\n")

/** Escapes text, and makes code of what is between backticks. */
const inline = (markdown: string) => text(markdown).replaceAll(/`([^`]*)`/g, "<code>$1</code>")

const text = (plain: string) =>
  plain.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
