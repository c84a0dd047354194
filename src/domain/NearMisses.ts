/**
 * Finds environment variables whose names are almost those that a program reads.
 */
import { ConfigProvider, Effect } from "effect"

/** Returns the names of all environment variables. A provider has them as a tree, split at each underscore. */
const namesIn = (
  provider: ConfigProvider.ConfigProvider,
  path: ReadonlyArray<string> = []
): Effect.Effect<Array<string>> =>
  Effect.flatMap(
    Effect.orElseSucceed(provider.load(path), () => undefined),
    (node) =>
      Effect.map(
        Effect.forEach(node?._tag === "Record" ? node.keys : [], (key) => namesIn(provider, [...path, key])),
        (names) => [...(node?.value === undefined ? [] : [path.join("_")]), ...names.flat()]
      )
  )

/** Returns how many characters to insert, delete, replace or swap with a neighbour to turn `a` into `b`. */
const distance = (a: string, b: string): number => {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= a.length; row++) {
    rows.push([row])
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1]
      const isSwapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      rows[row]!.push(
        Math.min(
          rows[row - 1]![column]! + 1,
          rows[row]![column - 1]! + 1,
          rows[row - 1]![column - 1]! + (isSame ? 0 : 1),
          isSwapped ? rows[row - 2]![column - 2]! + 1 : Infinity
        )
      )
    }
  }
  return rows[a.length]![b.length]!
}

/**
 * Returns the variables that are almost one of `names`, each with the intended name. Short names have no near misses.
 */
export const inEnvironment = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
  const found = yield* namesIn(yield* ConfigProvider.ConfigProvider)
  return found.flatMap((written) => {
    if (names.includes(written)) return []
    const meant = names.find((name) => distance(written, name) <= Math.min(2, Math.floor(name.length / 6)))
    return meant === undefined ? [] : [{ written, meant }]
  })
})
