/** Ports for servers that listen later, or again: see `FreePort`. */
import { Effect } from "effect"
import * as FreePort from "../../src/platform/FreePort.ts"

const given = new Set<number>()

/** Whether a port is one of those that the first sixteen processes of a run share out among themselves. */
const isOwn = (port: number) => port % 16 === Number(process.env["VITEST_POOL_ID"] ?? 0) % 16

/** A port where nobody listens, and which no other call of this process returns. */
export const freePort = Effect.repeat(Effect.orDie(FreePort.find("127.0.0.1")), {
  until: (port) => isOwn(port) && given.size < given.add(port).size
})
