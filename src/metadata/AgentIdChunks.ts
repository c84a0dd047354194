/**
 * Agent ids packed into notification payloads.
 *
 * - An id is its 16 bytes as 22 characters of unpadded standard base64; ids follow one another without a separator, in
 *   the order given. A payload is plain ASCII, so a channel that carries text carries it.
 * - A payload has at most 363 ids (7 986 bytes), because a Postgres notification must stay under 8 000.
 * - A payload that is damaged is no reason to lose what it names: `has` finds an id whatever stands around it.
 *
 * The digits are turned by hand: a `Buffer` per id costs four times as much.
 */
import { Data, Result } from "effect"
import type { AgentId } from "../domain/Ids.ts"

/** The characters of one id. */
export const encodedLength = 22

/** The largest payload, in bytes. */
export const maxPayloadBytes = 8_000

/** The most ids in one payload. */
export const maxIdsPerChunk = Math.floor(maxPayloadBytes / encodedLength)

/** A payload that is no list of ids. */
export class InvalidChunk extends Data.TaggedError("InvalidChunk")<{ readonly reason: string }> {
  override get message() {
    return `not a chunk of agent ids: ${this.reason}; nothing but what AgentIdChunks.encode makes may be published where they are`
  }
}

/** An array that is too short for an id. */
export class TargetTooSmall extends Data.TaggedError("TargetTooSmall")<{
  readonly actual: number
  readonly required: number
}> {
  override get message() {
    return `an agent id takes ${this.required} bytes, but there is room for ${this.actual}: use a longer array`
  }
}

/** The payloads that announce `ids`; none for no ids. Throws a `RangeError` on an id that is no UUID. */
export const encode = (ids: ReadonlyArray<AgentId>): ReadonlyArray<string> => {
  const chunks: Array<string> = []
  for (let start = 0; start < ids.length; start += maxIdsPerChunk) {
    const end = Math.min(start + maxIdsPerChunk, ids.length)
    const bytes = Buffer.allocUnsafe((end - start) * encodedLength)
    for (let index = start; index < end; index++) write(bytes, (index - start) * encodedLength, ids[index]!)
    chunks.push(bytes.toString("latin1"))
  }
  return chunks
}

/** Writes the 22 characters of one id to the front of `target`. Throws a `RangeError` on an id that is no UUID. */
export const encodeInto = (target: Uint8Array, id: AgentId): Result.Result<void, TargetTooSmall> => {
  if (target.length < encodedLength) {
    return Result.fail(new TargetTooSmall({ actual: target.length, required: encodedLength }))
  }
  write(target, 0, id)
  return Result.void
}

/** The ids of a payload, in their order. */
export const decode = (payload: string): Result.Result<ReadonlyArray<AgentId>, InvalidChunk> => {
  if (payload.length % encodedLength !== 0) {
    return invalid(`its ${payload.length} characters are no multiple of ${encodedLength}`)
  }
  const ids: Array<AgentId> = []
  for (let start = 0; start < payload.length; start += encodedLength) {
    const encoded = payload.slice(start, start + encodedLength)
    const bytes = Buffer.from(encoded, "base64")
    // what does not survive the way back was not the base64 of 16 bytes
    if (bytes.length !== 16 || bytes.toString("base64") !== `${encoded}==`) {
      return invalid(`the ${encodedLength} characters from ${start} on are no id`)
    }
    const hex = bytes.toString("hex")
    ids.push(
      `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}` as AgentId
    )
  }
  return Result.succeed(ids)
}

/** Whether a payload names `id`. */
export const has = (payload: string, id: AgentId): boolean => {
  const [encoded] = encode([id])
  let found = payload.indexOf(encoded!)
  while (found !== -1 && found % encodedLength !== 0) found = payload.indexOf(encoded!, found + 1)
  return found !== -1
}

const invalid = (reason: string) => Result.fail(new InvalidChunk({ reason }))

const alphabet = Uint8Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", (character) =>
  character.codePointAt(0)!
)

/** The value of each hexadecimal digit by its character code; anything else has 255. */
const digits = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = Number.parseInt(String.fromCodePoint(code), 16)
  return Number.isNaN(value) ? 255 : value
})

/** Where the 32 digits of a UUID stand between its hyphens. */
const positions = Uint8Array.from({ length: 36 }, (_, index) => index).filter(
  (index) => ![8, 13, 18, 23].includes(index)
)

const write = (target: Uint8Array, offset: number, id: AgentId): void => {
  let seen = 0
  let bits = 0
  let pending = 0
  let at = offset
  for (let index = 0; index < positions.length; index++) {
    const digit = digits[id.charCodeAt(positions[index]!)] ?? 255
    seen |= digit
    pending = (pending << 4) | digit
    bits += 4
    if (bits >= 6) {
      bits -= 6
      target[at++] = alphabet[(pending >> bits) & 63]!
    }
  }
  target[at] = alphabet[(pending << (6 - bits)) & 63]!
  if (seen > 15)
    throw new RangeError("an agent id is no UUID: make ids with Ids.AgentId.make, or decode them with Ids.AgentId")
}
