/**
 * Counts the fields of a message before it is read: two bytes of a message can become an object of a hundred.
 *
 * - Messages within a message, elements of lists and fields that are not known count. Single numbers and texts do not.
 * - A list of numbers in one field counts as many as it has bytes, which are at least as many as its numbers.
 * - A message that is too small to have too many is not looked at.
 */
import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf"
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire"

/** The most fields of a message. The largest list of an agent is one of log lines: 1 MiB, 21 bytes and two messages each. */
export const limit = 131_072

/** Whether a message is too small to have more fields than it may: each takes a byte. */
export const isBelowLimit = (bytes: Uint8Array): boolean => bytes.length <= limit

/** Whether a message has more fields than it may. Throws if the bytes are not a message. */
export const exceeds = (type: DescMessage, bytes: Uint8Array): boolean => {
  if (isBelowLimit(bytes)) return false
  const reader = new BinaryReader(bytes)
  let left = limit

  const count = (shape: Shape, end: number, depth: number): void => {
    while (reader.pos < end && left >= 0) {
      const [number, wireType] = reader.tag()
      // no client sends groups, which may hold any number of fields
      if (wireType === WireType.StartGroup) throw new Error("a message has a group")
      const field = shape.get(number)
      const isDelimited = wireType === WireType.LengthDelimited
      if (field === "numbers" && isDelimited) {
        left -= reader.bytes().length
        continue
      }
      if (field !== "single") left--
      if (typeof field === "function" && isDelimited && depth < maxDepth)
        count(field(), reader.uint32() + reader.pos, depth + 1)
      else reader.skip(wireType, number)
    }
  }
  count(shapeOf(type), bytes.length, 0)
  return left < 0
}

// ----- internals -----

/** How deep messages are followed; the generated code reads none that are deeper. */
const maxDepth = 100

/** The kind of a field: there once, an element of a list, one or many numbers of a list, or a message with fields. */
type Kind = "single" | "element" | "numbers" | (() => Shape)

/** The known fields of a message by number. */
type Shape = ReadonlyMap<number, Kind>

const kindOf = (field: DescField): Kind => {
  if (field.fieldKind === "map") return "element"
  if (field.fieldKind !== "list") return "single"
  return field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES ? "element" : "numbers"
}

const shapes = new WeakMap<DescMessage, Shape>()

const shapeOf = (type: DescMessage): Shape => {
  const known = shapes.get(type)
  if (known !== undefined) return known
  const shape = new Map<number, Kind>()
  for (const field of type.fields) {
    const { fieldKind, message, number } = field
    if (message === undefined) {
      shape.set(number, kindOf(field))
      continue
    }
    const nested = () => shapeOf(message)
    // the entry of a map is a message whose second field is the value
    shape.set(number, fieldKind === "map" ? () => new Map([[2, nested]]) : nested)
  }
  shapes.set(type, shape)
  return shape
}
