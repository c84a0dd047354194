/** The requests that each kind of peer may make. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { AgentId } from "../../src/domain/Ids.ts"
import * as Authority from "../../src/tailnet/Authority.ts"
import { type Node, PeerId, type Request } from "../../src/tailnet/Peer.ts"
import { newPeerId } from "./support.ts"

const id = AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
const self = PeerId.make(id)
const own = [
  "fd7a:115c:a1e0:4c1d:9a3e:d3c:5a3f:9d10/128",
  "fd60:627a:a42b:4c1d:9a3e:d3c:5a3f:9d10/128",
  "fd7a:115c:a1e0:49d6:b259:b7ac:b1b2:48f4/128"
]

const withAddresses = (addresses: ReadonlyArray<string>, allowedIps: ReadonlyArray<string> = []): Node => ({
  bytes: new Uint8Array(),
  withoutTime: new Uint8Array(),
  addresses,
  allowedIps
})

const refusal = (authority: Authority.Authority, request: Request) =>
  Effect.map(Effect.result(authority.authorize(request)), (result) =>
    Result.isSuccess(result) ? undefined : result.failure.message
  )

const notAnAddress = (text: string) => `parse node address: ${JSON.stringify(text)} is not an address with its bits`
const wrongBits = (bits: number) => `invalid address bits, expected 128, got ${bits}`

/** Texts that are no address of a single host, with the refusals of them. */
const wide: ReadonlyArray<readonly [string, string]> = [
  ["fd7a:115c:a1e0:4c1d:9a3e:d3c:5a3f:9d10/127", wrongBits(127)],
  ["::/0", wrongBits(0)],
  ["0.0.0.0/0", wrongBits(0)],
  ["10.0.0.1/32", wrongBits(32)],
  ...[
    "fd7a:115c:a1e0:4c1d:9a3e:d3c:5a3f:9d10",
    "fd7a:115c:a1e0:4c1d:9a3e:d3c:5a3f:9d10/128/128",
    "fd7a:115c:a1e0:4c1d:9a3e:d3c:5a3f:9d10/0128",
    "fd7a:115c:a1e0:4c1d:9a3e:d3c:5a3f:9d10%eth0/128",
    "::/129",
    "10.0.0.1/33",
    "example.com/128",
    "]@example.com/128",
    "",
    "/128"
  ].map((text) => [text, notAnAddress(text)] as const)
]

const another = "fd7a:115c:a1e0:4c1d:9a3e:d3c:5a3f:9d11"

describe("the authority of an agent", () => {
  const agent = Authority.agent(id)

  it.effect("takes the addresses that follow from the agent's id, in any spelling [TC-26]", () =>
    Effect.gen(function* () {
      const spelled = own[0]!.toUpperCase().replace(":D3C:", ":0D3C:")

      assert.isUndefined(yield* refusal(agent, { updateSelf: withAddresses([...own, spelled], own) }))
      assert.isUndefined(yield* refusal(agent, { updateSelf: withAddresses([]) }))
    })
  )

  it.effect("rejects every other address, and every other address that traffic is taken for [TC-27]", () =>
    Effect.gen(function* () {
      for (const [address, expected] of [
        ...wide,
        [`${another}/128`, `invalid node address, got ${another}`] as const
      ]) {
        assert.strictEqual(yield* refusal(agent, { updateSelf: withAddresses([own[0]!, address]) }), expected)
        assert.strictEqual(yield* refusal(agent, { updateSelf: withAddresses(own, [own[0]!, address]) }), expected)
      }
    })
  )

  it.effect("quotes no more than the beginning of a long address", () =>
    Effect.gen(function* () {
      const text = yield* refusal(agent, { updateSelf: withAddresses(["x".repeat(10_000)]) })

      assert.isBelow(text!.length, 128)
    })
  )

  it.effect(
    "quotes no secret of an address, although the quotation is cut within it, because refusals are logged",
    () =>
      Effect.gen(function* () {
        const address = `https://ada:${"secret".repeat(20)}@example.com`

        const text = yield* refusal(agent, { updateSelf: withAddresses([address]) })

        assert.strictEqual(text, notAnAddress("https://ada:<redacted>@example.com"))
      })
  )

  it.effect("rejects tunnels and takes handshakes [TC-28]", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* refusal(agent, { addTunnel: newPeerId() }), "agents cannot open tunnels")
      assert.strictEqual(yield* refusal(agent, { addTunnel: self }), "agents cannot open tunnels")
      assert.isUndefined(yield* refusal(agent, { readyForHandshake: [newPeerId()] }))
      assert.isUndefined(yield* refusal(agent, { removeTunnel: newPeerId(), disconnect: true }))
    })
  )
})

describe("the authority of a client of one agent", () => {
  const client = Authority.clientOf(id)

  it.effect("takes a tunnel to that agent alone [TC-29]", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* refusal(client, { addTunnel: self }))
      const other = newPeerId()
      const expected = `invalid agent id, expected ${id}, got ${other}`
      assert.strictEqual(yield* refusal(client, { addTunnel: other }), expected)
    })
  )

  it.effect("takes addresses of single hosts, and rejects networks and handshakes [TC-30]", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* refusal(client, { updateSelf: withAddresses([`${another}/128`], ["::/0"]) }))
      for (const [address, expected] of wide) {
        const addresses = withAddresses([`${another}/128`, address])
        assert.strictEqual(yield* refusal(client, { updateSelf: addresses }), expected)
      }
      assert.strictEqual(
        yield* refusal(client, { readyForHandshake: [self] }),
        "clients may not send ready_for_handshake"
      )
      assert.isUndefined(yield* refusal(client, { readyForHandshake: [] }))
    })
  )
})

describe("the authority of a user's client", () => {
  it.effect("takes tunnels to the agents that the user may reach, and rejects others in one text [TC-31]", () =>
    Effect.gen(function* () {
      const user = Authority.user((to) => Effect.succeed(to === self))
      const other = newPeerId()

      assert.isUndefined(yield* refusal(user, { addTunnel: self }))
      assert.strictEqual(
        yield* refusal(user, { addTunnel: other }),
        "workspace agent not found or you do not have permission"
      )
      assert.strictEqual(
        yield* refusal(user, { addTunnel: self, readyForHandshake: [self] }),
        "clients may not send ready_for_handshake"
      )
    })
  )
})
