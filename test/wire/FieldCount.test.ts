import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf"
import { ListValueSchema } from "@bufbuild/protobuf/wkt"
import { assert, describe, it } from "@effect/vitest"
import * as FieldCount from "../../src/wire/FieldCount.ts"
import {
  BatchCreateLogsRequestSchema,
  BatchUpdateMetadataRequestSchema,
  CreateSubAgentRequest_DisplayApp as DisplayApp,
  CreateSubAgentRequestSchema,
  Log_Level,
  PushContextStateRequestSchema,
  Startup_Subsystem,
  UpdateStartupRequestSchema,
  UpdateStatsRequestSchema
} from "../../src/wire/generated/agent_pb.ts"
import { CoordinateRequestSchema } from "../../src/wire/generated/tailnet_pb.ts"
import * as Wire from "./support.ts"

type Case = readonly [type: DescMessage, bytes: Uint8Array]

const encoded = <M extends DescMessage>(type: M, message: MessageInitShape<M>): Case => [
  type,
  toBinary(type, create(type, message))
]

const many = <A>(count: number, make: (index: number) => A) => Array.from({ length: count }, (_, index) => make(index))

const repeated = (hex: string) => Buffer.concat(many(150_000, () => Wire.bytes(hex)))

describe("the fields of a message", () => {
  it("are fewer than the limit in the largest messages of agents [WI-52]", () => {
    const value = "x".repeat(4_000_000)
    const usual: ReadonlyArray<Case> = [
      encoded(BatchCreateLogsRequestSchema, {
        logs: many(49_932, () => ({ createdAt: { seconds: 1_767_225_600n, nanos: 1 }, level: Log_Level.INFO }))
      }),
      encoded(PushContextStateRequestSchema, {
        resources: many(10_000, (index) => ({ source: `s${index}`, contentHash: new Uint8Array(64) }))
      }),
      encoded(BatchUpdateMetadataRequestSchema, { metadata: [{ key: "k", result: { value } }] })
    ]

    for (const [type, bytes] of usual) {
      assert.isFalse(FieldCount.isBelowLimit(bytes))
      assert.isFalse(FieldCount.exceeds(type, bytes), type.typeName)
    }
  })

  it("exceed it in lists, in maps, in messages within messages and in fields that nobody knows [WI-52]", () => {
    const hostile: ReadonlyArray<Case> = [
      [BatchUpdateMetadataRequestSchema, repeated("1200")],
      [BatchCreateLogsRequestSchema, repeated("f80101")],
      encoded(UpdateStatsRequestSchema, {
        stats: { connectionsByProto: Object.fromEntries(many(150_000, (index) => [`k${index}`, 1n])) }
      }),
      encoded(UpdateStatsRequestSchema, {
        stats: { metrics: many(10_000, () => ({ labels: many(15, () => ({})) })) }
      }),
      encoded(CoordinateRequestSchema, { updateSelf: { node: { endpoints: many(150_000, () => "") } } })
    ]

    for (const [type, bytes] of hostile) assert.isTrue(FieldCount.exceeds(type, bytes), type.typeName)
  })

  it("are the numbers of a list, too, which take a byte each [WI-52]", () => {
    const lists = (count: number): ReadonlyArray<Case> => [
      encoded(CreateSubAgentRequestSchema, { displayApps: many(count, () => DisplayApp.VSCODE_INSIDERS) }),
      encoded(UpdateStartupRequestSchema, { startup: { subsystems: many(count, () => Startup_Subsystem.ENVBOX) } })
    ]

    for (const [type, bytes] of lists(FieldCount.limit - 1)) {
      assert.isFalse(FieldCount.exceeds(type, bytes), type.typeName)
    }
    for (const count of [FieldCount.limit + 1, 4_194_000]) {
      for (const [type, bytes] of lists(count)) assert.isTrue(FieldCount.exceeds(type, bytes), type.typeName)
    }
    // one by one, and in parts
    assert.isTrue(FieldCount.exceeds(CreateSubAgentRequestSchema, repeated("3001")))
    assert.isTrue(FieldCount.exceeds(CreateSubAgentRequestSchema, repeated("320101")))
    assert.throws(() => FieldCount.exceeds(CreateSubAgentRequestSchema, repeated("32ffffff7f")))
  })

  it("are followed a hundred messages deep, and the generated code reads no deeper ones [WI-52]", () => {
    const wrapped = (tag: number, body: Uint8Array) => {
      const length = body.length
      const varint = [(length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14]
      return Buffer.concat([Uint8Array.from([tag, ...varint]), body])
    }
    const nested = (lists: number) => {
      let list: Uint8Array = repeated("0a00")
      // a list of one value, which is a list
      for (let depth = 0; depth < lists; depth++) list = wrapped(0x0a, wrapped(0x32, list))
      return list
    }

    assert.isTrue(FieldCount.exceeds(ListValueSchema, nested(50)))
    assert.isFalse(FieldCount.exceeds(ListValueSchema, nested(51)))
    assert.throws(() => fromBinary(ListValueSchema, nested(51)))
  })

  it("are not counted where the message is broken or has groups, which no client sends [WI-52]", () => {
    assert.throws(() => FieldCount.exceeds(BatchCreateLogsRequestSchema, repeated("7b08017c")), /group/)
    assert.throws(() => FieldCount.exceeds(BatchCreateLogsRequestSchema, repeated("12ffffff7f")))
  })
})
