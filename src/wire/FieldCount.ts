/**
 * Counts the fields of a message before it is read: two bytes of a message can become an object of a hundred.
 *
 * - Messages within a message, elements of lists and fields that are not known count. Single numbers and texts do not.
 * - A message that is too small to have too many is not looked at.
 */
import type { DescMessage } from "@bufbuild/protobuf"
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire"

/** The most fields of a message. The largest list of an agent is one of log lines: 1 MiB, 21 bytes and two messages each. */
export const limit = 131_072

/** Whether a message is too small to have more fields than it may: each takes two bytes. */
export const isBelowLimit = (bytes: Uint8Array): boolean => bytes.length <= 2 * limit

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
      if (field !== "single") left--
      const isNested = typeof field === "function" && wireType === WireType.LengthDelimited && depth < maxDepth
      if (isNested) count(field(), reader.uint32() + reader.pos, depth + 1)
      else reader.skip(wireType, number)
    }
  }
  count(shapeOf(type), bytes.length, 0)
  return left < 0
}

// ----- internals -----

/** How deep messages are followed; the generated code reads none that are deeper. */
const maxDepth = 100

/** The known fields of a message by number: those that are there once, elements of lists, and messages with fields. */
type Shape = ReadonlyMap<number, "single" | "element" | (() => Shape)>

const shapes = new WeakMap<DescMessage, Shape>()

const shapeOf = (type: DescMessage): Shape => {
  const known = shapes.get(type)
  if (known !== undefined) return known
  const shape = new Map<number, "single" | "element" | (() => Shape)>()
  for (const { fieldKind, message, number } of type.fields) {
    if (message === undefined) {
      shape.set(number, fieldKind === "list" || fieldKind === "map" ? "element" : "single")
      continue
    }
    const nested = () => shapeOf(message)
    // the entry of a map is a message whose second field is the value
    shape.set(number, fieldKind === "map" ? () => new Map([[2, nested]]) : nested)
  }
  shapes.set(type, shape)
  return shape
}
