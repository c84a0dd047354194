/**
 * The calls of the contract as bytes of the original's protocol, for simulated agents: protobuf, dRPC and yamux.
 *
 * - Each call opens a stream, as the calls of a stock agent do. The stream is closed after the response.
 * - Answers to pings, and the ends of streams, go out with the next message of the agent: it has to send one every few
 *   seconds.
 * - A failed call has the code and the message of the service; which error it was is unknown.
 */
import { type DescMethodUnary, fromBinary, toBinary } from "@bufbuild/protobuf"
import { RpcSerialization } from "effect/rpc"
import { type JsonObject, toContract, toMessage } from "../agentapi/wire/Conversion.ts"
import * as DrpcFrame from "../wire/DrpcFrame.ts"
import { nameOf } from "../wire/DrpcMultiplexer.ts"
import { Agent } from "../wire/generated/agent_pb.ts"
import * as YamuxFrame from "../wire/YamuxFrame.ts"

export const serialization: RpcSerialization.RpcSerialization["Service"] = RpcSerialization.RpcSerialization.of({
  contentType: "application/octet-stream",
  includesFraming: true,
  codecFor: RpcSerialization.json.codecFor,
  makeUnsafe: () => makeParser()
})

// ----- internals -----

const { Flag, Type } = YamuxFrame
const { Kind } = DrpcFrame

/** A call whose response has not come. */
interface Call {
  readonly id: string
  readonly method: DescMethodUnary
  readonly packets: DrpcFrame.PacketReader
}

const methods = new Map(Agent.methods.map((method) => [method.name, method as DescMethodUnary]))
const empty = new Uint8Array(0)
const encoder = new TextEncoder()
const decoder = new TextDecoder()
const windowUpdate = (flags: number, streamId: number) =>
  YamuxFrame.encode({ type: Type.windowUpdate, flags, streamId, length: 0 })
const ping = (flags: number, length: number) => YamuxFrame.encode({ type: Type.ping, flags, streamId: 0, length })

const makeParser = (): RpcSerialization.Parser => {
  const calls = new Map<number, Call>()
  let nextStream = 1
  let nextPing = 0
  let reading = 0
  let waiting: Array<Uint8Array> = []
  let replies: Array<unknown> = []

  const end = (streamId: number, exit: object) => {
    const call = calls.get(streamId)
    if (call === undefined) return
    calls.delete(streamId)
    waiting.push(windowUpdate(Flag.fin, streamId))
    replies.push({ _tag: "Exit", requestId: call.id, exit })
  }
  const fail = (streamId: number, defect: string) =>
    end(streamId, { _tag: "Failure", cause: [{ _tag: "Die", defect }] })

  const take = (streamId: number, { body, kind }: DrpcFrame.Packet): boolean => {
    const method = calls.get(streamId)?.method
    if (method !== undefined && kind === Kind.message) {
      end(streamId, { _tag: "Success", value: toContract(method.output, fromBinary(method.output, body)) })
    } else if (kind === Kind.error) {
      fail(streamId, decoder.decode(body.subarray(8)))
    }
    return true
  }

  const frames = YamuxFrame.makeDecoder({
    header: (type, flags, streamId, length) => {
      reading = streamId
      if (type === Type.ping) {
        if ((flags & Flag.syn) !== 0) waiting.push(ping(Flag.ack, length))
        else replies.push({ _tag: "Pong" })
      }
      // the response may come in the frame that ends the stream
      if (type !== Type.data && (flags & (Flag.fin | Flag.rst)) !== 0) fail(streamId, "the stream ended")
      return undefined
    },
    body: (part) => void calls.get(reading)?.packets.read(new Uint8Array(part), (packet) => take(reading, packet))
  })

  const open = (id: string, method: DescMethodUnary, payload: JsonObject) => {
    const streamId = nextStream
    nextStream += 2
    calls.set(streamId, { id, method, packets: DrpcFrame.makePacketReader() })
    const body = Buffer.concat([
      DrpcFrame.encode(Kind.invoke, 1, 1, encoder.encode(nameOf(method))),
      DrpcFrame.encode(Kind.message, 1, 2, toBinary(method.input, toMessage(method.input, payload))),
      DrpcFrame.encode(Kind.closeSend, 1, 3, empty)
    ])
    waiting.push(
      windowUpdate(Flag.syn, streamId),
      YamuxFrame.encode({ type: Type.data, flags: Flag.none, streamId, length: body.length }, body)
    )
  }

  return {
    encode: (message) => {
      const request = message as { readonly _tag: string } & {
        readonly id: string
        readonly tag: string
        readonly payload: JsonObject
      }
      if (request._tag === "Request") open(request.id, methods.get(request.tag)!, request.payload)
      if (request._tag === "Ping") waiting.push(ping(Flag.syn, nextPing++))
      const sent = Buffer.concat(waiting)
      waiting = []
      return sent.length === 0 ? undefined : sent
    },
    decode: (bytes) => {
      frames.decode(typeof bytes === "string" ? encoder.encode(bytes) : bytes)
      const read = replies
      replies = []
      return read
    }
  }
}
