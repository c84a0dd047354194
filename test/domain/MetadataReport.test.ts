import { assert, describe, it } from "@effect/vitest"
import { DateTime } from "effect"
import { accept, maxKeyBytes, maxValueBytes } from "../../src/domain/MetadataReport.ts"
import { anyKey } from "../support/agentApi.ts"
import { heapBytes } from "../support/heap.ts"
import * as Utf8 from "../../src/domain/Utf8.ts"

const now = DateTime.makeUnsafe("2026-01-22T10:00:00Z")

const sample = (key: string, value = "", error = "") => ({ key, value, error })

const acceptOne = (value: string, error = "") => accept([sample("k", value, error)], now, anyKey).entries[0]!

describe("MetadataReport", () => {
  it("gives every entry the time of receipt [MR-01]", () => {
    const { entries } = accept([sample("a", "1"), sample("b", "2")], now, anyKey)

    assert.deepStrictEqual(
      entries.map((entry) => entry.collectedAt),
      [now, now]
    )
  })

  it("trims white space around values and errors [MR-02]", () => {
    const entry = acceptOne(" \t42 %\n", "\r\n no such file ")

    assert.deepStrictEqual([entry.value, entry.error], ["42 %", "no such file"])
  })

  it("keeps a value of 2 048 bytes and cuts one of 2 049, naming both sizes [MR-03]", () => {
    const whole = acceptOne("v".repeat(2_048))
    const cut = acceptOne("v".repeat(2_049))

    assert.deepStrictEqual([whole.value.length, whole.error], [2_048, ""])
    assert.strictEqual(cut.value, "v".repeat(2_048))
    assert.include(cut.error, "value of 2049 bytes")
    assert.include(cut.error, "2048")
  })

  it("keeps an error of 2 048 bytes and replaces one of 2 049, naming both sizes [MR-04]", () => {
    const whole = acceptOne("", "e".repeat(2_048))
    const replaced = acceptOne("", "e".repeat(2_049))

    assert.strictEqual(whole.error, "e".repeat(2_048))
    assert.include(replaced.error, "error of 2049 bytes")
    assert.include(replaced.error, "2048")
  })

  it("cuts the value and speaks of the error when both are too long [MR-05]", () => {
    const entry = acceptOne("v".repeat(3_000), "e".repeat(4_000))

    assert.strictEqual(entry.value.length, maxValueBytes)
    assert.include(entry.error, "error of 4000 bytes")
  })

  it("cuts a value of wide characters on a character boundary [MR-14]", () => {
    const entry = acceptOne("€".repeat(700))

    assert.strictEqual(entry.value, "€".repeat(682))
    assert.strictEqual(Utf8.byteLength(entry.value), 2_046)
  })

  it("accepts keys of exactly 6 144 bytes and rejects the byte behind them [MR-06]", () => {
    const full = [sample("a".repeat(2_048)), sample("b".repeat(2_048)), sample("c".repeat(2_048))]

    assert.deepStrictEqual(accept(full, now, anyKey).keyBytes, maxKeyBytes)
    const over = accept([...full, sample("d")], now, anyKey)
    assert.strictEqual(over.entries.length, 3)
    assert.strictEqual(over.keyBytes, maxKeyBytes + 1)
  })

  it("rejects everything behind the entry that crosses the limit [MR-08]", () => {
    const { entries } = accept([sample("small"), sample("k".repeat(6_144)), sample("tiny")], now, anyKey)

    assert.deepStrictEqual(
      entries.map((entry) => entry.key),
      ["small"]
    )
  })

  it("measures keys in bytes", () => {
    const { entries, keyBytes } = accept([sample("€".repeat(2_048)), sample("x")], now, anyKey)

    assert.deepStrictEqual([entries.length, keyBytes], [1, 6_145])
  })

  it("removes what Postgres text cannot hold [MB-48]", () => {
    const entry = accept([sample("k\0ey", "a\0b\ud800", "\0")], now, anyKey).entries[0]!

    assert.deepStrictEqual([entry.key, entry.value, entry.error], ["key", "ab\ufffd", ""])
  })

  it("accepts an empty report [MR-10]", () => {
    assert.deepStrictEqual(accept([], now, anyKey), { entries: [], keyBytes: 0, undeclared: 0 })
  })

  it("leaves out keys that are not declared, and counts them [FT-08]", () => {
    const declared = new Set(["cpu", "disk"])
    const { entries, undeclared } = accept(
      [sample("cpu", "1"), sample("ram", "2"), sample(""), sample("disk\0", "3")],
      now,
      declared
    )

    assert.deepStrictEqual(
      entries.map(({ key, value }) => [key, value]),
      [
        ["cpu", "1"],
        ["disk", "3"]
      ]
    )
    assert.strictEqual(undeclared, 2)
  })

  it("has no more entries than there are keys, the last sample of each [FT-08]", () => {
    const samples = Array.from({ length: 1_000 }, (_, index) => sample(index % 2 === 0 ? "a" : "b", String(index)))
    const { entries } = accept(samples, now, new Set(["a", "b", "c"]))

    assert.deepStrictEqual(
      entries.map(({ key, value }) => [key, value]),
      [
        ["a", "998"],
        ["b", "999"]
      ]
    )
  })

  it("holds no more memory than its texts need, however much white space came with them [FT-04]", () => {
    const before = heapBytes()

    // as from a socket: each text is one of its own
    const held = Array.from({ length: 10 }, (_, index) => {
      const spaces = Buffer.alloc(3_000_000, " ").toString()
      return [
        acceptOne(`value no. ${index} is 16${spaces}`, `${spaces}error no. ${index} is 16`),
        acceptOne(`${index}${"v".repeat(3_000_000)}`)
      ]
    })

    assert.isBelow(heapBytes() - before, 5_000_000)
    assert.lengthOf(held, 10)
  })
})
