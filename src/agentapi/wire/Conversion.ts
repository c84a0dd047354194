/**
 * Converts messages of the original's protocol to the JSON of the contract, and back.
 *
 * - Both forms use the protocol's field names. Ids are 16 bytes in a message and a UUID in the contract, other bytes
 *   are base64, enums are their names, times are RFC 3339, durations are seconds.
 * - A field that is absent in one form is absent in the other. Scalars without presence are always there.
 * - A 64-bit whole number that JSON cannot hold exactly becomes the largest or the least number that JSON can hold.
 * - A duration beyond ten thousand years becomes that of ten thousand years.
 * - A value without a counterpart becomes a value that the contract does not accept, so that the error names the field.
 * - {@link exactNumbers} lists the 64-bit numbers that are decimal text in the contract, so that none changes.
 * - {@link secondsAsNanos} lists the durations that carry whole seconds in their nanoseconds. They are rounded up,
 *   because agents read an interval of 0 as "once in a connection".
 */
import { create, type DescField, type DescMessage, type MessageShape, ScalarType } from "@bufbuild/protobuf"
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt"
import { DateTime, Option, Result } from "effect"
import { Base64 } from "effect/encoding"

/** A JSON object. */
export type JsonObject = { readonly [name: string]: unknown }

/** Returns the contract's form of a message. */
export const toContract = <Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): JsonObject => {
  const json: Record<string, unknown> = {}
  for (const member of desc.members) {
    if (member.kind === "oneof") {
      const { case: name, value } = property(message, member.localName) as OneofValue
      const field = member.fields.find(({ localName }) => localName === name)
      if (field !== undefined) json[field.name] = fromField(field, value)
      continue
    }
    const value = property(message, member.localName)
    if (value !== undefined) json[member.name] = fromField(member, value)
  }
  return json
}

/** Returns the message of a contract's form. Throws if there is no such message. */
export const toMessage = <Desc extends DescMessage>(desc: Desc, json: JsonObject): MessageShape<Desc> => {
  const message: MessageShape<DescMessage> = create<DescMessage>(desc)
  const set = (name: string, value: unknown) => Object.assign(message, { [name]: value })
  for (const field of desc.fields) {
    const value = json[field.name]
    if (value === undefined) continue
    const converted = toField(field, value)
    const { oneof } = field
    if (oneof === undefined) set(field.localName, converted)
    else set(oneof.localName, { case: field.localName, value: converted })
  }
  return message as MessageShape<Desc>
}

/**
 * The durations that the protocol's own programs read as a number of seconds, although they are sent as nanoseconds.
 */
export const secondsAsNanos: ReadonlySet<string> = new Set([
  "coder.agent.v2.WorkspaceAgentMetadata.Description.interval",
  "coder.agent.v2.WorkspaceAgentMetadata.Description.timeout"
])

/** The numbers of which the contract needs every digit. */
export const exactNumbers: ReadonlySet<string> = new Set(["coder.agent.v2.PushContextStateRequest.version"])

/** Returns the 16 bytes of a UUID. Returns fewer bytes if the text is not a UUID. */
export const uuidToBytes = (id: string): Uint8Array => {
  const digits = id.replaceAll("-", "")
  return Uint8Array.from(digits.match(/[\da-f]{2}/gi) ?? [], (pair) => Number.parseInt(pair, 16))
}

/** Returns the UUID of 16 bytes. Returns a text that is not a UUID for any other number of bytes. */
export const uuidOfBytes = (bytes: Uint8Array): string => {
  let digits = ""
  for (const byte of bytes.subarray(0, 17)) digits += (byte + 0x100).toString(16).slice(1)
  return digits.length === 32 ? digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-") : digits
}

/** Whether a field of bytes holds a UUID. */
export const isId = ({ name }: DescField): boolean => name === "id" || name.endsWith("_id") || name === "auth_token"

// ----- internals -----

interface OneofValue {
  readonly case: string | undefined
  readonly value?: unknown
}

const fullNameOf = ({ name, parent }: DescField): string => `${parent.typeName}.${name}`

const property = (message: object, name: string): unknown => (message as Record<string, unknown>)[name]

const fromField = (field: DescField, value: unknown): unknown => {
  switch (field.fieldKind) {
    case "list":
      return (value as ReadonlyArray<unknown>).map((element) => fromValue(field, element))
    case "map":
      return Object.fromEntries(Object.entries(value as object).map(([key, entry]) => [key, fromValue(field, entry)]))
    default:
      return fromValue(field, value)
  }
}

const fromValue = (field: DescField, value: unknown): unknown => {
  if (field.message !== undefined) return fromMessage(field, field.message, value as MessageShape<DescMessage>)
  if (field.enum !== undefined) return field.enum.value[value as number]?.name ?? String(value)
  if (typeof value === "bigint") return exactNumbers.has(fullNameOf(field)) ? String(value) : toNumber(value)
  if (value instanceof Uint8Array) return isId(field) ? uuidOfBytes(value) : Base64.encode(value)
  return value
}

const fromMessage = (field: DescField, desc: DescMessage, value: MessageShape<DescMessage>): unknown => {
  switch (desc.typeName) {
    case "google.protobuf.Timestamp":
      return toTime(value as Timestamp)
    case "google.protobuf.Duration":
      return toSeconds(field, value as Duration)
    case "google.protobuf.Struct":
      return value
    default:
      return toContract(desc, value)
  }
}

const toField = (field: DescField, value: unknown): unknown => {
  switch (field.fieldKind) {
    case "list":
      return (value as ReadonlyArray<unknown>).map((element) => toValue(field, element))
    case "map":
      return Object.fromEntries(Object.entries(value as object).map(([key, entry]) => [key, toValue(field, entry)]))
    default:
      return toValue(field, value)
  }
}

const toValue = (field: DescField, value: unknown): unknown => {
  if (field.message !== undefined) return toSubMessage(field, field.message, value)
  if (field.enum !== undefined) {
    const known = field.enum.values.find(({ name }) => name === value)
    if (known === undefined) throw new Error(`${field.name} has no value ${JSON.stringify(value)}`)
    return known.number
  }
  if (field.scalar !== undefined && longs.has(field.scalar)) return BigInt(value as number | string)
  if (field.scalar !== ScalarType.BYTES) return value
  return isId(field) ? uuidToBytes(value as string) : Result.getOrThrow(Base64.decode(value as string))
}

const toSubMessage = (field: DescField, desc: DescMessage, value: unknown): unknown => {
  switch (desc.typeName) {
    case "google.protobuf.Timestamp":
      return create<DescMessage>(desc, fromTime(value as string))
    case "google.protobuf.Duration":
      return create<DescMessage>(desc, fromSeconds(field, value as number))
    case "google.protobuf.Struct":
      return value
    default:
      return toMessage(desc, value as JsonObject)
  }
}

const longs: ReadonlySet<ScalarType> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
  ScalarType.SINT64
])

const toNumber = (value: bigint): number =>
  Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Number(value)))

/** Returns RFC 3339 text, to the millisecond. Returns a text that is not a time if the timestamp is out of range. */
const toTime = ({ nanos, seconds }: Timestamp): string =>
  Option.match(DateTime.make(Number(seconds) * 1_000 + Math.floor(nanos / 1_000_000)), {
    onNone: () => "no time",
    onSome: DateTime.formatIso
  })

const fromTime = (text: string): { readonly seconds: bigint; readonly nanos: number } => {
  const millis = DateTime.toEpochMillis(DateTime.makeUnsafe(text))
  const seconds = Math.floor(millis / 1_000)
  return { seconds: BigInt(seconds), nanos: (millis - seconds * 1_000) * 1_000_000 }
}

const nanosPerSecond = 1_000_000_000

/** The longest duration of the protocol: ten thousand years. */
const maxSeconds = 315_576_000_000

const isInNanos = (field: DescField): boolean => secondsAsNanos.has(fullNameOf(field))

const toSeconds = (field: DescField, { nanos, seconds }: Duration): number =>
  isInNanos(field) ? Number(seconds) * nanosPerSecond + nanos : Number(seconds) + nanos / nanosPerSecond

const fromSeconds = (field: DescField, value: number): { readonly seconds: bigint; readonly nanos: number } => {
  const limit = isInNanos(field) ? Number.MAX_SAFE_INTEGER : maxSeconds
  const bounded = Math.max(-limit, Math.min(limit, value))
  if (isInNanos(field)) {
    const seconds = Math.ceil(bounded)
    return { seconds: BigInt(Math.trunc(seconds / nanosPerSecond)), nanos: seconds % nanosPerSecond }
  }
  const whole = Math.trunc(bounded)
  const nanos = Math.round((bounded - whole) * nanosPerSecond)
  // a fraction that rounds to a whole second
  if (Math.abs(nanos) === nanosPerSecond) return { seconds: BigInt(whole + Math.sign(nanos)), nanos: 0 }
  return { seconds: BigInt(whole), nanos }
}
