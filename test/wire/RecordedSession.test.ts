import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import * as Wire from "./support.ts"

const events: ReadonlyArray<Wire.Event> = Wire.vectors("session").events
const { Kind, Type } = Wire

/** The recorded frames of one side, by stream. */
const recorded = (dir: "c2s" | "s2c") =>
  Map.groupBy(
    Wire.frames(events.filter((event) => event.dir === dir).map(Wire.bytesOf)),
    ({ streamId }: Wire.Frame) => streamId
  )
const packetsOf = (frames: ReadonlyArray<Wire.Frame>) =>
  Wire.packets(frames.filter(({ type }) => type === Type.data).map(({ body }) => body))

const client = recorded("c2s")
const server = recorded("s2c")

/** Handlers that return what the recorded server returned, call by call. */
const replayed = () => {
  const responses = new Map<string, Array<ReturnType<typeof packetsOf>>>()
  for (const [streamId, frames] of client) {
    if (streamId === 0) continue
    const name = Buffer.from(packetsOf(frames)[0]!.body).toString()
    responses.set(name, [...(responses.get(name) ?? []), packetsOf(server.get(streamId)!)])
  }
  return DrpcMultiplexer.make<undefined>(
    [...responses].flatMap(([name, calls]): ReadonlyArray<DrpcMultiplexer.Entry<undefined>> => {
      const isBidirectional = name.endsWith("/Coordinate")
      if (calls[0]![0]!.kind === Kind.error) return []
      if (!isBidirectional && !name.endsWith("/StreamDERPMaps")) {
        const handle = () => Effect.sync(() => calls.shift()![0]!.body)
        return [{ name, handler: { _tag: "Unary", handle } }]
      }
      const handle = ({ receive, send }: DrpcMultiplexer.Messages<Uint8Array, Uint8Array>) =>
        Effect.gen(function* () {
          const first = yield* receive
          assert.isTrue(Option.isSome(first))
          yield* send(calls.shift()![0]!.body)
          if (!isBidirectional) return yield* Effect.never
          // the disconnect is the third message
          yield* receive
          yield* receive
        })
      return [{ name, handler: { _tag: "Streaming", isBidirectional, handle } }]
    })
  )
}

/**
 * The part of one side on a stream: its packets, and whether it was acknowledged and ended. The recorded server left out a
 * CloseSend where the client's Close was faster.
 */
const summary = (frames: ReadonlyArray<Wire.Frame>) => ({
  packets: packetsOf(frames)
    .filter(({ kind }) => kind !== Kind.closeSend)
    .map(Wire.packetInWords),
  flags: frames.reduce((flags, frame) => flags | frame.flags, 0)
})

describe("a whole recorded session", () => {
  for (const size of [1, 7, 100_000]) {
    it.effect(`gets the recorded packets on every stream, in reads of ${size} bytes [WI-50]`, () =>
      Effect.gen(function* () {
        const { seen, send, until } = yield* Wire.connect(replayed(), undefined)
        const all = Buffer.concat(events.filter(({ dir }) => dir === "c2s").map(Wire.bytesOf))

        for (let offset = 0; offset < all.length; offset += size) yield* send(all.subarray(offset, offset + size))
        const ended = () =>
          new Set(seen.filter(({ flags }) => (flags & Wire.Flag.fin) !== 0).map((frame) => frame.streamId))
        yield* until(() => (ended().size === server.size - 1 ? true : undefined))

        const got = Map.groupBy(seen, ({ streamId }) => streamId)
        for (const [streamId, frames] of server) {
          assert.deepStrictEqual(summary(got.get(streamId)!), summary(frames), `stream ${streamId}`)
        }
      })
    )
  }
})
