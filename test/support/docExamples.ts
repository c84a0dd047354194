/** The programs behind `@example` in the docs of public modules, and the output that each says it has. */
import { readFileSync } from "node:fs"
import * as PublicNames from "./publicNames.ts"

export interface DocExample {
  /** The path of `exports` and the place among its examples, such as `Batcher-2`. */
  readonly name: string
  readonly code: string
  /** The lines behind `// Output:`, with which the program ends. */
  readonly output: string
}

const block = /^ \* @example\n \* ```ts\n([^]*?)^ \* ```$/gm

/** Reads all examples of a file; a comment that has none in this form is none. */
const examplesIn = (entry: string, text: string): ReadonlyArray<DocExample> =>
  [...text.matchAll(block)].map(([, lines], index) => {
    const code = lines!.replaceAll(/^ \* ?/gm, "")
    const output = code.split("// Output:\n")[1] ?? ""
    return { name: `${entry}-${index + 1}`, code, output: output.replaceAll(/^\/\/ ?/gm, "") }
  })

/** Reads the examples of each entry, from the sources beneath a folder. */
export const read = (folder: string): ReadonlyArray<DocExample> =>
  [...PublicNames.entries].flatMap(([entry, file]) => examplesIn(entry, readFileSync(`${folder}/${file}`, "utf8")))

/** A program that runs the examples one after the other, and prints what each of them printed. */
export const runner = (examples: ReadonlyArray<DocExample>): string => `import { format } from "node:util"
const outputs = {}
for (const name of ${JSON.stringify(examples.map(({ name }) => name))}) {
  let printed = ""
  const { log } = console
  console.log = (...values) => void (printed += format(...values) + "\\n")
  try {
    await import(\`./doc/\${name}.ts\`)
  } catch (error) {
    printed += String(error?.stack ?? error)
  } finally {
    console.log = log
  }
  outputs[name] = printed
}
process.stdout.write(JSON.stringify(outputs) + "\\n")
`
