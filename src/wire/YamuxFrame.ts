/**
 * Frames of yamux, the protocol that carries many streams over one connection: how they are written and read.
 *
 * - A frame is 12 bytes of header, big endian, and in a data frame the body. Reads may split it anywhere.
 * - Only the version and the type are judged here; the session judges everything else.
 */

export const headerBytes = 12

/** The window of a stream at its start, in each direction. */
export const initialWindow = 262_144

export const Type = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const

/** Flags may be combined. */
export const Flag = { none: 0, syn: 1, ack: 2, fin: 4, rst: 8 } as const

export const GoAway = { normal: 0, protocolError: 1, internalError: 2 } as const

export interface Header {
  readonly type: number
  readonly flags: number
  /** Zero stands for the session. */
  readonly streamId: number
  /** Data: bytes of the body. Window update: bytes of credit. Ping: an opaque value. Go away: the reason. */
  readonly length: number
}

/** A frame without a body, or with this one, whose size takes the place of `length`. */
export const encode = (header: Header, body?: Uint8Array): Uint8Array => {
  const length = body === undefined ? header.length : body.length
  const bytes = new Uint8Array(headerBytes + (body === undefined ? 0 : body.length))
  bytes[1] = header.type
  bytes[3] = header.flags
  putUint32(bytes, 4, header.streamId)
  putUint32(bytes, 8, length)
  if (body !== undefined) bytes.set(body, headerBytes)
  return bytes
}

/** Something that the rules of the protocol forbid: the session cannot go on. */
export type Violation = "unknown version" | "unknown type" | "window exceeded" | "stream opened twice"

export interface Sink {
  /** Takes a header. A violation ends the reading. */
  readonly header: (type: number, flags: number, streamId: number, length: number) => Violation | undefined
  /** Takes a part of the body of the data frame whose header came last; `isLast` with its last byte. */
  readonly body: (part: Uint8Array, isLast: boolean) => void
}

export interface Decoder {
  /** Reads what has arrived. Nothing is read after a violation. */
  readonly decode: (chunk: Uint8Array) => Violation | undefined
}

export const makeDecoder = (sink: Sink): Decoder => {
  const partial = new Uint8Array(headerBytes)
  let held = 0
  let remaining = 0
  let violation: Violation | undefined

  const header = (bytes: Uint8Array, offset: number): Violation | undefined => {
    if (bytes[offset] !== 0) return "unknown version"
    const type = bytes[offset + 1]!
    if (type > Type.goAway) return "unknown type"
    const length = uint32(bytes, offset + 8)
    if (type === Type.data) remaining = length
    return sink.header(type, (bytes[offset + 2]! << 8) | bytes[offset + 3]!, uint32(bytes, offset + 4), length)
  }

  return {
    decode: (chunk) => {
      let offset = 0
      while (violation === undefined && offset < chunk.length) {
        if (remaining > 0) {
          const taken = Math.min(remaining, chunk.length - offset)
          remaining -= taken
          sink.body(chunk.subarray(offset, offset + taken), remaining === 0)
          offset += taken
        } else if (held === 0 && chunk.length - offset >= headerBytes) {
          violation = header(chunk, offset)
          offset += headerBytes
        } else {
          const taken = Math.min(headerBytes - held, chunk.length - offset)
          partial.set(chunk.subarray(offset, offset + taken), held)
          held += taken
          offset += taken
          if (held < headerBytes) break
          held = 0
          violation = header(partial, 0)
        }
      }
      return violation
    }
  }
}

// ----- internals -----

const uint32 = (bytes: Uint8Array, offset: number): number =>
  ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!) >>> 0

const putUint32 = (bytes: Uint8Array, offset: number, value: number): void => {
  bytes[offset] = value >>> 24
  bytes[offset + 1] = value >>> 16
  bytes[offset + 2] = value >>> 8
  bytes[offset + 3] = value
}
