/** The structure that the design promises: which room may look into which. */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import * as Path from "node:path"

const files = globSync("src/**/*.ts")

/** The room of a file: its folder under src, or its own name at the top. */
const roomOf = (file: string): string => {
  const [first, ...rest] = Path.relative("src", file).split(Path.sep)
  return rest.length === 0 ? Path.basename(first!, ".ts") : first!
}

const imports = files.flatMap((file) =>
  [...readFileSync(file, "utf8").matchAll(/^(?:import|export)\b[^"]*?\bfrom "([^"]+)"/gms)].map(([, target]) => ({
    file,
    target: target!.startsWith(".") ? Path.join(Path.dirname(file), target!) : target!
  }))
)

/** From the ground up: a room looks only into rooms below its own floor, and into its neighbours where it says so. */
const floors = [
  ["domain", "platform"],
  ["batcher", "pubsub", "usage"],
  ["access"],
  ["agentapi", "watch", "http", "storage", "telemetry", "fleet", "dashboard"],
  ["Config"],
  ["Server"],
  ["Service"],
  ["Cli"],
  ["main", "index"]
]

const floorOf = (room: string) => floors.findIndex((rooms) => rooms.includes(room))

/** Ports live with their consumers, so that adapters look at them; clients look at contracts. */
const neighbours: Readonly<Record<string, ReadonlyArray<string>>> = {
  batcher: ["pubsub"],
  usage: ["batcher"],
  http: ["agentapi", "watch", "dashboard"],
  dashboard: ["agentapi", "http"],
  storage: ["agentapi", "http", "dashboard", "watch"],
  fleet: ["agentapi", "http"]
}

describe("the layout", () => {
  it("gives every file a room", () => {
    assert.deepStrictEqual(
      files.filter((file) => floorOf(roomOf(file)) === -1),
      []
    )
  })

  it("lets imports point down, or to a neighbour that is named", () => {
    const forbidden = imports.filter(({ file, target }) => {
      if (!target.startsWith("src")) return false
      const [from, to] = [roomOf(file), roomOf(target)]
      return from !== to && floorOf(to) >= floorOf(from) && !(neighbours[from] ?? []).includes(to)
    })

    assert.deepStrictEqual(forbidden, [])
  })

  it("keeps the inside of a room to itself", () => {
    const forbidden = imports.filter(
      ({ file, target }) => target.includes(`${Path.sep}internal${Path.sep}`) && roomOf(file) !== roomOf(target)
    )

    assert.deepStrictEqual(forbidden, [])
  })

  it("lets only storage and the Postgres pubsub see SQL", () => {
    const forbidden = imports.filter(
      ({ file, target }) =>
        /^(@effect\/sql-pg|effect\/sql)/.test(target) &&
        roomOf(file) !== "storage" &&
        !/^src\/pubsub\/(PgPubSub|internal\/listener)\.ts$/.test(file)
    )

    assert.deepStrictEqual(forbidden, [])
  })

  it("lets the domain depend on effect alone", () => {
    const forbidden = imports.filter(
      ({ file, target }) => roomOf(file) === "domain" && !target.startsWith("src") && !/^effect(\/|$)/.test(target)
    )

    assert.deepStrictEqual(forbidden, [])
  })

  it("has no import that leads back to itself", () => {
    const edges = new Map(
      files.map((file) => [file, imports.filter((one) => one.file === file).map(({ target }) => target)])
    )
    const reaches = (from: string, goal: string, seen = new Set<string>()): boolean =>
      (edges.get(from) ?? []).some((next) => {
        if (next === goal) return true
        if (seen.has(next)) return false
        seen.add(next)
        return reaches(next, goal, seen)
      })

    assert.deepStrictEqual(
      files.filter((file) => reaches(file, file)),
      []
    )
  })

  it("has no file over 400 lines", () => {
    const long = [...files, ...globSync("test/**/*.ts")].filter(
      (file) => readFileSync(file, "utf8").split("\n").length > 401
    )

    assert.deepStrictEqual(long, [])
  })
})
