/** Messages of the original's protocol against the requests and results of the contract. */
import {
  create,
  createRegistry,
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageShape,
  ScalarType,
  toBinary
} from "@bufbuild/protobuf"
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt"
import { assert, describe, it } from "@effect/vitest"
import { Option, Predicate, Schema } from "effect"
import { RpcSerialization } from "effect/rpc"
import { AgentApi } from "../../../src/agentapi/AgentApi.ts"
import * as Conversion from "../../../src/agentapi/wire/Conversion.ts"
import * as DerpMapMessage from "../../../src/agentapi/wire/DerpMapMessage.ts"
import * as Proto from "../../../src/wire/generated/agent_pb.ts"
import { DERPMapSchema, file_tailnet } from "../../../src/wire/generated/tailnet_pb.ts"
import * as Wire from "../../wire/support.ts"
import { expressible } from "./expressibleRequests.ts"
import { requests } from "./recordedRequests.ts"

interface Vector {
  readonly name: string
  readonly type: string
  readonly hex: string
}
const registry = createRegistry(Proto.file_agent, file_tailnet)
const recorded: ReadonlyArray<Vector> = Wire.vectors("messages").vectors.filter(({ type }: Vector) =>
  type.startsWith("coder.agent.v2.")
)

interface AnyRpc {
  readonly _tag: string
  readonly payloadSchema: Schema.Codec<unknown, unknown>
  readonly successSchema: Schema.Codec<unknown, unknown>
}
const rpcs = [...AgentApi.requests.values()] as ReadonlyArray<unknown> as ReadonlyArray<AnyRpc>
const methodOf = (tag: string) => Proto.Agent.methods.find(({ name }) => name === tag)!

const contractOf = ({ hex, type }: Vector) => {
  const desc = registry.getMessage(type)!
  return Conversion.toContract(desc, fromBinary(desc, Wire.bytes(hex)))
}

describe("a recorded message", () => {
  it("is the request of the contract that it stands for [WI-60]", () => {
    const inputs = new Set(Proto.Agent.methods.map(({ input }) => input.typeName))
    const ofAgents = recorded.filter(({ type }) => inputs.has(type))

    assert.sameMembers(
      ofAgents.map(({ name }) => name),
      Object.keys(requests)
    )
    for (const vector of ofAgents) assert.deepStrictEqual(contractOf(vector), requests[vector.name], vector.name)
  })

  it("is valid in the contract, both as a request and as a result [WI-60]", () => {
    let checked = 0
    for (const rpc of rpcs) {
      const { input, output } = methodOf(rpc._tag)
      for (const vector of recorded.filter(({ type }) => type === input.typeName || type === output.typeName)) {
        const schema = vector.type === input.typeName ? rpc.payloadSchema : rpc.successSchema
        Schema.decodeUnknownSync(RpcSerialization.json.codecFor(schema))(contractOf(vector))
        checked++
      }
    }

    assert.isAtLeast(checked, 30)
  })

  it("comes back from the contract with the same bytes, to the millisecond [WI-61]", () => {
    for (const vector of recorded) {
      const desc = registry.getMessage(vector.type)!
      const back = Wire.hex(toBinary(desc, Conversion.toMessage(desc, contractOf(vector))))
      // one and two microseconds
      const expected = vector.hex.replace(/^0a0d(0802|0805)1209(.*)10(e807|d00f)$/, "0a0a$11206$2")

      assert.strictEqual(back, expected.replace(/^08051209(.*)10d00f$/, "08051206$1"), vector.name)
    }
  })
})

/** A message with values of every kind; which, follows from the numbers that are drawn. */
const messageOf = (desc: DescMessage, draw: (limit: number) => number): MessageShape<DescMessage> => {
  const valueOf = (field: DescField): unknown => {
    if (field.message?.typeName === "google.protobuf.Timestamp") {
      return create(TimestampSchema, {
        seconds: BigInt(draw(2 ** 32)) - 5_000_000_000n,
        nanos: draw(1_000) * 1_000_000
      })
    }
    if (field.message?.typeName === "google.protobuf.Duration") {
      const isInNanos = Conversion.secondsAsNanos.has(`${field.parent.typeName}.${field.name}`)
      return create(DurationSchema, {
        seconds: BigInt(draw(1_000)),
        nanos: isInNanos ? draw(1_000) : draw(1_000) * 1_000_000
      })
    }
    if (field.message?.typeName === "google.protobuf.Struct") return { a: [draw(9), null, { b: "c" }] }
    if (field.message !== undefined) return messageOf(field.message, draw)
    if (field.enum !== undefined) return field.enum.values[draw(field.enum.values.length)]!.number
    switch (field.scalar!) {
      case ScalarType.INT64:
      case ScalarType.UINT64:
        return BigInt(draw(Number.MAX_SAFE_INTEGER))
      case ScalarType.BOOL:
        return draw(2) === 1
      case ScalarType.STRING:
        return ["", "a", "\u0000", "é😀", "x".repeat(draw(300))][draw(5)]
      case ScalarType.BYTES:
        return Uint8Array.from({ length: Conversion.isId(field) ? 16 : draw(40) }, () => draw(256))
      case ScalarType.DOUBLE:
        return draw(1_000) / 7 - 50
      case ScalarType.UINT32:
        return draw(2 ** 32)
      default:
        return draw(2 ** 32) - 2 ** 31
    }
  }
  const message = create(desc)
  for (const member of desc.members) {
    const field = member.kind === "oneof" ? member.fields[draw(member.fields.length)]! : member
    const isPresent = draw(4) > 0
    if (field.fieldKind === "list") {
      Object.assign(message, { [field.localName]: Array.from({ length: draw(3) }, () => valueOf(field)) })
    } else if (field.fieldKind === "map") {
      Object.assign(message, { [field.localName]: { [`key ${draw(99)}`]: valueOf(field) } })
    } else if (isPresent && member.kind === "oneof") {
      Object.assign(message, { [member.localName]: { case: field.localName, value: valueOf(field) } })
    } else if (isPresent) Object.assign(message, { [field.localName]: valueOf(field) })
  }
  return message
}

describe("the contract", () => {
  const messages = Proto.Agent.methods.flatMap(({ input, output }) => [input, output])

  it.prop(
    "is converted to what it was converted from, for every message of every call [WI-62]",
    { seed: Schema.Int },
    ({ seed }) => {
      let state = seed
      const draw = (limit: number) => {
        state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) | 0
        return Math.floor(((state >>> 0) / 2 ** 32) * limit)
      }
      for (const desc of messages) {
        const message = withoutMap(messageOf(desc, draw))
        const bytes = toBinary(desc, message)
        const back = Conversion.toMessage(desc, Conversion.toContract(desc, fromBinary(desc, bytes)))

        assert.strictEqual(Wire.hex(toBinary(desc, back)), Wire.hex(bytes), desc.typeName)
      }
    }
  )
})

/** The parts of a result that its message does not carry, by their paths. An absent scalar may come back as its default. */
const lost = (value: unknown, back: unknown, path = ""): ReadonlyArray<string> => {
  const parts = (of: unknown) => (Predicate.isObjectOrArray(of) ? Object.entries(of) : [])
  if (Predicate.isObjectOrArray(value)) {
    const present = new Map(parts(back))
    return parts(value).flatMap(([name, part]) => lost(part, present.get(name), `${path}.${name}`))
  }
  if (typeof value === "number" && typeof back === "number" && isNear(value, back, path)) return []
  return value === undefined || value === back ? [] : [`${path} ${JSON.stringify(value)}`]
}

/** Durations are exact to the nanosecond, as far as numbers are, and have a limit; those of metadata are rounded up. */
const isNear = (value: number, back: number, path: string) =>
  (path.startsWith(".metadata.") ? back === Math.ceil(value) : Math.abs(value - back) <= 1e-4) ||
  [315_576_000_000, Number.MAX_SAFE_INTEGER].includes(Math.abs(back))

describe("a result of the contract", () => {
  // random text is hardly ever a version
  const startup = Schema.Struct({ version: Schema.Literals(["v2.35.0", "v1"]), expanded_directory: Schema.String })
  const schemas = new Map(rpcs.map(({ _tag, successSchema }) => [_tag, successSchema])).set("UpdateStartup", startup)

  for (const [tag, schema] of schemas) {
    const codec = RpcSerialization.json.codecFor(schema)
    const { output } = methodOf(tag)

    it.prop(`is all behind the message that it is converted to: ${tag} [WI-62]`, { result: schema }, ({ result }) => {
      const json = Schema.encodeOption(codec)(result)
      // endless durations have no JSON
      if (Option.isNone(json)) return
      const { derp_map: _, ...encoded } = wellFormed(json.value as Conversion.JsonObject)
      const bytes = toBinary(output, Conversion.toMessage(output, encoded))
      const back = Conversion.toContract(output, fromBinary(output, bytes))

      // the protocol has no field for the entries of a report that were dropped
      assert.deepStrictEqual(lost({ ...encoded, dropped: undefined }, back), [])
      assert.strictEqual(Wire.hex(toBinary(output, Conversion.toMessage(output, back))), Wire.hex(bytes))
    })
  }
})

describe("a request of the contract", () => {
  for (const { _tag: tag, payloadSchema: whole } of rpcs) {
    const payloadSchema = expressible[tag] ?? whole
    const codec = RpcSerialization.json.codecFor(payloadSchema)
    const { input } = methodOf(tag)

    it.prop(
      `is all behind the message that it is converted to: ${tag} [WI-62]`,
      { request: payloadSchema },
      ({ request }) => {
        const json = Schema.encodeOption(codec)(request)
        if (Option.isNone(json)) return
        const encoded = wellFormed(json.value as Conversion.JsonObject)
        const bytes = toBinary(input, Conversion.toMessage(input, encoded))
        const back = Conversion.toContract(input, fromBinary(input, bytes))

        assert.deepStrictEqual(lost(encoded, back), [])
        assert.strictEqual(Wire.hex(toBinary(input, Conversion.toMessage(input, back))), Wire.hex(bytes))
      }
    )
  }
})

/** JSON as a message carries it, whose texts are UTF-8: a lone surrogate, which JSON escapes, is replaced. */
const wellFormed = (json: Conversion.JsonObject): Conversion.JsonObject =>
  JSON.parse(JSON.stringify(json).replace(/(?<=(?:^|[^\\])(?:\\\\)*)\\ud[89a-f][\da-f]{2}/g, "\ufffd"))

/** The relay map of a manifest has a conversion of its own. */
const withoutMap = (message: MessageShape<DescMessage>): MessageShape<DescMessage> =>
  "derpMap" in message ? ({ ...message, derpMap: undefined } as MessageShape<DescMessage>) : message

describe("a conversion", () => {
  it("carries seconds of metadata as nanoseconds, and other durations as they are [WI-63]", () => {
    const manifest = Conversion.toMessage(Proto.ManifestSchema, {
      metadata: [{ key: "cpu", interval: 10, timeout: 3 }],
      scripts: [{ timeout: 90.5 }],
      apps: [{ healthcheck: { interval: 5 } }]
    })

    assert.deepInclude(manifest.metadata[0]!.interval, { seconds: 0n, nanos: 10 })
    assert.deepInclude(manifest.metadata[0]!.timeout, { seconds: 0n, nanos: 3 })
    assert.deepInclude(manifest.scripts[0]!.timeout, { seconds: 90n, nanos: 500_000_000 })
    assert.deepInclude(manifest.apps[0]!.healthcheck!.interval, { seconds: 5n, nanos: 0 })
  })

  it("rounds seconds of metadata up: an agent reads 0 as once in a connection, and no time at all [WI-63]", () => {
    const metadata = [0, 0.001, 0.5, 1, 1.9].map((seconds) => ({ key: "cpu", interval: seconds, timeout: seconds }))
    const manifest = Conversion.toMessage(Proto.ManifestSchema, { metadata })

    const seconds = [0, 1, 1, 1, 2]
    assert.deepStrictEqual(
      manifest.metadata.map(({ interval }) => interval!.nanos),
      seconds
    )
    assert.deepStrictEqual(
      manifest.metadata.map(({ timeout }) => timeout!.nanos),
      seconds
    )
  })

  it("cuts durations to ten thousand years, and rejects none [WI-64]", () => {
    const seconds = [1e300, -1e300, 0.1].map((report_interval) => {
      const { reportInterval } = Conversion.toMessage(Proto.UpdateStatsResponseSchema, { report_interval })
      return [reportInterval!.seconds, reportInterval!.nanos]
    })

    assert.deepStrictEqual(seconds, [
      [315_576_000_000n, 0],
      [-315_576_000_000n, 0],
      [0n, 100_000_000]
    ])
  })

  it("cuts counters to the range of JSON, and rejects none [WI-64]", () => {
    const json = Conversion.toContract(
      Proto.StatsSchema,
      create(Proto.StatsSchema, { rxBytes: 2n ** 63n - 1n, txBytes: 2n ** 53n, connectionsByProto: { TCP: 2n ** 60n } })
    )

    assert.deepInclude(json, {
      rx_bytes: Number.MAX_SAFE_INTEGER,
      tx_bytes: Number.MAX_SAFE_INTEGER,
      connections_by_proto: { TCP: Number.MAX_SAFE_INTEGER }
    })
  })

  it("turns values that the contract does not know into ones that it rejects [WI-65]", () => {
    const app = Conversion.toContract(
      Proto.BatchUpdateAppHealthRequestSchema,
      create(Proto.BatchUpdateAppHealthRequestSchema, { updates: [{ id: new Uint8Array(15), health: 77 as never }] })
    )
    const time = Conversion.toContract(
      Proto.LifecycleSchema,
      create(Proto.LifecycleSchema, { changedAt: { seconds: 2n ** 60n, nanos: 0 } })
    )

    assert.deepStrictEqual(app, { updates: [{ id: "00".repeat(15), health: "77" }] })
    assert.deepStrictEqual(time, { state: "STATE_UNSPECIFIED", changed_at: "no time" })
  })

  it("gives every relay map its home parameters, and takes the names of the network's software [WI-66]", () => {
    const map = create(
      DERPMapSchema,
      DerpMapMessage.fromJson({
        HomeParams: { RegionScore: { 999: 1.5 } },
        Regions: {
          999: {
            EmbeddedRelay: true,
            RegionID: 999,
            RegionCode: "here",
            Nodes: [{ Name: "a", RegionID: 999, STUNPort: -1 }]
          },
          x: {}
        }
      })
    )

    assert.isDefined(create(DERPMapSchema, DerpMapMessage.fromJson({})).homeParams)
    assert.deepStrictEqual(map.homeParams?.regionScore, { 999: 1.5 })
    assert.deepStrictEqual(Object.keys(map.regions), ["999"])
    assert.deepInclude(map.regions[999]!, { regionId: 999n, embeddedRelay: true, regionCode: "here" })
    assert.deepInclude(map.regions[999]!.nodes[0]!, { name: "a", stunPort: -1 })
  })
})
