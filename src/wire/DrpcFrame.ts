/**
 * Frames and packets of dRPC, the protocol of calls: how they are written and read.
 *
 * - A frame is a control byte, three varints (stream, message, length) and a body. A packet is one or more frames with the
 *   same ids and kind, the last of them marked as done.
 * - A packet has at most 4 MiB, its frames at most 64 KiB of body when they are written here.
 * - Ids never go back; a frame with higher ids drops a packet that is not complete.
 * - The reader can be told to stop after a packet, so that no more is taken from the connection than is wanted.
 */
import { GrowingBytes } from "./internal/GrowingBytes.ts"

export const Kind = { invoke: 1, message: 2, error: 3, cancel: 4, close: 5, closeSend: 6, invokeMetadata: 7 } as const

/** The largest packet. */
export const maxPacketBytes = 4_194_304

/** Something that the rules of the protocol forbid: the transport cannot go on. */
export type Violation = "varint too long" | "data overflow" | "id went back" | "kind changed within a packet"

export interface Packet {
  readonly kind: number
  /** A receiver that does not know the kind ignores the packet. */
  readonly isControl: boolean
  readonly streamId: number
  readonly messageId: number
  readonly body: Uint8Array
}

// ----- writing -----

/** A packet, in as many frames as it takes. */
export const encode = (kind: number, streamId: number, messageId: number, body: Uint8Array): Uint8Array => {
  const ids = varintBytes(streamId) + varintBytes(messageId)
  const frames = Math.max(1, Math.ceil(body.length / maxFrameBytes))
  let size = 0
  for (let frame = 0; frame < frames; frame++) {
    const length = Math.min(maxFrameBytes, body.length - frame * maxFrameBytes)
    size += 1 + ids + varintBytes(length) + length
  }
  const bytes = new Uint8Array(size)
  let offset = 0
  for (let frame = 0; frame < frames; frame++) {
    const part = body.subarray(frame * maxFrameBytes, (frame + 1) * maxFrameBytes)
    bytes[offset++] = (kind << 1) | (frame === frames - 1 ? 1 : 0)
    offset = putVarint(bytes, offset, streamId)
    offset = putVarint(bytes, offset, messageId)
    offset = putVarint(bytes, offset, part.length)
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}

/** The body of an error: a code and a text. */
export const encodeError = (code: number, message: string): Uint8Array => {
  const text = encoder.encode(message)
  const body = new Uint8Array(8 + text.length)
  new DataView(body.buffer).setBigUint64(0, BigInt(code))
  body.set(text, 8)
  return body
}

// ----- reading -----

export interface PacketReader {
  /** Bytes of memory that hold a packet which is not complete. */
  readonly heldBytes: number
  /**
   * Reads a chunk until `take` returns `false` for a packet or the chunk is over, and returns how many bytes that took, or
   * the violation, after which nothing can be read. The body of a packet is a part of the chunk or a buffer of its own,
   * which is not written to again: it is valid as long as it is referenced.
   */
  readonly read: (chunk: Uint8Array, take: (packet: Packet) => boolean) => number | Violation
}

export const makePacketReader = (): PacketReader => new Reader()

/** Whether the body of an InvokeMetadata packet is a map of texts, as protobuf writes it. */
export const isMetadata = (body: Uint8Array): boolean => {
  const lengthAt = (offset: number, tag: number) => {
    const length = body[offset] === tag ? readVarint(body, offset + 1) : undefined
    return length === "too long" ? undefined : length
  }
  let offset = 0
  while (offset < body.length) {
    const entry = lengthAt(offset, 0x0a)
    if (entry === undefined) return false
    const end = entry.end + entry.value
    const key = lengthAt(entry.end, 0x0a)
    if (key === undefined) return false
    const value = lengthAt(key.end + key.value, 0x12)
    if (value === undefined) return false
    if (value.end + value.value !== end || end > body.length) return false
    offset = end
  }
  return true
}

// ----- internals -----

const encoder = new TextEncoder()

/** The body of a frame that is written. */
const maxFrameBytes = 65_536

/** Ids and lengths are at most ten bytes each, after the control byte. */
const maxHeaderBytes = 31

const varintBytes = (value: number): number => {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

const putVarint = (bytes: Uint8Array, offset: number, value: number): number => {
  let rest = value
  let at = offset
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes[at++] = (rest & 0x7f) | 0x80
  bytes[at++] = rest
  return at
}

/** A varint and where it ends; nothing where more bytes are needed. */
const readVarint = (
  bytes: Uint8Array,
  offset: number
): { readonly value: number; readonly end: number } | "too long" | undefined => {
  let value = 0
  let scale = 1
  for (let at = offset; at < offset + 10; at++) {
    const byte = bytes[at]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return { value, end: at + 1 }
    scale *= 0x80
  }
  return "too long"
}

class Reader implements PacketReader {
  /** The beginning of a header whose rest has not arrived. */
  #header: Uint8Array | undefined
  #headerBytes = 0
  /** The bytes of a packet that is not complete. */
  #held: GrowingBytes | undefined
  /** Bytes of the current frame's body that have not arrived. */
  #remaining = 0
  #isInBody = false
  #isInPacket = false
  #control = 0
  // the ids of the current packet, or the least of the next one
  #streamId = 1
  #messageId = 1

  get heldBytes(): number {
    return this.#held?.capacity ?? 0
  }

  read(chunk: Uint8Array, take: (packet: Packet) => boolean): number | Violation {
    let offset = 0
    while (offset < chunk.length || (this.#isInBody && this.#remaining === 0)) {
      if (!this.#isInBody) {
        const next = this.#readHeader(chunk, offset)
        if (typeof next === "string") return next
        offset = next
        continue
      }
      const available = chunk.subarray(offset, offset + this.#remaining)
      offset += available.length
      this.#remaining -= available.length
      const isComplete = this.#remaining === 0 && (this.#control & 1) === 1
      if (!isComplete || this.#held !== undefined) {
        this.#held ??= new GrowingBytes(Math.min(this.#remaining + available.length, maxFrameBytes))
        this.#held.append(available)
      }
      if (this.#remaining > 0) break
      this.#isInBody = false
      if (!isComplete) continue
      const body = this.#held?.bytes ?? available
      if (!take(this.#complete(body))) return offset
    }
    return offset
  }

  /** Takes the header at `offset`, with what came of it before, and returns where it ends. */
  #readHeader(chunk: Uint8Array, offset: number): number | Violation {
    if (this.#headerBytes === 0) {
      const end = this.#parseHeader(chunk, offset)
      if (end !== undefined) return end
    }
    this.#header ??= new Uint8Array(maxHeaderBytes)
    const before = this.#headerBytes
    const added = Math.min(maxHeaderBytes - before, chunk.length - offset)
    this.#header.set(chunk.subarray(offset, offset + added), before)
    const end = this.#parseHeader(this.#header.subarray(0, before + added), 0)
    if (typeof end === "string") return end
    this.#headerBytes = end === undefined ? before + added : 0
    return end === undefined ? offset + added : offset + end - before
  }

  #parseHeader(bytes: Uint8Array, offset: number): number | Violation | undefined {
    const streamId = readVarint(bytes, offset + 1)
    if (streamId === undefined) return undefined
    if (streamId === "too long") return "varint too long"
    const messageId = readVarint(bytes, streamId.end)
    if (messageId === undefined) return undefined
    if (messageId === "too long") return "varint too long"
    const length = readVarint(bytes, messageId.end)
    if (length === undefined) return undefined
    if (length === "too long") return "varint too long"
    return this.#begin(bytes[offset]!, streamId.value, messageId.value, length.value) ?? length.end
  }

  /** Begins a frame. */
  #begin(control: number, streamId: number, messageId: number, length: number): Violation | undefined {
    if (streamId < this.#streamId || (streamId === this.#streamId && messageId < this.#messageId)) return "id went back"
    const isNext = streamId !== this.#streamId || messageId !== this.#messageId || !this.#isInPacket
    if (isNext) this.#held = undefined
    else if (((control ^ this.#control) & 0x7e) !== 0) return "kind changed within a packet"
    if ((this.#held?.size ?? 0) + length > maxPacketBytes) return "data overflow"
    this.#isInPacket = true
    this.#isInBody = true
    this.#control = control
    this.#streamId = streamId
    this.#messageId = messageId
    this.#remaining = length
    return undefined
  }

  #complete(body: Uint8Array): Packet {
    const packet = {
      kind: (this.#control >> 1) & 0x3f,
      isControl: this.#control >= 0x80,
      streamId: this.#streamId,
      messageId: this.#messageId,
      body
    }
    this.#messageId++
    this.#isInPacket = false
    this.#held = undefined
    return packet
  }
}
