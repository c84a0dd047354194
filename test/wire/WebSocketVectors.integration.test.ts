/** The recorded handshakes and frames of stock WebSocket clients, sent to a running service as they were recorded. */
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Wire from "../faults/Wire.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import { vectors } from "./support.ts"

interface Vector {
  readonly name: string
  readonly request_head?: string
  readonly response_head?: string
  readonly frames_from_client_unmasked?: ReadonlyArray<string>
}
const recorded: ReadonlyArray<Vector> = vectors("websocket").vectors

const head = recorded.find(({ request_head }) => request_head !== undefined)!.request_head!

/** The frames of a client, each with its opcode and its payload. A long payload is recorded in part, and is zeros here. */
const framesOf = ({ frames_from_client_unmasked = [] }: Vector) =>
  frames_from_client_unmasked.flatMap((text) => {
    const [, opcode, length, hex] = /^op=(\d+) .*len=(\d+) ([\da-f]*)/.exec(text) ?? []
    if (opcode === undefined) return []
    const payload = Buffer.alloc(Number(length))
    payload.write(hex!, "hex")
    return [{ opcode: Number(opcode), payload }]
  })

const connect = Effect.fnUntraced(function* (more = "") {
  const { url } = yield* Service.TestService
  const { id, token } = yield* People.agent()
  const wire = yield* Wire.connect(url)
  const authorized = head.replace(
    /Coder-Session-Token: .*\r\n/,
    `Coder-Session-Token: ${Redacted.value(token)}\r\n${more}`
  )
  yield* wire.send(authorized)
  return { ...wire, agentId: id }
})

layer(Service.layer, { excludeTestServices: true })("a stock WebSocket client", (it) => {
  it.effect("is refused with the recorded status and shape when its token is wrong [WI-47]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const wire = yield* Wire.connect(url)

      yield* wire.send(head.replace("Connection: Upgrade", "Connection: Upgrade, close"))
      const response = String(yield* wire.ended)

      assert.match(response, /^HTTP\/1\.1 401 /)
      assert.match(response, /\{[^{]*"message":/)
    })
  )

  it.effect("gets the recorded handshake, without an extension or a subprotocol, whatever it offers [WI-47]", () =>
    Effect.gen(function* () {
      const wire = yield* connect(
        "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n"
      )
      yield* wire.send(Wire.frame(8, Buffer.from("03e8", "hex")))
      const [response] = String(yield* wire.ended).split("\r\n\r\n")

      const names = (text: string) => [...text.matchAll(/^([\w-]+):/gm)].map(([, name]) => name!.toLowerCase()).sort()
      const expected = recorded.find(({ response_head }) => response_head !== undefined)!.response_head!
      assert.match(response!, /^HTTP\/1\.1 101 /)
      assert.deepStrictEqual(names(response!), names(expected))
    })
  )

  it.effect("may send every frame that was recorded, and is closed with its own close code [WI-47]", () =>
    Effect.gen(function* () {
      const closing = recorded.filter((vector) => framesOf(vector).some(({ opcode }) => opcode === 8))
      assert.isAbove(closing.length, 7)
      for (const vector of closing) {
        const wire = yield* connect()
        const frames = framesOf(vector).filter(({ payload }) => payload.length < 126)
        for (const { opcode, payload } of frames) yield* wire.send(Wire.frame(opcode, payload))
        const received = yield* wire.ended

        const { payload } = frames.at(-1)!
        assert.strictEqual(Wire.closeCode(received), payload.readUInt16BE(), vector.name)
      }
    })
  )

  it.effect("may cut its connection without a close frame [WI-47]", () =>
    Effect.gen(function* () {
      const { logged } = yield* Service.TestService
      const { agentId, vanish } = yield* connect()
      yield* logged("agent connected", agentId)
      yield* vanish
      yield* logged("agent disconnected", agentId)
    })
  )
})
