/**
 * Packs agent ids into the payloads of announcements.
 *
 * - An id is its 16 bytes as 22 characters of unpadded standard base64. Ids follow one another without a separator, in
 *   the given order. A payload is plain ASCII, so any channel that carries text carries it.
 * - A payload holds at most 363 ids (7 986 bytes), because a Postgres notification must stay under 8 000 bytes.
 * - `has` finds an id even if the payload is damaged elsewhere.
 * - It uses no globals of Node, so it also runs in a browser or a worker.
 *
 * Digits are converted by hand: a Buffer per id costs four times as much to encode and twice as much to decode.
 *
 * @example
 * ```ts
 * import { Result } from "effect"
 * import { AgentIdChunks, Ids } from "metadata-batcher"
 *
 * const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 * const [payload] = AgentIdChunks.encode([agent])
 *
 * console.log(payload, AgentIdChunks.has(payload!, agent))
 * console.log(Result.getOrThrow(AgentIdChunks.decode(payload!)))
 * // Output:
 * // bDvfni8/TB2aPg08Wj+dEA true
 * // [ '6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10' ]
 * ```
 */
import { Data, Result } from "effect"
import type { AgentId } from "../domain/Ids.ts"

/** The characters of one id. */
export const encodedLength = 22

/** The largest payload, in bytes. */
export const maxPayloadBytes = 8_000

/** The most ids in one payload. */
export const maxIdsPerChunk = Math.floor(maxPayloadBytes / encodedLength)

/** The payload is not a list of ids. */
export class InvalidChunk extends Data.TaggedError("InvalidChunk")<{
  /** The first part of the payload that is wrong. */
  readonly reason: string
}> {
  override get message() {
    return `not a chunk of agent ids: ${this.reason}; publish only payloads of AgentIdChunks.encode on this channel`
  }
}

/** The target array is too short for an id. */
export class TargetTooSmall extends Data.TaggedError("TargetTooSmall")<{
  /** The bytes of the array. */
  readonly actual: number
  /** The bytes that an id takes. */
  readonly required: number
}> {
  override get message() {
    return `an agent id takes ${this.required} bytes (got an array of ${this.actual}): use a longer array`
  }
}

/** Returns the payloads that announce `ids`; none for no ids. Throws a `RangeError` if an id is not a UUID. */
export const encode = (ids: ReadonlyArray<AgentId>): ReadonlyArray<string> => {
  const chunks: Array<string> = []
  for (let start = 0; start < ids.length; start += maxIdsPerChunk) {
    const end = Math.min(start + maxIdsPerChunk, ids.length)
    const bytes = new Uint8Array((end - start) * encodedLength)
    for (let index = start; index < end; index++) write(bytes, (index - start) * encodedLength, ids[index]!)
    chunks.push(text(bytes))
  }
  return chunks
}

/** Writes the 22 characters of one id to the front of `target`. Throws a `RangeError` if the id is not a UUID. */
export const encodeInto = (target: Uint8Array, id: AgentId): Result.Result<void, TargetTooSmall> => {
  if (target.length < encodedLength) {
    return Result.fail(new TargetTooSmall({ actual: target.length, required: encodedLength }))
  }
  write(target, 0, id)
  return Result.void
}

/** Returns the ids of a payload, in their order. */
export const decode = (payload: string): Result.Result<ReadonlyArray<AgentId>, InvalidChunk> => {
  if (payload.length % encodedLength !== 0) {
    return invalid(`its ${payload.length} characters are no multiple of ${encodedLength}`)
  }
  const ids: Array<AgentId> = []
  for (let start = 0; start < payload.length; start += encodedLength) {
    const id = read(payload, start)
    if (id === undefined) return invalid(`the ${encodedLength} characters from ${start} on are no id`)
    ids.push(id)
  }
  return Result.succeed(ids)
}

/** Whether a payload contains `id`. */
export const has = (payload: string, id: AgentId): boolean => {
  const [encoded] = encode([id])
  let found = payload.indexOf(encoded!)
  while (found !== -1 && found % encodedLength !== 0) found = payload.indexOf(encoded!, found + 1)
  return found !== -1
}

const invalid = (reason: string) => Result.fail(new InvalidChunk({ reason }))

// of ASCII: to decode UTF-8 is faster than Latin-1
const decoder = new TextDecoder()
const text = (bytes: Uint8Array): string => decoder.decode(bytes)

/** The character codes of a list of characters. */
const codesOf = (characters: string): Uint8Array => Uint8Array.from(characters, (each) => each.codePointAt(0)!)

/** The value of each character by its code; characters that are not listed have 255. */
const valuesOf = (codes: Uint8Array): Uint8Array => {
  const values = new Uint8Array(128).fill(255)
  codes.forEach((code, value) => (values[code] = value))
  return values
}

const base64Codes = codesOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
const base64Values = valuesOf(base64Codes)
const hexCodes = codesOf("0123456789abcdef")
const hexValues = valuesOf(hexCodes)
// upper case digits of an id are accepted as well
codesOf("ABCDEF").forEach((code, index) => (hexValues[code] = 10 + index))

/** The places of the 32 digits of a UUID, which its hyphens separate, and of the 33rd that 22 characters carry. */
const positions = Uint8Array.from({ length: 37 }, (_, index) => index).filter(
  (index) => ![8, 13, 18, 23].includes(index)
)

const write = (target: Uint8Array, offset: number, id: AgentId): void => {
  let seen = 0
  let at = offset
  // three digits are two characters; the 33rd digit is missing and counts as zero
  for (let first = 0; first < positions.length; first += 3) {
    const high = digitAt(id, first)
    const middle = digitAt(id, first + 1)
    const low = first < 30 ? digitAt(id, first + 2) : 0
    seen |= high | middle | low
    const bits = (high << 8) | (middle << 4) | low
    target[at++] = base64Codes[bits >> 6]!
    target[at++] = base64Codes[bits & 63]!
  }
  if (seen > 15) {
    throw new RangeError("an agent id is not a UUID: make ids with Ids.AgentId.make, or decode them with Ids.AgentId")
  }
}

/** The value of a digit of a UUID, or 255 for a character that is none. */
const digitAt = (id: AgentId, digit: number): number => hexValues[id.charCodeAt(positions[digit]!)] ?? 255

const digits = new Uint8Array(37).fill("-".codePointAt(0)!)
const uuid = digits.subarray(0, 36)

/** Returns the id at a place of a payload, or nothing if its characters are not the base64 of 16 bytes. */
const read = (payload: string, start: number): AgentId | undefined => {
  let seen = 0
  let at = start
  for (let first = 0; first < positions.length; first += 3) {
    const high = valueAt(payload, at++)
    const low = valueAt(payload, at++)
    seen |= high | low
    const bits = (high << 6) | low
    digits[positions[first]!] = hexCodes[bits >> 8]!
    digits[positions[first + 1]!] = hexCodes[(bits >> 4) & 15]!
    digits[positions[first + 2]!] = hexCodes[bits & 15]!
  }
  return seen > 63 || digits[36] !== hexCodes[0] ? undefined : (text(uuid) as AgentId)
}

/** The value of a character of base64, or 255 for one that is none. */
const valueAt = (payload: string, index: number): number => base64Values[payload.charCodeAt(index)] ?? 255
