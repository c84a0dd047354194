/** Ports for servers that listen later, or again: see `FreePort`. */
import { Effect } from "effect"
import * as FreePort from "../../src/platform/FreePort.ts"

const given = new Set<number>()

/** Each process of a run has ports of its own. */
const isOwn = (port: number) => port % 64 === Number(process.env["VITEST_POOL_ID"] ?? 0) % 64

/** A port where nobody listens, and which no other call of a run returns. */
export const freePort = Effect.repeat(Effect.orDie(FreePort.find("127.0.0.1")), {
  until: (port) => isOwn(port) && given.size < given.add(port).size
})
