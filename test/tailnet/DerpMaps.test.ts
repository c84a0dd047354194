/** The DERP map, from files and addresses that come and go. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Layer, Logger, Metric, Option, Queue, References, Semaphore, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { rename, writeFile } from "node:fs/promises"
import * as Http from "node:http"
import { setImmediate } from "node:timers/promises"
import * as DerpMap from "../../src/tailnet/DerpMap.ts"
import * as DerpMaps from "../../src/tailnet/DerpMaps.ts"
import { emptyFolder } from "../support/folder.ts"
import { portOf } from "../support/localServer.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import * as Logs from "../support/logs.ts"
import { isolated } from "../support/isolated.ts"

/** Held while a file is being read. */
const reading = Semaphore.makeUnsafe(1)

const files = Layer.effect(
  FileSystem.FileSystem,
  Effect.map(FileSystem.FileSystem, (fs) => ({ ...fs, readFile: (path) => reading.withPermit(fs.readFile(path)) }))
)

const services = Layer.merge(Layer.provide(files, NodeFileSystem.layer), FetchHttpClient.layer)

const map = (hostName: string, more: object = {}): string =>
  JSON.stringify({
    Regions: {
      "1": {
        RegionID: 1,
        RegionCode: "here",
        Nodes: [{ Name: "1a", RegionID: 1, HostName: hostName, ...more }]
      }
    }
  })

const hostOf = (read: DerpMap.DerpMap) => read.Regions["1"]?.Nodes?.[0]?.HostName

describe("a DERP map", () => {
  it.effect("scores regions by their ids", () =>
    Effect.gen(function* () {
      const scored = (key: string) =>
        DerpMap.parse(JSON.stringify({ Regions: {}, HomeParams: { RegionScore: { [key]: 2 } } }))
      for (const id of ["1", "901", "2147483647"]) {
        assert.deepStrictEqual((yield* scored(id)).HomeParams, { RegionScore: { [id]: 2 } })
      }
      for (const key of ["0", "01", "1a", "x1", "12345678901"]) {
        const error = yield* Effect.flip(scored(key))
        assert.include(String(error), `scores of regions by their ids (got "${key}")`)
      }
    })
  )
})

/** Maps from a source, and the log records of reading it. */
const from = Effect.fnUntraced(function* (source: DerpMaps.Source) {
  const records = yield* Queue.unbounded<Logs.LogRecord>()
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    Queue.offerUnsafe(records, { level: logLevel, message: String(message), annotations })
  })
  const maps = yield* DerpMaps.make({ source }).pipe(Effect.provide(Layer.merge(Logger.layer([logger]), services)))
  const queue = yield* Queue.unbounded<DerpMap.DerpMap>()
  yield* Effect.forkScoped(
    Stream.runForEach(maps.changes, (map) => Queue.offer(queue, map)),
    { startImmediately: true }
  )
  return { maps, next: Queue.take(queue), now: Queue.clear(queue), nextLog: Queue.take(records) }
})

/** Lets time pass, poll after poll, until `awaited` has come. */
const passing = Effect.fnUntraced(function* <A>(awaited: Effect.Effect<A>) {
  const fiber = yield* Effect.forkChild(awaited, { startImmediately: true })
  while (fiber.pollUnsafe() === undefined) {
    yield* TestClock.adjust("5 seconds")
    // the reading itself is real, and must not time out
    yield* reading.withPermit(Effect.void)
    for (let turn = 0; turn < 500 && fiber.pollUnsafe() === undefined; turn++) {
      yield* Effect.promise(() => setImmediate())
    }
  }
  return yield* Fiber.join(fiber)
})

/** A file with a text, if any, and the maps that are read from it. */
const fromFile = Effect.fnUntraced(function* (text: string | undefined) {
  const folder = yield* Effect.provide(emptyFolder, services)
  const file = `${folder}/derp.json`
  const write = (text: string | Uint8Array) =>
    Effect.promise(() => writeFile(`${file}.new`, text).then(() => rename(`${file}.new`, file)))
  if (text !== undefined) yield* write(text)
  return { ...(yield* from({ file })), file, write }
})

/** A server that responds with what it is told to. */
const server = Effect.gen(function* () {
  const response = { status: 200, body: map("one") }
  const http = Http.createServer((_, res) => res.writeHead(response.status).end(response.body))
  const port = yield* portOf(http, () => http.closeAllConnections())
  return { response, url: `http://127.0.0.1:${port}/map.json?key=secret` }
})

describe("DerpMaps", () => {
  it.effect("has a map without relays when there is no source [TU-01]", () =>
    Effect.gen(function* () {
      const maps = yield* DerpMaps.make()

      assert.deepStrictEqual(yield* maps.current, { Regions: {} })
      assert.deepStrictEqual(yield* Stream.runHead(maps.changes), Option.some({ Regions: {} }))
    }).pipe(Effect.provide(services))
  )

  it.effect("reads a file again every 5 seconds, and passes on each map that differs [TU-02]", () =>
    Effect.gen(function* () {
      const { next, nextLog, now, write } = yield* fromFile(map("one"))
      assert.strictEqual(hostOf(yield* next), "one")
      assert.deepInclude(yield* nextLog, { level: "Info", message: "a DERP map was read" })

      yield* write(map("two"))
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(yield* now, [])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(hostOf(yield* next), "two")

      // the same map in another spelling is no change
      yield* write(`${map("two")}\n\n`)
      yield* TestClock.adjust("5 seconds")
      yield* write(map("three", { CanPort80: true }))
      assert.strictEqual(hostOf(yield* passing(next)), "three")
    })
  )

  it.effect("keeps the last map when a reading gives no valid one, and says why once [TU-03]", () =>
    Effect.gen(function* () {
      const { file, maps, next, nextLog, now, write } = yield* fromFile(map("one"))
      yield* next
      yield* nextLog

      for (const [text, problem] of [
        ["{", /JSON|Expected/],
        [map("", {}), /host name or an address/],
        [JSON.stringify({ Regions: { "2": { RegionID: 1, RegionCode: "" } } }), /key is its RegionID/],
        [map("x", { RegionID: 2 }), /RegionID of their region/],
        [map("x", { DERPPort: 65_536 }), /65535/],
        [Buffer.from([0x7b, 0xff, 0x7d]), /UTF-8/],
        ["x".repeat(DerpMap.maxBytes + 1), /1048576 bytes at most/]
      ] as const) {
        yield* write(text)
        const record = yield* passing(nextLog)
        assert.deepInclude(record, {
          level: "Error",
          message: "the DERP map cannot be used, the last one stays in place"
        })
        assert.strictEqual(record.annotations["source"], file)
        assert.match(String(record.annotations["problem"]), problem)
      }
      assert.strictEqual(hostOf(yield* maps.current), "one")
      assert.deepStrictEqual(yield* now, [])

      yield* write(map("two"))
      assert.strictEqual(hostOf(yield* passing(next)), "two")
      assert.deepInclude(yield* nextLog, { message: "a DERP map was read" })
    })
  )

  it.effect("begins without relays when the file is not there, and takes it when it comes [TU-04]", () =>
    Effect.gen(function* () {
      const { next, nextLog, write } = yield* fromFile(undefined)
      assert.deepStrictEqual(yield* next, DerpMap.empty)
      assert.deepInclude(yield* nextLog, { level: "Error" })

      yield* write(map("one"))
      assert.strictEqual(hostOf(yield* passing(next)), "one")
    })
  )

  it.effect("reads an address, and neither logs its secrets nor takes an error page for a map [TU-05]", () =>
    Effect.gen(function* () {
      const { response, url } = yield* server
      const { maps, next, nextLog } = yield* from({ url })
      assert.strictEqual(hostOf(yield* next), "one")
      const first = yield* nextLog
      assert.match(String(first.annotations["source"]), /^http:\/\/127\.0\.0\.1:\d+\/map\.json$/)

      Object.assign(response, { status: 500, body: map("two") })
      const failed = yield* passing(nextLog)
      assert.match(String(failed.annotations["problem"]), /500/)
      assert.notInclude(JSON.stringify([first, failed]), "secret")
      assert.strictEqual(hostOf(yield* maps.current), "one")

      Object.assign(response, { status: 200 })
      assert.strictEqual(hostOf(yield* passing(next)), "two")
    })
  )

  it.effect("takes what the administrators have set where there is neither a file nor an address [TU-19]", () =>
    Effect.gen(function* () {
      let set: object = {}
      const { maps, next } = yield* from({ setting: Effect.sync(() => set) })
      assert.deepStrictEqual(yield* next, DerpMap.empty)

      set = JSON.parse(map("one"))
      assert.strictEqual(hostOf(yield* passing(next)), "one")
      assert.strictEqual(hostOf(yield* maps.current), "one")
    })
  )
})

describe("the readings of a DERP map", () => {
  /** Maps from a setting of the administrators, which may be unreadable, and the log records of that. */
  const set = Effect.fnUntraced(function* (
    setting: { json: Effect.Effect<object, { readonly message: string }> },
    options: DerpMaps.Options = {}
  ) {
    const records: Array<Logs.LogRecord> = []
    const maps = yield* DerpMaps.make({ source: { setting: Effect.suspend(() => setting.json) }, ...options }).pipe(
      Effect.provide(services),
      Logs.collectLogs(records)
    )
    return { maps, records }
  })
  const regions = (count: number): object => ({
    Regions: Object.fromEntries(
      Array.from({ length: count }, (_, index) => [`${index + 1}`, { RegionID: index + 1, RegionCode: "here" }])
    )
  })
  const failures = Effect.map(Metric.value(Metrics.derpMapFailures), ({ count }) => Number(count))

  it.effect("are logged when a map differs, with its source and its regions", () =>
    Effect.gen(function* () {
      const setting = { json: Effect.succeed(regions(2)) }
      const { records } = yield* set(setting)
      const record = (count: number): Logs.LogRecord => ({
        level: "Info",
        message: "a DERP map was read",
        annotations: { source: "the site configuration", regions: count }
      })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(records, [record(2)])

      setting.json = Effect.succeed(regions(3))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(records, [record(2), record(3)])
      assert.strictEqual(yield* failures, 0)
    }).pipe(isolated)
  )

  it.effect("are counted each time that they fail, and logged when the problem is another one [TU-03]", () =>
    Effect.gen(function* () {
      const problem = (message: string) => Effect.fail({ message })
      const setting: Parameters<typeof set>[0] = { json: problem("no right") }
      const { maps, records } = yield* set(setting, { pollInterval: "10 seconds" })
      const next = (json: (typeof setting)["json"]) =>
        Effect.suspend(() => {
          setting.json = json
          return TestClock.adjust("10 seconds")
        })

      yield* next(problem("no right"))
      yield* next(problem("no table"))
      yield* next(Effect.succeed(regions(1)))
      yield* next(problem("no table"))
      yield* TestClock.adjust("9 seconds")

      assert.deepStrictEqual(
        records.map(({ annotations, level }) => [level, annotations["problem"]]),
        [
          ["Error", "no right"],
          ["Error", "no table"],
          ["Info", undefined],
          ["Error", "no table"]
        ]
      )
      assert.strictEqual(yield* failures, 4)
      assert.deepStrictEqual(yield* maps.current, regions(1))
    }).pipe(isolated)
  )

  it.effect("go on after one that fails unexpectedly, which is logged with its cause", () =>
    Effect.gen(function* () {
      const setting: Parameters<typeof set>[0] = { json: Effect.die("a defect") }
      const { maps, records } = yield* set(setting)
      assert.deepStrictEqual(
        records.map(({ level, message }) => `${level}: ${message}`),
        ["Error: reading the DERP map failed"]
      )
      assert.include(records[0]!.cause, "a defect")

      setting.json = Effect.succeed(regions(1))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* maps.current, regions(1))
    })
  )

  it.effect("end after 30 seconds, also the one that the start waits for", () =>
    Effect.gen(function* () {
      const starting = yield* Effect.forkChild(set({ json: Effect.never }), { startImmediately: true })

      yield* TestClock.adjust("29999 millis")
      assert.isUndefined(starting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const { maps, records } = yield* Fiber.join(starting)
      assert.deepStrictEqual(yield* maps.current, DerpMap.empty)
      assert.strictEqual(records[0]?.message, "the DERP map cannot be used, the last one stays in place")
    })
  )

  it.effect("take a map of 1 MiB, and name an address that is none without repeating it", () =>
    Effect.gen(function* () {
      const { maps } = yield* fromFile(map("one").padEnd(DerpMap.maxBytes))
      assert.strictEqual(hostOf(yield* maps.current), "one")

      const records: Array<Logs.LogRecord> = []
      yield* DerpMaps.make({ source: { url: "secret relays" } }).pipe(
        Effect.provide(services),
        Logs.collectLogs(records)
      )
      assert.strictEqual(records[0]?.annotations["source"], "an address")
    })
  )
})
