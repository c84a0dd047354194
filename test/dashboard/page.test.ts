/** The parts of the page that need no browser. */
import { assert, describe, it } from "@effect/vitest"
import { getEventListeners } from "node:events"
import * as Format from "../../src/operations/FigureFormat.ts"
import { bundle } from "../../src/dashboard/internal/bundle.ts"
import { pause } from "../../src/dashboard/page/pause.ts"
import { makeReader } from "../../src/dashboard/page/serverSentEvents.ts"
import { newest } from "../../src/dashboard/page/lifecycle.ts"
import { append, columns } from "../../src/dashboard/page/series.ts"
import { pagesOf, rowsInView } from "../../src/dashboard/page/window.ts"
import { point } from "../support/points.ts"

describe("figures", () => {
  it("are written as short as they can be understood", () => {
    assert.deepStrictEqual([0, 999, 12_345, 1_234_567].map(Format.count), ["0", "999", "12,345", "1.2M"])
    assert.deepStrictEqual([0, 0.04, 0.25, 9.96, 1_234.5].map(Format.rate), ["0", "0.04", "0.3", "10.0", "1,235"])
    assert.deepStrictEqual([0.012, 3.21, 59.9, 61, 3_700, 90_000].map(Format.duration), [
      "12 ms",
      "3.2 s",
      "59 s",
      "1 min 1 s",
      "1 h 1 min",
      "1 d 1 h"
    ])
    assert.deepStrictEqual([-1, 59.9, 60, 7_200, 200_000].map(Format.age), ["0 s", "59 s", "1 min", "2 h", "2 d"])
  })

  it("are stale when more than three intervals have passed", () => {
    assert.deepStrictEqual(
      [Format.isStale(30, 10), Format.isStale(30.1, 10), Format.isStale(1e9, 0)],
      [false, true, false]
    )
  })

  it("were never collected on the first day of the calendar", () => {
    assert.isFalse(Format.isCollected("0001-01-01T00:00:00.000Z"))
    assert.isTrue(Format.isCollected("2026-01-01T00:00:00.000Z"))
  })
})

describe("a line of a log", () => {
  it("is shown without what steers terminals", () => {
    assert.strictEqual(Format.plain("\u001b[1;31mred\u001b[0m and \u001b]0;title\u0007plain\r"), "red and plain")
    assert.strictEqual(Format.plain("a [1] <b>"), "a [1] <b>")
  })
})

describe("the reader of server-sent events", () => {
  const events = [
    { event: "data", data: "[1,2]" },
    { event: "message", data: "two\nlines" },
    { event: "ping", data: "" }
  ]
  const text =
    "event: data\nid: 7\ndata: [1,2]\n\n: a comment\n\ndata: two\r\ndata:lines\r\n\r\nevent: ping\ndata: \n\n"

  it("returns the same events however the text is cut", () => {
    assert.deepStrictEqual(makeReader()(text), events)
    for (let cut = 0; cut <= text.length; cut++) {
      const read = makeReader()
      assert.deepStrictEqual([...read(text.slice(0, cut)), ...read(text.slice(cut))], events, `cut at ${cut}`)
    }
  })

  it("keeps what is not complete", () => {
    assert.deepStrictEqual(makeReader()("event: data\ndata: 1\n"), [])
  })
})

describe("points", () => {
  it("are added when they are newer, as many as ten minutes have", () => {
    assert.deepStrictEqual(append([point(1), point(2)], [point(2), point(3)]), [point(1), point(2), point(3)])
    const many = Array.from({ length: 700 }, (_, second) => point(second + 1))
    assert.deepStrictEqual(append(many, [point(701)]), [...many.slice(101), point(701)])
  })

  it("are drawn with a gap where nobody looked", () => {
    assert.deepStrictEqual(
      columns([point(1, { updates: 5 }), point(6, { updates: 6 }), point(20, { updates: 7 })], 1, "updates", "rows"),
      [
        [1, 6, 7, 20],
        [5, 6, null, 7],
        [0, 0, null, 0]
      ]
    )
    assert.deepStrictEqual(columns([], 1, "updates"), [[], []])
    assert.deepStrictEqual(columns([point(1), point(20)], 6, "watchDelay"), [
      [1, 20],
      [null, null]
    ])
  })
})

describe("a long list", () => {
  it("has the rows in view, and ten beyond either edge", () => {
    assert.deepStrictEqual(rowsInView(10_000, 40, 0, 400), { first: 0, end: 20 })
    assert.deepStrictEqual(rowsInView(10_000, 40, 40_000, 400), { first: 990, end: 1_020 })
    assert.deepStrictEqual(rowsInView(10_000, 40, 399_600, 400), { first: 9_980, end: 10_000 })
    assert.deepStrictEqual(rowsInView(3, 40, 0, 400), { first: 0, end: 3 })
    assert.deepStrictEqual(rowsInView(0, 40, 0, 400), { first: 0, end: 0 })
    assert.deepStrictEqual(rowsInView(5, 40, 40_000, 400), { first: 4, end: 5 })
  })

  it("asks for the pages that hold them", () => {
    assert.deepStrictEqual(pagesOf({ first: 0, end: 20 }, 100), [0])
    assert.deepStrictEqual(pagesOf({ first: 95, end: 205 }, 100), [0, 1, 2])
    assert.deepStrictEqual(pagesOf({ first: 0, end: 0 }, 100), [0])
    assert.deepStrictEqual(pagesOf({ first: 100, end: 200 }, 100), [1])
  })
})

describe("the lifecycle of an agent", () => {
  const at = (state: string) => ({ state, started_at: null, ready_at: null })

  it("is the newer one of the stream and the details, by time [FT-36]", () => {
    const streamed = { ...at("starting"), receivedAt: 1_000 }

    assert.strictEqual(newest(undefined, at("created"), 900).state, "created")
    assert.strictEqual(newest(streamed, at("created"), 900).state, "starting")
    assert.strictEqual(newest(streamed, at("ready"), 1_001).state, "ready")
  })
})

describe("a pause", () => {
  it("ends after its time or when its signal aborts, and leaves no listener on the signal", async () => {
    const controller = new AbortController()
    const listeners = () => getEventListeners(controller.signal, "abort").length

    await pause(0, controller.signal)
    assert.strictEqual(listeners(), 0)
    const long = pause(1_000_000, controller.signal)
    assert.strictEqual(listeners(), 1)
    controller.abort()
    await long
    assert.strictEqual(listeners(), 0)
  })
})

describe("the bundle of the page", () => {
  it("holds the licence of each package in it", async () => {
    const { script, style } = await bundle()

    for (const text of [script, style].map((file) => new TextDecoder().decode(file))) {
      assert.match(text, /^\/\*! \S+\n(?:The )?MIT License/i)
    }
    const text = new TextDecoder().decode(script)
    for (const name of ["preact", "uplot"]) assert.include(text, `/*! ${name}\n`)
    assert.include(text, "Permission is hereby granted")
  })
})
