/**
 * The frame of the pages at `/docs`. They run no script, load nothing, and are sandboxed: they have no part in the storage of
 * the dashboard, which is at the same address.
 */
import * as Crypto from "node:crypto"
import * as StaticContent from "../platform/StaticContent.ts"

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
thead th { font-weight: 600; width: auto }
td small { color: var(--soft) }
`

/** The headers of the pages. */
export const headers = StaticContent.pageHeaders({
  sources: [`style-src 'sha256-${Crypto.createHash("sha256").update(style).digest("base64")}'`],
  restrictions: ["sandbox"]
})

export interface Content {
  /** The title, as plain text. */
  readonly title: string
  /** The text beneath the title, as HTML. */
  readonly about: string
  /** The parts of the page, each with its id and its name as plain text. */
  readonly parts: ReadonlyArray<{ readonly id: string; readonly name: string }>
  /** The parts, as HTML. */
  readonly main: string
}

/** Returns a page. */
export const render = ({ about, main, parts, title }: Content): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${text(title)}</h1>
${about}
</header>
<nav aria-label="Parts of this page"><ul>
${parts.map(({ id, name }) => `<li><a href="#${text(id)}">${text(name)}</a></li>`).join("\n")}
</ul></nav>
<main>
${main}
</main>
</body>
</html>
`

/** Escapes plain text. */
export const text = (plain: string): string =>
  plain.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
