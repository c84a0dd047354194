/** Reports in the original's protocol, with the messages of a stock agent: one stream for each, closed by both sides. */
import { create, toBinary } from "@bufbuild/protobuf"
import { BatchUpdateMetadataRequestSchema } from "../../src/wire/generated/agent_pb.ts"
import * as DrpcFrame from "../../src/wire/DrpcFrame.ts"
import * as YamuxFrame from "../../src/wire/YamuxFrame.ts"
import type { Report } from "./Workload.ts"

const { Flag, Type } = YamuxFrame
const encoder = new TextEncoder()
const empty = new Uint8Array(0)
const placeholder = "@".repeat(20)
const close = DrpcFrame.encode(DrpcFrame.Kind.close, 1, 4, empty)

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
    DrpcFrame.encode(DrpcFrame.Kind.invoke, 1, 1, encoder.encode("/coder.agent.v2.Agent/BatchUpdateMetadata")),
    DrpcFrame.encode(DrpcFrame.Kind.message, 1, 2, request),
    DrpcFrame.encode(DrpcFrame.Kind.closeSend, 1, 3, empty)
  ])
  const timeAt = body.indexOf(placeholder)
  const reports = new Map<number, number>()
  let nextStream = 1
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
        YamuxFrame.encode({ type: Type.data, flags: Flag.none, streamId: reading, length: close.length }),
        close,
        YamuxFrame.encode({ type: Type.windowUpdate, flags: Flag.fin, streamId: reading, length: 0 })
      )
    }
  })
  return {
    messages: (id: number, sentAt: number): ReadonlyArray<Uint8Array> => {
      const streamId = nextStream
      nextStream += 2
      reports.set(streamId, id)
      const stamped = Buffer.from(body)
      stamped.write(sentAt.toFixed(3).padStart(placeholder.length, "0"), timeAt)
      return [
        YamuxFrame.encode({ type: Type.windowUpdate, flags: Flag.syn, streamId, length: 0 }),
        YamuxFrame.encode({ type: Type.data, flags: Flag.none, streamId, length: stamped.length }),
        stamped
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
