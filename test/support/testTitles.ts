/**
 * Finds the titles of tests in a source file, and what each of them claims: the rows of PARITY.md in brackets at its end.
 *
 * - It reads the syntax tree, so comments and strings elsewhere claim nothing.
 * - A test proves rows only if every run executes it: none that is skipped, that runs on a condition, or that is expected
 *   to fail.
 */
import { parseAst } from "vitest/node"

export interface Title {
  readonly line: number
  /** The title, with `…` for each value that the program puts in; `undefined` if the title is not written there. */
  readonly text: string | undefined
  /** The rows in brackets at the end of the title. */
  readonly rows: ReadonlyArray<string>
  /** Whether a row may be hidden in a value, or stands in brackets elsewhere than at the end. */
  readonly isUnclear: boolean
  /** Whether every run executes the test. */
  readonly runs: boolean
}

interface Node {
  readonly type: string
  readonly start: number
  readonly [key: string]: unknown
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value

const roots = new Set(["it", "test", "describe", "layer"])
/** The syntax around code that a program runs under a condition. */
const conditions = new Set(["IfStatement", "ConditionalExpression", "LogicalExpression", "SwitchStatement"])
const notAlways = new Set(["skip", "skipIf", "runIf", "todo", "fails", "fail"])

/** The words of a callee such as `it.effect.each([1, 2])`, from its root on. */
const wordsOf = (callee: unknown): ReadonlyArray<string> => {
  if (!isNode(callee)) return []
  if (callee.type === "Identifier") return [String(callee["name"])]
  if (callee.type === "CallExpression") return wordsOf(callee["callee"])
  if (callee.type !== "MemberExpression") return []
  const before = wordsOf(callee["object"])
  return before.length === 0 ? [] : [...before, ...wordsOf(callee["property"])]
}

const textOf = (title: unknown): string | undefined => {
  if (!isNode(title)) return undefined
  if (title.type === "Literal") return typeof title["value"] === "string" ? title["value"] : undefined
  if (title.type !== "TemplateLiteral") return undefined
  return (title["quasis"] as ReadonlyArray<{ value: { cooked: string } }>).map(({ value }) => value.cooked).join("…")
}

const rowsAtEnd = /((?:\s*\[[A-Z]{2}-\d{2}(?:, [A-Z]{2}-\d{2})*\])+)$/
const row = /[A-Z]{2}-\d{2}/g

const titleOf = (text: string | undefined, line: number, runs: boolean): Title => {
  const ending = text === undefined ? "" : (rowsAtEnd.exec(text)?.[1] ?? "")
  const rest = text?.slice(0, text.length - ending.length) ?? ""
  return {
    line,
    text,
    rows: ending.match(row) ?? [],
    isUnclear: text === undefined || /\[[A-Z]{2}-\d{2}/.test(rest) || /\[[^\]]*…[^\]]*\]$|…$/.test(text),
    runs
  }
}

/** The titles of the tests of a source file, in the order of their places. */
export const testTitles = (source: string): ReadonlyArray<Title> => {
  const found: Array<Title> = []
  const lineOf = (offset: number) => source.slice(0, offset).split("\n").length

  const visit = (node: Node, runs: boolean): void => {
    let runsInside = runs && !conditions.has(node.type)
    if (node.type === "CallExpression") {
      const callee = node["callee"] as Node
      const words = wordsOf(callee)
      const [title, body] = node["arguments"] as ReadonlyArray<unknown>
      runsInside &&= !conditions.has(callee.type)
      if (roots.has(words[0] ?? "")) {
        runsInside &&= !words.some((word) => notAlways.has(word))
        const isTest = (words[0] === "it" || words[0] === "test") && body !== undefined && words.at(-1) !== "layer"
        if (isTest) found.push(titleOf(textOf(title), lineOf(node.start), runsInside))
      }
    }
    for (const child of Object.values(node)) {
      for (const each of Array.isArray(child) ? child : [child]) if (isNode(each)) visit(each, runsInside)
    }
  }
  visit(parseAst(source, { lang: "ts" }) as unknown as Node, true)
  return found
}
