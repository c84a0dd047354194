/** The reader of reports against the generated code. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as MetadataReport from "../../../src/agentapi/wire/MetadataReport.ts"
import * as Proto from "../../../src/wire/generated/agent_pb.ts"
import * as Wire from "../../wire/support.ts"

const recorded: ReadonlyArray<{ readonly name: string; readonly hex: string }> = Wire.vectors("messages").vectors

describe("the fast reader of reports", () => {
  const slow = (bytes: Uint8Array) => {
    const { metadata } = fromBinary(Proto.BatchUpdateMetadataRequestSchema, bytes)
    return metadata.map(({ key, result }) => ({ key, value: result?.value ?? "", error: result?.error ?? "" }))
  }
  const fast = (bytes: Uint8Array) =>
    MetadataReport.decode(bytes).metadata!.map(({ key, result }) => ({ key, ...result }))

  it.prop(
    "reads what the generated code reads [WI-67]",
    {
      metadata: Schema.Array(
        Schema.Struct({ key: Schema.String, value: Schema.String, error: Schema.String, age: Schema.Int })
      )
    },
    ({ metadata }) => {
      const bytes = toBinary(
        Proto.BatchUpdateMetadataRequestSchema,
        create(Proto.BatchUpdateMetadataRequestSchema, {
          metadata: metadata.map(({ age, error, key, value }) => ({
            key,
            result: { value, error, age: BigInt(age), collectedAt: { seconds: 1_767_225_600n, nanos: 5 } }
          }))
        })
      )

      assert.deepStrictEqual(fast(bytes), slow(bytes))
    }
  )

  it("reads what the generated code reads and rejects what it rejects, whatever a byte is changed to [WI-67]", () => {
    const original = Wire.bytes(recorded.find(({ name }) => name.startsWith("metadata report (note"))!.hex)
    const read = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array) =>
      Result.getOrElse(
        Result.try(() => decode(bytes)),
        () => "refused"
      )
    const outcomes = { read: 0, refused: 0 }
    const compare = (bytes: Uint8Array) => {
      const expected = read(slow, bytes)
      assert.deepStrictEqual(read(fast, bytes), expected, Wire.hex(bytes))
      outcomes[expected === "refused" ? "refused" : "read"]++
    }

    for (let at = 0; at < original.length; at++) {
      compare(original.subarray(0, at))
      for (let byte = 0; byte < 256; byte++) {
        const changed = original.slice()
        changed[at] = byte
        compare(changed)
      }
    }

    assert.isAtLeast(outcomes.read, 500)
    assert.isAtLeast(outcomes.refused, 500)
  })

  it("passes fields that it does not know, of each type and in groups, as the generated code does [WI-05]", () => {
    const sample = [0x12, 0x03, 0x0a, 0x01, 0x61]
    const unknown = [
      [0x78, ...Array.from({ length: 12 }, () => 0x80), 0x01],
      [0x79, 1, 2, 3, 4, 5, 6, 7, 8],
      [0x7a, 0x83, 0x80, 0x80, 0x80, 0x80, 0x00, 1, 2, 3],
      [0x7b, 0x08, 0x01, 0x13, 0x14, 0x7c],
      [0x7d, 1, 2, 3, 4]
    ]

    for (const field of unknown) {
      const bytes = Uint8Array.from([...field, ...sample, ...field])
      assert.deepStrictEqual(fast(bytes), slow(bytes))
      assert.deepStrictEqual(fast(bytes), [{ key: "a", value: "", error: "" }])
    }
  })

  it("rejects a key, a value or an error that is not UTF-8 [WI-03]", () => {
    const withText = (...text: ReadonlyArray<number>) =>
      Uint8Array.of(0x12, text.length + 2, 0x0a, text.length, ...text)

    assert.deepStrictEqual(fast(withText(0xc3, 0xa9)), [{ key: "é", value: "", error: "" }])
    assert.throws(() => fast(withText(0xc3)))
    assert.throws(() => fast(withText(...Array.from({ length: 50 }, () => 0xff))))
  })
})
