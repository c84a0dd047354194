/** The recorded session of a stock agent, whose calls of the tailnet are served by the tailnet. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result, Stream } from "effect"
import { AgentId } from "../../src/domain/Ids.ts"
import * as Authority from "../../src/tailnet/Authority.ts"
import * as Coordinator from "../../src/tailnet/Coordinator.ts"
import { DerpMaps } from "../../src/tailnet/DerpMaps.ts"
import { decodeRequest } from "../../src/tailnet/internal/messages.ts"
import { fromBytes, type PeerId } from "../../src/tailnet/Peer.ts"
import * as TailnetService from "../../src/tailnet/TailnetService.ts"
import * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import * as Recording from "../wire/recording.ts"
import * as Wire from "../wire/support.ts"
import { layerServices } from "./services.ts"
import { connect, recordedMap } from "./support.ts"

const idOf = (byte: number): PeerId => Option.getOrThrow(fromBytes(new Uint8Array(16).fill(byte)))

/** The call of Coordinate: its stream, the agent's node, and where the recorded server tells the agent of its partner. */
const coordination = () => {
  const [streamId, frames] = [...Recording.client].find(
    ([id, frames]) => id !== 0 && String(Buffer.from(Recording.packetsOf(frames)[0]!.body)).endsWith("/Coordinate")
  )!
  const { updateSelf } = Result.getOrThrow(decodeRequest(Recording.packetsOf(frames)[1]!.body))
  const told = Wire.hex(Recording.packetsOf(Recording.server.get(streamId)!)[0]!.body)
  return {
    streamId,
    node: updateSelf!,
    toldAt: Recording.events.findIndex(({ dir, hex }) => dir === "s2c" && hex?.includes(told) === true)
  }
}

describe("a whole recorded session, with its tailnet", () => {
  it.effect("gets the recorded packets on every stream, those of Coordinate and of the DERP map too [TC-43]", () =>
    Effect.gen(function* () {
      const id = idOf(0x11)
      const caller = { peer: { id, name: "agent", authority: Authority.agent(AgentId.make(id)) } }
      const served = (yield* TailnetService.make)((_: undefined) => caller)
      const names = new Set(served.map(({ name }) => name))
      const replay = yield* Wire.connect(
        DrpcMultiplexer.make([...Recording.entries().filter(({ name }) => !names.has(name)), ...served]),
        undefined
      )
      const { node, streamId, toldAt } = coordination()
      const witness = yield* connect("witness")
      yield* witness.addTunnel(id)
      const partner = yield* connect("partner", { id: idOf(0x77) })
      yield* partner.send({ updateSelf: node })

      yield* replay.send(Recording.sentIn(Recording.events.slice(0, toldAt)))
      assert.include(yield* witness.next, "(node update)")
      yield* partner.addTunnel(id)
      assert.lengthOf(yield* replay.packets(streamId), 1)
      // one by one, as they were read: the service ends its stream before the agent does
      yield* Effect.forEach(Recording.events.slice(toldAt), (event) =>
        Effect.andThen(replay.send(Recording.sentIn([event])), Effect.yieldNow)
      )

      yield* Recording.assertReplayed(replay)
      assert.match(yield* partner.next, /^node .*\(add tunnel\)$/s)
      assert.strictEqual(yield* partner.next, `readyForHandshake ${id}`)
      assert.strictEqual(yield* partner.next, `disconnected ${id} (graceful disconnect)`)
      assert.isUndefined(yield* (yield* Coordinator.Coordinator).peer(id))
    }).pipe(
      Effect.provideService(DerpMaps, {
        current: Effect.succeed(recordedMap),
        changes: Stream.make(recordedMap).pipe(Stream.concat(Stream.never))
      }),
      Effect.provide(layerServices)
    )
  )
})
