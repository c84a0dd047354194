/** Ports for servers that listen later, or again: see `FreePort`. */
import { Effect } from "effect"
import * as FreePort from "../../src/platform/FreePort.ts"

const given = new Set<number>()

/** A port where nobody listens, and which no other call of this process returns. */
export const freePort = Effect.repeat(Effect.orDie(FreePort.find("127.0.0.1")), {
  until: (port) => given.size < given.add(port).size
})
