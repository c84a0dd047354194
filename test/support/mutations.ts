/** Requests of a broken or hostile program: JSON that is almost the request of a call. */
import { Schema } from "effect"
import * as Crypto from "node:crypto"

const nested = (open: string, close: string, depth: number) => `${open.repeat(depth)}0${close.repeat(depth)}`

/** A word that no compression makes smaller. */
const incompressible = Crypto.hash("shake256", "a word", { outputEncoding: "hex", outputLength: 5_000 })

/** Values of JSON, as text: some of them no program can print. */
const values: ReadonlyArray<string> = [
  ..."null true 0 -0 -1 1.5 1e400 -1e400 1e308 9007199254740993 2147483648 -2147483649".split(" "),
  ..."[] {} [[]] [null] [{}]".split(" "),
  ...[
    "",
    "\0",
    "a\0b",
    "\ud800",
    "\udc00 and more",
    "x".repeat(3_000),
    "\u00e9".repeat(100_000),
    "__proto__",
    incompressible
  ].map(text),
  ...["constructor", "toString", "WORKING", "working", "web", "v1", "a'b\"c\\", "{{.}}", "\u202e\u200d"].map(text),
  ...["00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF"].map(text),
  ...["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "-000001-01-01T00:00:00Z", "+275760-09-13T00:00:00Z"].map(
    text
  ),
  ...["0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z", "1969-12-31T23:59:60Z", "infinity", "now"].map(text),
  ...["localhost", "::1%eth0", "fe80::1%1", "10.0.0.1/33", "::ffff:1.2.3.4", "127.1", "0x7f.1", "[::1]"].map(text),
  '{"__proto__":{"state":"READY"},"constructor":null,"toString":1,"hasOwnProperty":"x"}',
  nested("[", "]", 20_000),
  nested('{"a":', "}", 20_000),
  `[${"null,".repeat(5_000)}{}]`,
  `{${Array.from({ length: 5_000 }, (_, index) => `"k${index}":${index}`).join(",")}}`
]

function text(value: string): string {
  return JSON.stringify(value)
}

/** One change of a request. The numbers stand for whatever there is of their kind. */
export const Mutation = Schema.Struct({
  kind: Schema.Literals(["replace", "replace", "replace", "remove", "add", "repeat"]),
  place: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 })),
  value: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: values.length - 1 }))
})
export type Mutation = typeof Mutation.Type

/** The text of a request after changes, in which ids may have become some of those that are known. */
export const mutate = (request: unknown, mutations: ReadonlyArray<Mutation>, known: ReadonlyArray<string>): string => {
  let root: Node = toNode(request)
  for (const { kind, place, value } of mutations) {
    const places = placesIn(root)
    const { node, set } = places[place % places.length]!
    const replacement: Node = { _tag: "Raw", text: values[value]! }
    if (kind === "replace") {
      if (set === undefined) root = replacement
      else set(isId(node) ? { _tag: "Raw", text: text(known[value % known.length]!) } : replacement)
    } else if (kind === "remove") {
      set?.(undefined)
    } else if (node._tag === "Object") {
      node.fields.push([kind === "add" ? "__proto__" : "extra", replacement])
    } else if (node._tag === "List") {
      node.items.push(
        ...(kind === "add" ? [replacement] : Array.from({ length: 300 }, () => node.items[0] ?? replacement))
      )
    }
  }
  return print(root)
}

type Node =
  | { readonly _tag: "Raw"; readonly text: string }
  | { readonly _tag: "List"; readonly items: Array<Node> }
  | { readonly _tag: "Object"; readonly fields: Array<readonly [string, Node]> }

const toNode = (value: unknown): Node => {
  if (Array.isArray(value)) return { _tag: "List", items: value.map(toNode) }
  if (typeof value !== "object" || value === null) return { _tag: "Raw", text: JSON.stringify(value) }
  return { _tag: "Object", fields: Object.entries(value).map(([name, field]) => [name, toNode(field)] as const) }
}

interface Place {
  readonly node: Node
  /** Puts another node there, or none; absent at the root. */
  readonly set?: (node: Node | undefined) => void
}

const placesIn = (node: Node, set?: Place["set"]): ReadonlyArray<Place> => {
  const here: Place = set === undefined ? { node } : { node, set }
  if (node._tag === "Raw") return [here]
  if (node._tag === "List") {
    const { items } = node
    return [here, ...items.flatMap((item, index) => placesIn(item, (next) => items.splice(index, 1, ...toList(next))))]
  }
  const { fields } = node
  return [
    here,
    ...fields.flatMap(([name, field], index) =>
      placesIn(field, (next) => fields.splice(index, 1, ...toList(next).map((node) => [name, node] as const)))
    )
  ]
}

const toList = (node: Node | undefined): ReadonlyArray<Node> => (node === undefined ? [] : [node])

const isId = (node: Node) => node._tag === "Raw" && /^"[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}"$/.test(node.text)

const print = (node: Node): string => {
  if (node._tag === "Raw") return node.text
  return node._tag === "List"
    ? `[${node.items.map(print).join(",")}]`
    : `{${node.fields.map(([name, field]) => `${text(name)}:${print(field)}`).join(",")}}`
}
