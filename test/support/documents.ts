/**
 * `npm run docs`: writes the settings, with their defaults and descriptions, into the tables of the documents.
 *
 * `src/README.md` lists all of them in order; another document keeps the rows that it has.
 */
import { readFileSync, writeFileSync } from "node:fs"
import * as Config from "../../src/Config.ts"

/** A setting as a row of a table. */
export const row = ({ default: written, description, name }: Config.Variable<unknown>): string =>
  `| \`${name}\` | ${written === undefined ? "" : `${written} `}| ${description} |`

export const settings = Object.values<Config.Variable<unknown>>(Config.variables)

const rows = /(?:^\| `[A-Z_]+` \| .*\n)+/m

const update = (path: string, isListed: (name: string, table: string) => boolean) => {
  const text = readFileSync(path, "utf8")
  writeFileSync(
    path,
    text.replace(rows, (table) =>
      settings
        .filter(({ name }) => isListed(name, table))
        .map((setting) => `${row(setting)}\n`)
        .join("")
    )
  )
}

if (import.meta.main) {
  update("src/README.md", () => true)
  update("README.md", (name, table) => table.includes(`\`${name}\``))
}
