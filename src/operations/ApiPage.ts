/**
 * The HTTP API as a page, made from its OpenAPI document. It can be read on a phone, in the dark, by a screen reader, and be
 * searched by the browser.
 */
import type { OpenApi } from "effect/http-api"
import { operationsOf } from "./ApiDocument.ts"
import * as DocsPage from "./DocsPage.ts"

const { text } = DocsPage

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
  return DocsPage.render({
    title: `${title}: the HTTP API`,
    about: `${paragraphs(description)}
<p>Version ${text(version)}. This page as a document: <a href="../openapi.json">OpenAPI</a>. Operating the service: <a href="../docs">the guide</a>.</p>`,
    parts: sections.map(({ name }) => ({ id: name, name })),
    main: sections
      .map(
        (section) => `<section aria-labelledby="${text(section.name)}">
<h2 id="${text(section.name)}">${text(section.name)}</h2>
${paragraphs(section.description ?? "")}
${section.operations.map((one) => article(one, typeOf)).join("\n")}
</section>`
      )
      .join("\n")
  })
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
