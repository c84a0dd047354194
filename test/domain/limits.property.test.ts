/** Limits of texts and bytes, whatever the text. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Schema } from "effect"
import * as AgentLog from "../../src/domain/AgentLog.ts"
import * as MetadataReport from "../../src/domain/MetadataReport.ts"
import { storable } from "../../src/domain/PostgresText.ts"
import * as Utf8 from "../../src/domain/Utf8.ts"
import { anyKey } from "../support/agentApi.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

/** Texts about as long as the limits, of characters of one to four bytes, white space and what cannot be stored. */
const Text = Schema.Struct({
  characters: Schema.Array(Schema.Literals(["a", "é", "€", "😀", " ", "\n", "\0", "\ud800", "\udc00"])),
  times: upTo(700)
})
const textOf = ({ characters, times }: typeof Text.Type) => characters.join("").repeat(times)

const isStorable = (text: string) => text.isWellFormed() && !text.includes("\0")

describe("limits", () => {
  it.prop("of bytes are those of the runtime", { text: Text }, ({ text }) => {
    assert.strictEqual(Utf8.byteLength(textOf(text)), Buffer.byteLength(textOf(text)))
    assert.strictEqual(Utf8.copy(textOf(text)), textOf(text).toWellFormed())
  })

  it.prop("of the database are kept, and nothing else is changed", { text: Text }, ({ text }) => {
    const stored = storable(textOf(text))

    assert.isTrue(isStorable(stored))
    assert.strictEqual(stored, textOf(text).replaceAll("\0", "").toWellFormed())
    assert.strictEqual(storable(stored), stored)
  })

  it.prop(
    "of values and errors are kept, and what is too long is named with its size [MR-03, MR-04, MR-05]",
    {
      value: Text,
      error: Text
    },
    ({ error, value }) => {
      const sample = { key: "key", value: textOf(value), error: textOf(error) }
      const { entries } = MetadataReport.accept([sample], DateTime.makeUnsafe(0), anyKey)
      const [entry] = entries
      const { maxValueBytes } = MetadataReport
      const whole = { value: storable(sample.value).trim(), error: storable(sample.error).trim() }
      const bytes = { value: Utf8.byteLength(whole.value), error: Utf8.byteLength(whole.error) }

      assert.isTrue(isStorable(entry!.value) && isStorable(entry!.error))
      assert.isAtMost(Utf8.byteLength(entry!.value), maxValueBytes)
      assert.isAtMost(Utf8.byteLength(entry!.error), maxValueBytes)
      assert.isTrue(whole.value.startsWith(entry!.value))
      if (bytes.value <= maxValueBytes) assert.strictEqual(entry!.value, whole.value)
      const tooLong = bytes.error > maxValueBytes ? "error" : bytes.value > maxValueBytes ? "value" : undefined
      assert.strictEqual(
        entry!.error,
        tooLong === undefined
          ? whole.error
          : `${tooLong} of ${bytes[tooLong]} bytes is over the limit of ${maxValueBytes} bytes`
      )
    }
  )

  it.prop(
    "of keys are those of all keys so far [MR-06, MR-08]",
    { lengths: Schema.Array(upTo(3_000)) },
    ({ lengths }) => {
      const samples = lengths.map((length, index) => ({ key: String(index).padEnd(length, "k"), value: "", error: "" }))
      const { entries, keyBytes } = MetadataReport.accept(samples, DateTime.makeUnsafe(0), anyKey)

      let sum = 0
      const fits = samples.findIndex(({ key }) => (sum += key.length) > MetadataReport.maxKeyBytes)
      assert.strictEqual(entries.length, fits === -1 ? samples.length : fits)
      assert.strictEqual(keyBytes > MetadataReport.maxKeyBytes, fits !== -1)
    }
  )

  it.prop("of lines are characters, of which none is split", { text: Text }, ({ text }) => {
    const line = storable(textOf(text))
    const characters = Array.from(line)

    assert.strictEqual(AgentLog.cut(line), characters.slice(0, AgentLog.maxLineLength).join(""))
  })
})
