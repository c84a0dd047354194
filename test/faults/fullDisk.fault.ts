/** The disk of the database is full for a while. */
import { describe } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { run } from "../../src/postgres/internal/childProcess.ts"
import * as Token from "../../src/access/Token.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Database from "./Database.ts"
import * as Replica from "./Replica.ts"
import { and, expect, lasting, scenarioOfDatabase } from "./scenario.ts"
import * as World from "./World.ts"

/** A disk of its own, in memory. Mounting one takes root. */
const disk = Effect.fnUntraced(function* (mebibytes: number) {
  const folder = yield* emptyFolder
  const asRoot = process.geteuid?.() === 0 ? [] : ["sudo", "-n"]
  const command = (...args: ReadonlyArray<string>) => {
    const [program, ...rest] = [...asRoot, ...args]
    return Effect.flatMap(run({ command: program!, args: rest, cwd: "/", account: undefined }), ({ code, output }) =>
      code === 0 ? Effect.void : Effect.die(new Error(`${args.join(" ")}: ${output}`))
    )
  }
  yield* Effect.acquireRelease(
    command("mount", "-t", "tmpfs", "-o", `size=${mebibytes}m,mode=777`, "tmpfs", folder),
    () => Effect.orDie(command("umount", "--lazy", folder))
  )
  return folder
}, Effect.orDie)

/** Writes a file until nothing more fits on its disk; returns its size in bytes. */
const fill = (path: string): number => {
  const file = Fs.openSync(path, "w")
  let bytes = 0
  for (const chunk of [1 << 20, 1 << 12, 1]) {
    const zeros = new Uint8Array(chunk)
    try {
      for (;;) bytes += Fs.writeSync(file, zeros)
    } catch {
      // this size no longer fits
    }
  }
  Fs.closeSync(file)
  return bytes
}

const full = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* disk(160)
  const database = yield* Database.make({ dataDir: Path.join(folder, "data") })
  const world = yield* World.make({ database, agents: 40, keys: 20 })
  const { fleet, replica } = world
  const ballast = Path.join(folder, "ballast")
  const problems = Effect.promise(async (signal) => {
    const response = await fetch(`${replica.url}/api/v2/dashboard/overview`, {
      headers: { [Token.header]: Replica.adminToken },
      signal
    })
    return ((await response.json()) as { readonly problems: ReadonlyArray<string> }).problems
  })
  const load = { to: () => replica.url, every: 500 }
  yield* fleet.whileReporting(load, lasting("3 seconds"))
  const bytes = yield* Effect.sync(() => fill(ballast))
  // longer values, so that the table has to grow
  const seen = yield* fleet.whileReporting(
    { ...load, padding: ` ${"x".repeat(1_900)}` },
    Effect.gen(function* () {
      yield* lasting("15 seconds")
      const metric = yield* replica.metrics
      const failures = metric("flush_failures_total")
      const found = yield* problems
      yield* fs.remove(ballast)
      yield* lasting("3 seconds")
      return { failures, found }
    })
  )
  const outcome = World.lossless(yield* World.look(world))
  return and(
    outcome,
    expect(bytes > 0, "the disk was full from the beginning"),
    expect(seen.failures > 0, "no write failed"),
    expect(seen.found.length > 0, "the overview said that the service was healthy")
  )
}).pipe(Effect.orDie)

describe("a full disk", () => {
  scenarioOfDatabase("23 · The disk of the database is full for 15 s", "values are not on that disk", full)
})
