/**
 * Finds sentences that begin with a relative clause ("What it holds", "Who asks", "Where it is kept"), as
 * `npm run check:sentences` prints them.
 *
 * - It reads comments and texts of `src`, comments and titles of `test`, and every Markdown file.
 * - A question may begin so, and "when" or "where" may open a clause that a comma ends.
 */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { styleText } from "node:util"

/** A piece of prose and the line on which it begins. */
export interface Passage {
  readonly line: number
  readonly text: string
}

const relative = /^(?:what|whatever|who|whoever|whom|whomever|whose|which|whichever)\b/i
const conditional = /^(?:when|where)\b/i

/** The sentences of a passage that begin with a relative clause. */
export const relativeSentences = ({ line, text }: Passage): ReadonlyArray<Passage> => {
  const found: Array<Passage> = []
  // the start of a passage may be in lower case; after a full stop only a capital begins a sentence
  for (const match of text.matchAll(
    /(?:^|(?<=[.!?:]["”)*_]*\s+)(?=["“(*_]*\p{Lu}))[\s"“(*_]*(.+?)(?:[.!?](?=["”)*_]*(?:\s|$))|$)/gsu
  )) {
    const sentence = match[1]!
    const ends = text.slice(0, match.index + match[0].length).at(-1)
    if (ends === "?") continue
    if (!relative.test(sentence) && !(conditional.test(sentence) && !/[,:]/.test(sentence.replaceAll(/\(.*?\)/gs, ""))))
      continue
    found.push({
      line: line + text.slice(0, match.index + match[0].indexOf(sentence)).split("\n").length - 1,
      text: sentence.replaceAll(/\s+/g, " ")
    })
  }
  return found
}

/** One passage for each paragraph, list item and cell of a table; code is left out. */
export const paragraphs = (markdown: string, firstLine = 1): ReadonlyArray<Passage> => {
  const found: Array<{ line: number; text: string }> = []
  let code = false
  let open = false
  markdown.split("\n").forEach((raw, index, all) => {
    const line = raw.trim()
    if (line.startsWith("```")) {
      code = !code
      open = false
    } else if (!code && line.startsWith("|")) {
      open = false
      const isHeader = /^\|[\s|:-]+\|$/.test(all[index + 1]?.trim() ?? "")
      const cells = isHeader ? [] : line.split("|").slice(1, -1)
      for (const cell of cells) found.push({ line: firstLine + index, text: cell.trim() })
    } else if (!code) {
      const item = /^(?:#+|[-*]|\d+\.|>|@\w+(?: \w+ -)?)\s+(.*)$/.exec(line)
      if (line === "") open = false
      else if (item === null && open) found.at(-1)!.text += `\n${line}`
      else found.push({ line: firstLine + index, text: item === null ? line : item[1]! })
      // a heading is a passage of its own
      if (line !== "") open = !line.startsWith("#")
    }
  })
  return found
}

interface Token extends Passage {
  readonly kind: "comment" | "line" | "string"
  /** The code before it, as far as it stands on the same line. */
  readonly before: string
}

const token = new RegExp(
  [
    String.raw`(?<comment>/\*[^]*?\*/)`,
    String.raw`(?<line>//[^\n]*)`,
    String.raw`(?<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|` + "`(?:\\\\.|[^`\\\\])*`)",
    // an expression, so that a quote in it opens no string
    String.raw`(?<=[(,=:[!&|?{};]\s*)/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+/`
  ].join("|"),
  "g"
)

const tokens = (source: string): ReadonlyArray<Token> =>
  [...source.matchAll(token)].flatMap(({ groups, index }) => {
    const kind = (["comment", "line", "string"] as const).find((name) => groups![name] !== undefined)
    if (kind === undefined) return []
    const head = source.slice(0, index)
    const before = head.slice(head.lastIndexOf("\n") + 1)
    return [{ kind, before, line: head.split("\n").length, text: groups![kind]! }]
  })

const title = /\b(?:it|test|describe|layer)(?:\.\w+)*(?:\(.*?\))?\(\s*$/

/** The prose of a TypeScript file: its comments, and the strings that people read. */
export const prose = (file: string, source: string): ReadonlyArray<Passage> => {
  const found: Array<Passage> = []
  const comments: Array<{ line: number; text: string; isAlone: boolean }> = []
  const all = tokens(source)
  for (const { before, kind, line, text } of all) {
    if (kind === "line") {
      const last = comments.at(-1)
      const content = text.replace(/^\/+ ?/, "")
      const isAlone = before.trim() === ""
      if (isAlone && last?.isAlone && last.line + last.text.split("\n").length === line) last.text += `\n${content}`
      else comments.push({ line, text: content, isAlone })
    } else if (kind === "comment") {
      const content = text.slice(2, -2).replaceAll(/^[ \t]*\*? ?/gm, "")
      found.push(...paragraphs(content, line))
    } else if (file.startsWith("src/") ? /^.\S+\s+\S/.test(text) : isTitle(source, before, line)) {
      found.push({ line, text: text.slice(1, -1) })
    }
  }
  for (const { line, text } of comments) found.push(...paragraphs(text, line))
  return found
}

/** Whether a string is the first argument of a test, on the line of the call or on the one after it. */
const isTitle = (source: string, before: string, line: number): boolean =>
  title.test(before) || (before.trim() === "" && title.test(source.split("\n")[line - 2] ?? ""))

/** Every file of the repository with prose in it, as git knows them. */
const files = (): ReadonlyArray<string> =>
  execFileSync("git", ["ls-files", "-co", "--exclude-standard", "*.ts", "*.tsx", "*.mts", "*.md"], { encoding: "utf8" })
    .split("\n")
    .filter((file) => file !== "")

/** Two folders deep in `src` and `test`, as rooms go. */
const roomOf = (file: string) => file.split("/").slice(0, 2).join("/")

const check = () => {
  const found = files().flatMap((file) => {
    const text = readFileSync(file, "utf8")
    const passages = file.endsWith(".md") ? paragraphs(text) : prose(file, text)
    return passages.flatMap(relativeSentences).map((sentence) => ({ file, ...sentence }))
  })
  const lines = found.map(({ file, line, text }) => `${file}:${line}: ${text.slice(0, 100)}`)
  const rooms = Object.entries(Object.groupBy(found, ({ file }) => roomOf(file)))
    .map(([room, held]) => `${String(held!.length).padStart(5)}  ${room}`)
    .toSorted()
    .toReversed()
  if (found.length === 0) return
  process.stdout.write([...lines, "", ...rooms, "", ""].join("\n"))
  process.stdout.write(styleText("red", `${found.length} sentences begin with a relative clause\n`))
  process.exitCode = 1
}

if (import.meta.main) check()
