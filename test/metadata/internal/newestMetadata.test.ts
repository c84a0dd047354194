/** The pending map against a model that is too simple to be wrong. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Schema } from "effect"
import {
  heldBytes,
  type NewestMetadata,
  newestMetadata,
  sizedNewestMetadata
} from "../../../src/metadata/internal/newestMetadata.ts"
import { Report } from "../../../src/metadata/internal/report.ts"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"
import { agent, entries, entry, row } from "../../support/metadataBatcher.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

/** A few agents, keys and times, so that samples meet often. */
const Samples = Schema.Array(Schema.Struct({ agent: upTo(3), key: upTo(4), time: upTo(6) }))

const rowsOf = (samples: typeof Samples.Type): ReadonlyArray<MetadataRow> =>
  samples.map((sample, index) => row(agent(sample.agent), entry(`key-${sample.key}`, `sample ${index}`, sample.time)))

const id = (row: MetadataRow) => `${row.agentId} ${row.key}`

const byId = (rows: ReadonlyArray<MetadataRow>) => Object.fromEntries(rows.map((row) => [id(row), row.value]))

/** Of each key the row that is collected last, of those the one that arrives last. */
const newestOf = (rows: ReadonlyArray<MetadataRow>): Record<string, string> =>
  byId(rows.toSorted((a, b) => a.collectedAt.epochMilliseconds - b.collectedAt.epochMilliseconds))

/** Rows of one agent that follow one another are a report. */
const addAll = (rows: ReadonlyArray<MetadataRow>, state = newestMetadata.empty()): NewestMetadata =>
  Array.isReadonlyArrayNonEmpty(rows)
    ? Array.groupWith(rows, (a, b) => a.agentId === b.agentId).reduce(addReport, state)
    : state

const addReport = (state: NewestMetadata, rows: ReadonlyArray<MetadataRow>): NewestMetadata =>
  newestMetadata.add(state, new Report(rows[0]!.agentId, rows), 0, rows.length)

const takeAll = (state: NewestMetadata) => newestMetadata.take(state, Number.MAX_SAFE_INTEGER)[0]

describe("newestMetadata", () => {
  it.prop(
    "keeps the newest row of each key, whatever the order of arrival [MB-15, MB-16, MB-17]",
    { samples: Samples },
    ({ samples }) => {
      const rows = rowsOf(samples)

      assert.deepStrictEqual(byId(takeAll(addAll(rows))), newestOf(rows))
    }
  )

  it.prop(
    "takes the rows that it is told to take, in their order, and keeps the others",
    { samples: Samples, skipped: upTo(4), stopAt: upTo(12), max: upTo(12) },
    ({ max, samples, skipped, stopAt }) => {
      const rows = rowsOf(samples)
      const all = takeAll(addAll(rows))
      const asked: Array<string> = []
      const select = (row: MetadataRow) =>
        asked.push(id(row)) > stopAt ? "stop" : row.key === `key-${skipped}` ? "skip" : "take"

      const [batch, rest] = newestMetadata.take(addAll(rows), max, select)

      const wanted = all.slice(0, stopAt).filter(({ key }) => key !== `key-${skipped}`)
      assert.deepStrictEqual(batch, wanted.slice(0, max))
      assert.deepStrictEqual(asked, all.slice(0, asked.length).map(id))
      assert.strictEqual(rest.size, all.length - batch.length)
      assert.deepStrictEqual(byId([...batch, ...takeAll(rest)]), byId(all))
    }
  )

  it.prop("holds one row for each key, and none that was not added [MB-18]", { samples: Samples }, ({ samples }) => {
    const rows = rowsOf(samples)
    const state = addAll(rows)

    assert.strictEqual(state.size, new Set(rows.map(id)).size)
    assert.isTrue(rows.every((row) => newestMetadata.has(state, row)))
    assert.isTrue(takeAll(state).every((taken) => rows.some(({ value }) => value === taken.value)))
  })

  it.prop(
    "takes batches of at most the given size, which together are all rows",
    { samples: Samples, size: upTo(5) },
    ({ samples, size }) => {
      const rows = rowsOf(samples)
      const taken: Array<MetadataRow> = []
      let state = addAll(rows)
      while (state.size > 0) {
        const before = state.size
        const [batch, rest] = newestMetadata.take(state, size + 1)
        assert.strictEqual(batch.length, Math.min(size + 1, before))
        assert.strictEqual(rest.size, before - batch.length)
        taken.push(...batch)
        state = rest
      }

      assert.deepStrictEqual(byId(taken), newestOf(rows))
    }
  )

  it.prop(
    "puts rows back as if they had never been taken",
    { earlier: Samples, later: Samples },
    ({ earlier, later }) => {
      const before = rowsOf(earlier)
      const after = rowsOf(later).map((row) => ({ ...row, value: `${row.value}, later` }))
      const failed = takeAll(addAll(before))

      const state = newestMetadata.restore(addAll(after), failed)

      assert.deepStrictEqual(byId(takeAll(state)), newestOf([...before, ...after]))
    }
  )

  it.prop(
    "counts the bytes of its rows, and takes what exceeds the fair share of agents",
    { earlier: Samples, later: Samples, size: upTo(5), bytes: upTo(5_000), isRestored: Schema.Boolean },
    ({ bytes, earlier, isRestored, later, size }) => {
      const { bytes: count, evict } = sizedNewestMetadata.sized!
      const bytesOf = (rows: ReadonlyArray<MetadataRow>) => rows.reduce((sum, row) => sum + heldBytes(row), 0)
      const ofAgents = (rows: ReadonlyArray<MetadataRow>) =>
        new Map([...Map.groupBy(rows, ({ agentId }) => agentId)].map(([agentId, rows]) => [agentId, bytesOf(rows)]))
      const empty = sizedNewestMetadata.empty()
      const [batch, rest] = sizedNewestMetadata.take(addAll(rowsOf(earlier), empty), size + 1)
      const [some, more] = sizedNewestMetadata.take(rest, size, ({ key }) => (key === "key-1" ? "skip" : "take"))
      const state = addAll(rowsOf(later), isRestored ? sizedNewestMetadata.restore(more, [...batch, ...some]) : more)
      const before = count(state)

      const [evicted, left] = evict(state, bytes)
      const all = takeAll(left)

      assert.strictEqual(before, bytesOf([...evicted, ...all]))
      assert.strictEqual(count(left), bytesOf(all))
      assert.isAtLeast(bytesOf(evicted), Math.min(bytes, before))
      const most = Math.max(0, ...ofAgents(all).values())
      const had = ofAgents([...evicted, ...all])
      for (const { agentId } of evicted) assert.isAtLeast(had.get(agentId)!, most, "agents with less lose nothing")
      assert.strictEqual(new Set([...evicted, ...all].map(id)).size, evicted.length + all.length)
    }
  )

  it("takes bytes from those that have the most, until they have the same, however late they came", () => {
    const rows = [1, 5, 6].flatMap((count, index) =>
      Array.makeBy(count, (number) => row(agent(index), entry(`key-${number}`, "value")))
    )
    const evictedOf = (count: number) => {
      const state = addAll(rows, sizedNewestMetadata.empty())
      const [evicted, left] = sizedNewestMetadata.sized!.evict(state, count * heldBytes(rows[0]!))
      assert.strictEqual(left.size, rows.length - evicted.length)
      return evicted.map(({ agentId }) => agentId)
    }

    assert.deepStrictEqual(evictedOf(1), [agent(2)])
    assert.deepStrictEqual(evictedOf(3), [agent(2), agent(2), agent(1)])
    assert.lengthOf(evictedOf(100), rows.length)
  })

  it("takes no more from agents that have the same than the bytes that are missing", () => {
    const rows = [1, 2].flatMap((number) => Array.makeBy(10, (key) => row(agent(number), entry(`key-${key}`, "value"))))

    const [evicted, left] = sizedNewestMetadata.sized!.evict(
      addAll(rows, sizedNewestMetadata.empty()),
      heldBytes(rows[0]!)
    )

    assert.deepStrictEqual([evicted.length, left.size], [1, 19])
  })

  it("forgets an agent of whom everything was taken: it comes back behind those that came meanwhile", () => {
    const reportOf = (number: number) => row(agent(number), entry("a"))
    const [, rest] = newestMetadata.take(addAll([reportOf(1), reportOf(2)]), 1, () => "take")

    const state = addAll([reportOf(3), reportOf(1)], rest)

    assert.deepStrictEqual(
      takeAll(state).map(({ agentId }) => agentId),
      [agent(2), agent(3), agent(1)]
    )
  })

  it("forgets an agent who has lost everything", () => {
    const reports = [1, 2].map((number) => row(agent(number), entry("a")))
    const [evicted, rest] = sizedNewestMetadata.sized!.evict(addAll(reports, sizedNewestMetadata.empty()), 1_000_000)

    assert.lengthOf(evicted, 2)
    assert.deepStrictEqual(takeAll(addAll(reports.toReversed(), rest)), reports.toReversed())
  })

  it("finds the keys of an agent that has many", () => {
    const rows = Array.makeBy(100, (number) => row(agent(1), entry(`key-${number}`, "first")))
    const again = rows.toReversed().map((row) => ({ ...row, value: "second" }))
    const more = row(agent(1), entry("key-100", "new"))

    const state = addAll([more, ...again.slice(0, 50)], addAll(rows))

    assert.strictEqual(state.size, 101)
    assert.deepStrictEqual(byId(takeAll(state)), byId([...rows.slice(0, 50), ...again.slice(0, 50), more]))
  })

  it.prop(
    "changes neither the reports that it was given nor the batches that were taken",
    { earlier: Samples, later: Samples, size: upTo(5) },
    ({ earlier, later, size }) => {
      const rows = rowsOf(earlier)
      const [batch, rest] = newestMetadata.take(addAll(rows), size + 1)
      const taken = [...batch]
      const again = addAll(rowsOf(later), newestMetadata.restore(rest, batch))

      assert.deepStrictEqual(batch, taken)
      assert.deepStrictEqual(rows, rowsOf(earlier))
      assert.strictEqual(takeAll(again).length, again.size)
    }
  )

  it("takes from every agent in turn, although one of them always has more than a batch", () => {
    const state = addAll(["a", "b", "c"].map((key) => row(agent(1), entry(key))))
    const more = addAll(
      [2, 3, 4].map((number) => row(agent(number), entry("a"))),
      state
    )

    const [first, afterFirst] = newestMetadata.take(more, 2)
    const [second, afterSecond] = newestMetadata.take(addAll(first, afterFirst), 2)
    const [third] = newestMetadata.take(afterSecond, 2)

    assert.deepStrictEqual(first.map(id), [`${agent(1)} a`, `${agent(1)} b`])
    assert.deepStrictEqual(second.map(id), [`${agent(2)} a`, `${agent(3)} a`])
    assert.deepStrictEqual(third.map(id), [`${agent(4)} a`, `${agent(1)} c`])
  })

  it.prop("keeps the rows of an agent side by side", { samples: Samples }, ({ samples }) => {
    const agents = takeAll(addAll(rowsOf(samples))).map(({ agentId }) => agentId)
    const runs = agents.filter((agentId, index) => agentId !== agents[index - 1])

    assert.strictEqual(runs.length, new Set(agents).size)
  })
})

it("a row holds two bytes for each character of its key, its value and its error", () => {
  const bytesOf = (key: string, value: string, error: string) => heldBytes({ ...entry(key, value), error })

  assert.strictEqual(bytesOf("cpu", "12 %", "timeout") - bytesOf("", "", ""), 28)
})

describe("an agent of whom a batch took a part", () => {
  for (const select of [undefined, () => "take" as const]) {
    it(`gives up the bytes of what is left, ${select === undefined ? "without" : "with"} a choice of rows`, () => {
      const { add, empty, sized, take } = sizedNewestMetadata
      const many = new Report(agent(1), entries(10))
      const few = new Report(agent(2), entries(2, "other"))

      const [, state] = take(add(add(empty(), many, 0, 10), few, 0, 2), 5, select)
      const [evicted, rest] = sized!.evict(state, 1)

      assert.deepStrictEqual(
        evicted.map(({ agentId }) => agentId),
        [agent(1)]
      )
      const bytesOf = (prefix: string, rows: number) => rows * heldBytes(entries(1, prefix)[0]!)
      assert.deepStrictEqual([rest.size, sized!.bytes(rest)], [6, bytesOf("key", 4) + bytesOf("other", 2)])
    })
  }
})
