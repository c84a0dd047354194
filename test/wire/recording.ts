/** The recorded session of a stock client and a stock server, of which every call may be replayed. */
import { assert } from "@effect/vitest"
import { Effect, Option } from "effect"
import type * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import * as Wire from "./support.ts"

export const events: ReadonlyArray<Wire.Event> = Wire.vectors("session").events
const { Kind, Type } = Wire

/** The bytes that the client sent in some of the events. */
export const sentIn = (part: ReadonlyArray<Wire.Event>): Uint8Array =>
  Buffer.concat(part.filter(({ dir }) => dir === "c2s").map(Wire.bytesOf))

/** The recorded frames of one side, by stream. */
const recorded = (dir: "c2s" | "s2c") =>
  Map.groupBy(
    Wire.frames(events.filter((event) => event.dir === dir).map(Wire.bytesOf)),
    ({ streamId }: Wire.Frame) => streamId
  )
export const packetsOf = (frames: ReadonlyArray<Wire.Frame>) =>
  Wire.packets(frames.filter(({ type }) => type === Type.data).map(({ body }) => body))

export const client = recorded("c2s")
export const server = recorded("s2c")

/** Handlers that return what the recorded server returned, call by call. */
export const entries = (): ReadonlyArray<DrpcMultiplexer.Entry<undefined>> => {
  const responses = new Map<string, Array<ReturnType<typeof packetsOf>>>()
  for (const [streamId, frames] of client) {
    if (streamId === 0) continue
    const name = Buffer.from(packetsOf(frames)[0]!.body).toString()
    responses.set(name, [...(responses.get(name) ?? []), packetsOf(server.get(streamId)!)])
  }
  return [...responses].flatMap(([name, calls]): ReadonlyArray<DrpcMultiplexer.Entry<undefined>> => {
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

/** Waits for the end of every stream of a replay, and compares each with the recorded one. */
export const assertReplayed = Effect.fnUntraced(function* ({
  seen,
  until
}: Pick<Effect.Success<ReturnType<typeof Wire.connect>>, "seen" | "until">) {
  const ended = () => new Set(seen.filter(({ flags }) => (flags & Wire.Flag.fin) !== 0).map((frame) => frame.streamId))
  yield* until(() => (ended().size === server.size - 1 ? true : undefined))
  const got = Map.groupBy(seen, ({ streamId }) => streamId)
  for (const [streamId, frames] of server) {
    assert.deepStrictEqual(summary(got.get(streamId)!), summary(frames), `stream ${streamId}`)
  }
})
