/**
 * Renders `src/operations/README.md` as the HTML of the page at `/docs`. As a program it writes that into a file, for the
 * package: an installation renders nothing.
 *
 * Pictures are left out, because the page loads nothing. A link to a file of `deploy/` leads to where the service has it;
 * a link to any other file of the repository becomes plain text.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import * as DocsPage from "../DocsPage.ts"

const source = new URL("../README.md", import.meta.url)

/** Returns the id that a heading has in the repository's own view of the document. */
const idOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(/\s/g, "-")

export const render = async (): Promise<string> => {
  const { Marked } = await import("marked")
  const marked = new Marked({
    renderer: {
      heading({ depth, text, tokens }) {
        return depth === 1 ? "" : `<h${depth} id="${idOf(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`
      },
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens)
        const target = href.startsWith("deploy/") ? `docs/${href}` : href
        return /^(?:#|https?:|docs\/)/.test(target) ? `<a href="${target}">${text}</a>` : text
      },
      code({ escaped, text }) {
        return `<pre tabindex="0"><code>${escaped ? text : DocsPage.text(text)}</code></pre>\n`
      },
      image: () => "",
      html: () => ""
    }
  })
  return marked.parse(readFileSync(source, "utf8"))
}

if (import.meta.main) {
  const file = process.argv[2]!
  mkdirSync(Path.dirname(file), { recursive: true })
  writeFileSync(file, await render())
}
