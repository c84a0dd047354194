/**
 * Reports in the original's protocol, with the messages of a stock agent: one stream for each report, closed by both
 * sides, beside the streams that stay open.
 */
import { create, toBinary } from "@bufbuild/protobuf"
import { Agent, BatchUpdateMetadataRequestSchema } from "../../src/wire/generated/agent_pb.ts"
import { CoordinateRequestSchema, Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import * as DrpcFrame from "../../src/wire/DrpcFrame.ts"
import { nameOf } from "../../src/wire/DrpcMultiplexer.ts"
import * as YamuxFrame from "../../src/wire/YamuxFrame.ts"
import type { Report } from "./Workload.ts"

const { Flag, Type } = YamuxFrame
const encoder = new TextEncoder()
const empty = new Uint8Array(0)
const placeholder = "@".repeat(20)
const close = DrpcFrame.encode(DrpcFrame.Kind.close, 1, 4, empty)

const invoke = (method: Parameters<typeof nameOf>[0], request: Uint8Array): Uint8Array =>
  Buffer.concat([
    DrpcFrame.encode(DrpcFrame.Kind.invoke, 1, 1, encoder.encode(nameOf(method))),
    DrpcFrame.encode(DrpcFrame.Kind.message, 1, 2, request)
  ])

const dataOf = (streamId: number, body: Uint8Array): ReadonlyArray<Uint8Array> => [
  YamuxFrame.encode({ type: Type.data, flags: Flag.none, streamId, length: body.length }),
  body
]

/** With the address that every agent may have, as older releases do. */
const node = {
  id: 1n,
  key: new Uint8Array(34),
  disco: `discokey:${"0".repeat(64)}`,
  preferredDerp: 999,
  derpLatency: { "999-v4": 0.02 },
  addresses: ["fd7a:115c:a1e0:49d6:b259:b7ac:b1b2:48f4/128"],
  allowedIps: ["fd7a:115c:a1e0:49d6:b259:b7ac:b1b2:48f4/128"],
  endpoints: ["192.0.2.1:41641", "[2001:db8::1]:41641"]
}

/** The first messages of the streams that an agent keeps open: relays, coordination, and relays once more. */
const opening: ReadonlyArray<Uint8Array> = [
  invoke(Tailnet.method.streamDERPMaps, empty),
  invoke(
    Tailnet.method.coordinate,
    toBinary(CoordinateRequestSchema, create(CoordinateRequestSchema, { updateSelf: { node } }))
  ),
  invoke(Tailnet.method.streamDERPMaps, empty)
].flatMap((first, index) => {
  const streamId = 2 * index + 1
  return [
    YamuxFrame.encode({ type: Type.windowUpdate, flags: Flag.syn, streamId, length: 0 }),
    ...dataOf(streamId, first)
  ]
})

/** One agent's half: which messages a report is, and which reports a message of the service answers. */
export const make = ({ entries }: Report) => {
  const request = toBinary(
    BatchUpdateMetadataRequestSchema,
    create(BatchUpdateMetadataRequestSchema, {
      metadata: entries.map(({ error, key, value }, index) => ({
        key,
        result: {
          collectedAt: { seconds: 1_767_225_600n, nanos: 500_000_000 },
          age: 1n,
          value: index === entries.length - 1 ? placeholder : value,
          error
        }
      }))
    })
  )
  const body = Buffer.concat([
    invoke(Agent.method.batchUpdateMetadata, request),
    DrpcFrame.encode(DrpcFrame.Kind.closeSend, 1, 3, empty)
  ])
  const timeAt = body.indexOf(placeholder)
  const reports = new Map<number, number>()
  let nextStream = 7
  let pings = 0
  let reading = 0
  let answered: Array<{ readonly id: number; readonly isSuccess: boolean }> = []
  let replies: Array<Uint8Array> = []
  const decoder = YamuxFrame.makeDecoder({
    header: (type, flags, streamId, length) => {
      reading = streamId
      if (type === Type.ping && flags === Flag.syn) {
        replies.push(YamuxFrame.encode({ type, flags: Flag.ack, streamId: 0, length }))
      }
      return undefined
    },
    body: (part) => {
      const id = reports.get(reading)
      if (id === undefined) return
      reports.delete(reading)
      answered.push({ id, isSuccess: part[0] === 0x05 })
      replies.push(
        ...dataOf(reading, close),
        YamuxFrame.encode({ type: Type.windowUpdate, flags: Flag.fin, streamId: reading, length: 0 })
      )
    }
  })
  return {
    opening,
    keepalive: () => [YamuxFrame.encode({ type: Type.ping, flags: Flag.syn, streamId: 0, length: pings++ })],
    messages: (id: number, sentAt: number): ReadonlyArray<Uint8Array> => {
      const streamId = nextStream
      nextStream += 2
      reports.set(streamId, id)
      const stamped = Buffer.from(body)
      stamped.write(sentAt.toFixed(3).padStart(placeholder.length, "0"), timeAt)
      return [
        YamuxFrame.encode({ type: Type.windowUpdate, flags: Flag.syn, streamId, length: 0 }),
        ...dataOf(streamId, stamped)
      ]
    },
    take: (data: Uint8Array) => {
      if (decoder.decode(data) !== undefined) throw new Error("the service broke the protocol")
      const taken = { answered, replies }
      answered = []
      replies = []
      return taken
    }
  }
}
