/**
 * Bytes that no client of the protocol sends: whatever they are, only their own session ends, cleanly, and nothing is held
 * beyond its limits.
 *
 * `FUZZ_RUNS` says how many sessions are tried, `FUZZ_SEED` which.
 */
import { createRegistry, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Option } from "effect"
import * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import { Agent, file_agent } from "../../src/wire/generated/agent_pb.ts"
import { file_tailnet, Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import * as WireServer from "../../src/wire/WireServer.ts"
import * as Wire from "./support.ts"

const { FUZZ_RUNS: runs = "300", FUZZ_SEED: seed = "a client" } = process.env

/** Numbers of which the seed is the only cause (mulberry32). */
const randomOf = (seed: string) => {
  let state = [...seed].reduce((hash, char) => Math.imul(hash ^ char.codePointAt(0)!, 0x01000193), 0x811c9dc5)
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { below: (limit: number) => Math.floor(next() * limit) }
}
type Random = ReturnType<typeof randomOf>

/** Some bytes changed, left out, doubled or cut. */
const mutate = (bytes: Uint8Array, random: Random): Uint8Array => {
  let mutated = Buffer.from(bytes)
  for (let count = random.below(4); count >= 0; count--) {
    const at = random.below(mutated.length + 1)
    const to = Math.min(mutated.length, at + random.below(20))
    const [before, piece, after] = [mutated.subarray(0, at), mutated.subarray(at, to), mutated.subarray(to)]
    mutated = Buffer.concat(
      [
        [before, Buffer.from(piece.map(() => random.below(256))), after],
        [before, after],
        [before, piece, piece, after],
        [before, Buffer.alloc(random.below(8), 0xff), after],
        [before]
      ][random.below(5)]!
    )
  }
  return mutated
}

const client = Buffer.concat(
  (Wire.vectors("session").events as ReadonlyArray<Wire.Event>).filter(({ dir }) => dir === "c2s").map(Wire.bytesOf)
)

/** Frames that are right one by one, in an order that is not. */
const disorder = (random: Random): Uint8Array =>
  Buffer.concat(
    Array.from({ length: random.below(40) }, () => {
      const streamId = random.below(6)
      const body = Wire.packet(random.below(9), random.below(3), random.below(5), Buffer.alloc(random.below(80), 1))
      return [
        () => Wire.open(streamId),
        () => Wire.end(streamId),
        () => Wire.data(streamId, body, random.below(16)),
        () => Wire.data(streamId, Wire.unary(Wire.bytesOf({ hex: "2f" }).toString(), body)),
        () => Wire.data(streamId, mutate(Wire.unary("/coder.tailnet.v2.Tailnet/Coordinate", body), random)),
        () => Wire.frame(random.below(4), random.below(16), streamId, random.below(3))
      ][random.below(6)]!()
    })
  )

const multiplexer = DrpcMultiplexer.make<undefined>([
  ...Object.values(Agent.method).map((method) =>
    DrpcMultiplexer.unary<DescMessage, DescMessage, undefined>(method, () => Effect.succeed({}))
  ),
  DrpcMultiplexer.serverStreaming(Tailnet.method.streamDERPMaps, (_, send) => Effect.andThen(send({}), Effect.never)),
  DrpcMultiplexer.bidirectional(Tailnet.method.coordinate, ({ receive, send }) =>
    Effect.flatMap(receive, (request) => (Option.isNone(request) ? Effect.void : send({ error: "again" }))).pipe(
      Effect.forever
    )
  )
])

describe("a server", () => {
  it.effect("ends no session but the one that is broken, whatever that sends [WI-51]", () =>
    Effect.gen(function* () {
      const random = randomOf(seed)
      const server = yield* WireServer.make({ maxStreams: 256, maxHeldBytes: 1_000_000 })
      const good: Array<Uint8Array> = []
      const bystander = yield* server.open(multiplexer, undefined, {
        write: (bytes) => void good.push(bytes),
        drained: Effect.void,
        ended: (reason) => Effect.die(reason)
      })

      for (let run = 0; run < Number(runs); run++) {
        const input = random.below(2) === 0 ? mutate(client, random) : disorder(random)
        const chunks: Array<Uint8Array> = []
        for (let offset = 0; offset < input.length;) {
          const size = 1 + random.below(300)
          chunks.push(new Uint8Array(input.subarray(offset, offset + size)))
          offset += size
        }
        const sent: Array<Uint8Array> = []
        yield* Effect.scoped(
          Effect.gen(function* () {
            const session = yield* server.open(multiplexer, undefined, {
              write: (bytes) => void sent.push(bytes),
              drained: Effect.void,
              ended: () => Effect.void
            })
            for (const chunk of chunks) session.receive([chunk])
          })
        )
        // its output is a session as a client understands it
        Wire.frames(sent)
      }

      bystander.receive([Wire.bytes("000200010000000000000007")])
      assert.lengthOf(good, 1)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it("reads a message that is broken, or rejects it, and needs no more memory than the message has [WI-52]", () => {
    const random = randomOf(seed)
    const registry = createRegistry(file_agent, file_tailnet)
    const messages: ReadonlyArray<{ type: string; hex: string }> = Wire.vectors("messages").vectors
    let refused = 0

    for (let run = 0; run < 10 * Number(runs); run++) {
      const { hex, type } = messages[random.below(messages.length)]!
      const message = registry.getMessage(type)!
      const bytes = mutate(Wire.bytes(hex), random)
      try {
        const read = fromBinary(message, bytes)
        assert.isAtMost(toBinary(message, read).length, 12 * bytes.length + 64)
      } catch (error) {
        assert.instanceOf(error, Error)
        refused++
      }
    }

    assert.isAbove(refused, 0)
  })
})
