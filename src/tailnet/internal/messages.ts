/** The tailnet's terms as messages of the protocol, and back. */
import { fromBinary, toBinary } from "@bufbuild/protobuf"
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire"
import { Option, Result } from "effect"
import * as FieldCount from "../../wire/FieldCount.ts"
import {
  CoordinateRequestSchema,
  CoordinateResponse_PeerUpdate_Kind as Kinds,
  type Node as NodeMessage,
  NodeSchema
} from "../../wire/generated/tailnet_pb.ts"
import { fromBytes, type Kind, type Node, type PeerId, type Request, type Response, toBytes } from "../Peer.ts"

/** The request in a message; otherwise why it is malformed, for the peer to read. */
export const decodeRequest = (bytes: Uint8Array): Result.Result<Request, string> => {
  const message = Option.liftThrowable(() =>
    FieldCount.exceeds(CoordinateRequestSchema, bytes) ? undefined : fromBinary(CoordinateRequestSchema, bytes)
  )()
  if (Option.isNone(message)) return Result.fail("the message is no CoordinateRequest")
  if (message.value === undefined) return Result.fail(`the message has more than ${FieldCount.limit} fields`)
  const { addTunnel, disconnect, readyForHandshake, removeTunnel, updateSelf } = message.value
  if (updateSelf !== undefined && updateSelf.node === undefined) return Result.fail("update_self must have a node")
  const ids = [addTunnel, removeTunnel, ...readyForHandshake].flatMap((part) => (part === undefined ? [] : [part.id]))
  const malformed = ids.find((id) => id.length !== 16)
  if (malformed !== undefined) {
    return Result.fail(`unable to convert bytes to UUID: invalid UUID (got ${malformed.length} bytes)`)
  }
  return Result.succeed({
    updateSelf: updateSelf?.node === undefined ? undefined : new EncodedNode(updateSelf.node),
    addTunnel: addTunnel && peerIdOf(addTunnel.id),
    removeTunnel: removeTunnel && peerIdOf(removeTunnel.id),
    disconnect: disconnect !== undefined,
    readyForHandshake: readyForHandshake.map(({ id }) => peerIdOf(id))
  })
}

/** The message of a response. Nodes go into it as they are. */
export const encodeResponse = ({ error, updates }: Response): Uint8Array => {
  const writer = new BinaryWriter()
  for (const { id, kind, node, reason } of updates) {
    writer.tag(1, 2).fork().tag(1, 2).bytes(toBytes(id))
    if (node !== undefined) writer.tag(2, 2).bytes(node.bytes)
    writer.tag(3, 0).int32(kindOf[kind])
    if (reason !== "") writer.tag(4, 2).string(reason)
    writer.join()
  }
  if (error !== undefined) writer.tag(2, 2).string(error)
  return writer.finish()
}

// ----- internals -----

const kindOf: { readonly [K in Kind]: number } = {
  node: Kinds.NODE,
  disconnected: Kinds.DISCONNECTED,
  lost: Kinds.LOST,
  readyForHandshake: Kinds.READY_FOR_HANDSHAKE
}

const peerIdOf = (bytes: Uint8Array): PeerId => Option.getOrThrow(fromBytes(bytes))

/** A node as it is sent on. The order of a map means nothing, so that of the only map with names is made one. */
class EncodedNode implements Node {
  readonly bytes: Uint8Array
  readonly addresses: ReadonlyArray<string>
  readonly allowedIps: ReadonlyArray<string>
  #withoutTime: Uint8Array | undefined

  constructor(message: NodeMessage) {
    message.derpLatency = Object.fromEntries(Object.entries(message.derpLatency).toSorted(byName))
    this.bytes = toBinary(NodeSchema, message)
    this.addresses = message.addresses
    this.allowedIps = message.allowedIps
  }

  get withoutTime(): Uint8Array {
    return (this.#withoutTime ??= withoutField(this.bytes, NodeSchema.field.asOf.number))
  }
}

/** Names of a map differ. */
const byName = ([one]: readonly [string, unknown], [other]: readonly [string, unknown]) => (one < other ? -1 : 1)

/** An encoded message without one of its fields. */
const withoutField = (bytes: Uint8Array, field: number): Uint8Array => {
  const reader = new BinaryReader(bytes)
  const kept: Array<Uint8Array> = []
  while (reader.pos < reader.len) {
    const start = reader.pos
    const [number, wireType] = reader.tag()
    reader.skip(wireType, number)
    if (number !== field) kept.push(bytes.subarray(start, reader.pos))
  }
  return Buffer.concat(kept)
}
