/** The rules that every store of metadata keeps, so that no adapter is kinder than another. */
import { assert, type layer } from "@effect/vitest"
import { Context, Effect, Schema } from "effect"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { MetadataRow } from "../../src/domain/Metadata.ts"
import { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import { at, noon, read, row, samples, updateBatch } from "../support/metadata.ts"

/** Agents that may report, as the adapter under test needs them. */
export class Agents extends Context.Service<
  Agents,
  {
    /** New agents, each with the same declared keys. */
    readonly declare: (count: number, keys: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<AgentId>>
  }
>()("test/metadata/Agents") {}

/** The tests of a suite whose adapter provides these services beside the store and its agents. */
export type It<R = never> = Parameters<
  Parameters<ReturnType<typeof layer<MetadataStore | Agents | R, unknown>>>[1] & {}
>[0]

const declare = (count: number, keys: ReadonlyArray<string>) => Agents.use((agents) => agents.declare(count, keys))

const readMany = (agentIds: ReadonlyArray<AgentId>) => MetadataStore.use((store) => store.readMany(agentIds))

/** The values of an agent that are not empty, by key. */
const values = (agentId: AgentId) =>
  Effect.map(read(agentId), (all) =>
    Object.fromEntries(all.flatMap(({ key, value }) => (value === "" ? [] : [[key, value]])))
  )

const Order = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))).check(
  Schema.isMinLength(9),
  Schema.isMaxLength(9)
)

export const metadataStoreSuite = (it: It) => {
  it.effect("writes rows of several agents, and returns each agent of whom one changed once [SQ-01]", () =>
    Effect.gen(function* () {
      const [a, b, c] = (yield* declare(3, ["cpu", "ram"])) as [AgentId, AgentId, AgentId]

      const changed = yield* updateBatch([
        row(b, "ram", "2"),
        row(a, "cpu", "1"),
        row(a, "ram", "4", noon, "slow"),
        row(c, "cpu", "3")
      ])

      assert.sameMembers([...changed], [a, b, c])
      assert.deepStrictEqual(yield* samples(a), { cpu: ["1", "", noon], ram: ["4", "slow", noon] })
      assert.deepStrictEqual(yield* values(b), { ram: "2" })
      assert.deepStrictEqual(yield* values(c), { cpu: "3" })
    })
  )

  it.effect.prop(
    "stores the rows of a batch alike in any order [MB-27]",
    { order: Order },
    ({ order }) =>
      Effect.gen(function* () {
        const agents = yield* declare(3, ["cpu", "disk", "ram"])
        const rows: ReadonlyArray<MetadataRow> = agents.flatMap((agentId, index) =>
          ["ram", "cpu", "disk"].map((key) => row(agentId, key, `${key} of ${index}`))
        )
        // agents interleave, and one of them has only a row that changes nothing
        yield* updateBatch(["cpu", "disk", "ram"].map((key) => row(agents[2]!, key, "newer", at(1))))
        const shuffled = rows
          .map((each, index) => ({ each, place: order[index]! }))
          .toSorted((one, other) => one.place - other.place)
          .map(({ each }) => each)

        const changed = yield* updateBatch(shuffled)

        assert.sameMembers([...changed], agents.slice(0, 2))
        for (const [index, agentId] of agents.entries()) {
          const of = (key: string) => (index === 2 ? "newer" : `${key} of ${index}`)
          assert.deepStrictEqual(yield* values(agentId), { cpu: of("cpu"), disk: of("disk"), ram: of("ram") })
        }
      }),
    { arbitrary: { runs: 10 } }
  )

  it.effect("keeps what is newer, and does not return an agent of whom nothing changed [SQ-04]", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* declare(2, ["cpu", "ram"])) as [AgentId, AgentId]
      yield* updateBatch([row(a, "cpu", "newer"), row(b, "cpu", "older")])

      const changed = yield* updateBatch([
        row(a, "cpu", "late", at(-1), "late"),
        row(b, "cpu", "newest", at(1)),
        row(b, "ram", "first", at(-1))
      ])

      assert.deepStrictEqual([...changed], [b])
      assert.deepStrictEqual((yield* samples(a))["cpu"], ["newer", "", noon])
      assert.deepStrictEqual(yield* samples(b), { cpu: ["newest", "", at(1)], ram: ["first", "", at(-1)] })
    })
  )

  it.effect("replaces a row by one of the same time [SQ-04]", () =>
    Effect.gen(function* () {
      const [a] = (yield* declare(1, ["cpu"])) as [AgentId]
      yield* updateBatch([row(a, "cpu", "1", noon, "wrong")])

      assert.deepStrictEqual([...(yield* updateBatch([row(a, "cpu", "2")]))], [a])
      assert.deepStrictEqual(yield* samples(a), { cpu: ["2", "", noon] })
    })
  )

  it.effect("takes a batch again, as a whole and in parts, without harm", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* declare(2, ["cpu", "ram"])) as [AgentId, AgentId]
      const batch = [row(a, "cpu", "1"), row(a, "ram", "2"), row(b, "cpu", "3")]

      for (const part of [batch, batch, batch.slice(1), batch.slice(0, 1)]) yield* updateBatch(part)

      assert.deepStrictEqual(yield* samples(a), { cpu: ["1", "", noon], ram: ["2", "", noon] })
      assert.deepStrictEqual(yield* values(b), { cpu: "3" })
    })
  )

  it.effect("takes a batch without rows, and changes nobody", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual([...(yield* updateBatch([]))], [])
    })
  )

  it.effect("keeps texts as they are, and a value that became empty", () =>
    Effect.gen(function* () {
      const [a] = (yield* declare(1, ["cpu", "größe 😀"])) as [AgentId]
      const text = 'it\'s\n\t"quoted" \\ {a,b} NULL ü 😀 \u2028'
      yield* updateBatch([row(a, "cpu", "full"), row(a, "größe 😀", text, noon, text)])

      yield* updateBatch([row(a, "cpu", "", at(1))])

      assert.deepStrictEqual(yield* samples(a), { cpu: ["", "", at(1)], "größe 😀": [text, text, noon] })
    })
  )

  it.effect("reads the listed keys, or all of them for none [SQ-05]", () =>
    Effect.gen(function* () {
      const [a] = (yield* declare(1, ["cpu", "disk", "ram"])) as [AgentId]
      yield* updateBatch(["cpu", "disk", "ram"].map((key) => row(a, key, "1")))
      const keys = (listed?: ReadonlyArray<string>) =>
        Effect.map(read(a, listed), (found) => found.map(({ key }) => key).sort())

      assert.deepStrictEqual(yield* keys(), ["cpu", "disk", "ram"])
      assert.deepStrictEqual(yield* keys([]), ["cpu", "disk", "ram"])
      assert.deepStrictEqual(yield* keys(["ram", "unknown"]), ["ram"])
      assert.deepStrictEqual(yield* keys(["unknown"]), [])
    })
  )

  it.effect("reads many agents with all their keys, and leaves out those without metadata", () =>
    Effect.gen(function* () {
      const [a, b] = (yield* declare(2, ["cpu", "ram"])) as [AgentId, AgentId]
      const [bare] = (yield* declare(1, [])) as [AgentId]
      yield* updateBatch([a, b].flatMap((agentId) => ["cpu", "ram"].map((key) => row(agentId, key, agentId))))

      const found = yield* readMany([b, bare, a])

      assert.sameMembers([...found.keys()], [a, b])
      for (const [agentId, rows] of found) {
        assert.deepStrictEqual(rows.map(({ key, value }) => [key, value]).sort(), [
          ["cpu", agentId],
          ["ram", agentId]
        ])
        assert.sameDeepMembers([...rows], [...(yield* read(agentId))])
      }
      assert.strictEqual((yield* readMany([])).size, 0)
    })
  )
}
