/** The structure that `src/README.md` draws: which room may look into which. */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import * as Path from "node:path"

const files = globSync("src/**/*.{ts,tsx}", { exclude: (name) => name.endsWith(".d.ts") })

/** From the ground up: a room looks only into rooms that stand before it. */
const rooms = [
  "domain",
  "platform",
  "batcher",
  "pubsub",
  "access",
  "metadata",
  "usage",
  "telemetry",
  "wire",
  "agentapi",
  "tailnet",
  "watch",
  "admin",
  "operations",
  "dashboard",
  "workers",
  "postgres",
  "storage",
  "fleet",
  "agent",
  "Config",
  "Api",
  "Database",
  "Server",
  "Serve",
  "ServeWorkers",
  "Cli",
  "main",
  "index"
]

/** The room of a file: its folder under `src`, or its own name at the top. */
const roomOf = (file: string): string => {
  const [first, ...rest] = Path.relative("src", file).split(Path.sep)
  return rest.length === 0 ? Path.basename(first!, ".ts") : first!
}

const imports = files.flatMap((file) =>
  [...readFileSync(file, "utf8").matchAll(/^(?:import|export)\b[^"]*?\bfrom "([^"]+)"|\bimport\("([^"]+)"\)/gms)].map(
    ([, from, dynamic]) => {
      const target = (from ?? dynamic)!
      return { file, target: target.startsWith(".") ? Path.join(Path.dirname(file), target) : target }
    }
  )
)

/** Every node that leads back to itself. */
const circular = (nodes: ReadonlyArray<string>, edges: ReadonlyArray<readonly [string, string]>) => {
  const next = Map.groupBy(edges, ([from]) => from)
  const reaches = (from: string, goal: string, seen: Set<string>): boolean =>
    (next.get(from) ?? []).some(([, to]) => {
      if (to === goal) return true
      if (seen.has(to)) return false
      seen.add(to)
      return reaches(to, goal, seen)
    })
  return nodes.filter((node) => reaches(node, node, new Set()))
}

describe("the layout", () => {
  it("gives every file a room", () => {
    assert.deepStrictEqual(
      files.filter((file) => !rooms.includes(roomOf(file))),
      []
    )
  })

  it("lets a room look only into rooms that stand before it", () => {
    const forbidden = imports.filter(
      ({ file, target }) => target.startsWith("src") && rooms.indexOf(roomOf(target)) > rooms.indexOf(roomOf(file))
    )

    assert.deepStrictEqual(forbidden, [])
  })

  it("keeps the inside of a room to itself", () => {
    const forbidden = imports.filter(
      ({ file, target }) => target.includes(`${Path.sep}internal${Path.sep}`) && roomOf(file) !== roomOf(target)
    )

    assert.deepStrictEqual(forbidden, [])
  })

  it("has no circle of files", () => {
    assert.deepStrictEqual(
      circular(
        files,
        imports.map(({ file, target }) => [file, target] as const)
      ),
      []
    )
  })

  it("has no circle of rooms", () => {
    const between = imports
      .filter(({ target }) => target.startsWith("src"))
      .map(({ file, target }) => [roomOf(file), roomOf(target)] as const)
      .filter(([from, to]) => from !== to)

    assert.deepStrictEqual(circular(rooms, between), [])
  })

  it("lets only adapters to Postgres see SQL: those of storage, and the pubsub over Postgres with its connection", () => {
    const forbidden = imports.filter(
      ({ file, target }) =>
        /^(@effect\/sql-pg|effect\/sql)/.test(target) &&
        roomOf(file) !== "storage" &&
        !/^src\/pubsub\/(PgPubSub|internal\/pgConnection)\.ts$/.test(file)
    )

    assert.deepStrictEqual(forbidden, [])
  })

  it("lets no port load what only its callers need", () => {
    const ports = new Set(
      files.filter((file) => /^src\/agentapi\/ports\/|Store\.ts$/.test(file) && !file.startsWith("src/storage/"))
    )

    assert.deepStrictEqual(
      imports.filter(({ file, target }) => ports.has(file) && /^effect\/(rpc|http|http-api|sql)/.test(target)),
      []
    )
  })

  it("lets the domain and the batcher depend on effect alone", () => {
    const forbidden = imports.filter(
      ({ file, target }) =>
        ["domain", "batcher"].includes(roomOf(file)) && !target.startsWith("src") && !/^effect(\/|$)/.test(target)
    )

    assert.deepStrictEqual(forbidden, [])
  })

  it("has no file over 400 lines, and no folder over 30 files", () => {
    const all = [...files, ...globSync("test/**/*.ts")].filter((file) => !file.startsWith("src/wire/generated/"))
    const inFolders = Map.groupBy(files, (file) => Path.dirname(file))

    assert.deepStrictEqual(
      all.filter((file) => readFileSync(file, "utf8").split("\n").length > 401),
      []
    )
    assert.deepStrictEqual(
      [...inFolders].filter(([, held]) => held.length > 30).map(([folder]) => folder),
      []
    )
  })
})
