/** The catalog of agents and the readiness of the service beside a store that is not the database. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Layer, Option } from "effect"
import { AgentCatalog } from "../../src/dashboard/AgentCatalog.ts"
import { type AgentId, UserId } from "../../src/domain/Ids.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import { make, MetadataStore } from "../../src/metadata/MetadataStore.ts"
import { Readiness } from "../../src/operations/Readiness.ts"
import * as MetadataStorage from "../../src/storage/MetadataStorage.ts"
import { noon } from "../support/metadata.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { metadata } from "../support/watch.ts"

const settings = {
  writeTimeout: Duration.seconds(1),
  storeUrl: undefined,
  storePrefix: "unused",
  storeCredentialsFile: undefined,
  storeTlsCa: undefined,
  storeTlsCert: undefined,
  storeTlsKey: undefined
}

/** The storage with a store that reads these rows for each agent, or is away. */
const over = (rows: ReadonlyArray<ReturnType<typeof metadata>> | "away") =>
  Layer.build(
    MetadataStorage.layer(settings, {
      metadataStore: Layer.succeed(MetadataStore, {
        ...make({
          updateBatch: () => Effect.succeed([]),
          read: () =>
            rows === "away"
              ? Effect.fail(new StoreError({ reason: "unavailable", cause: "away" }))
              : Effect.succeed(rows)
        }),
        problem: Effect.succeed(rows === "away" ? "the store is away" : undefined)
      })
    })
  )

const newest = { reported_at: noon, errors: 1 }

layer(Postgres.layer, { excludeTestServices: true })("MetadataStorage", (it) => {
  it.effect("lists agents with the times and errors of values that are elsewhere [RS-06]", () =>
    Effect.gen(function* () {
      const [agentId] = yield* Seed.agents(1, ["cpu"])
      const storage = yield* over([metadata("cpu", "1", { collectedAt: noon }), metadata("ram", "", { error: "no" })])
      const found = yield* look(agentId).pipe(Effect.provideContext(storage))

      assert.deepInclude(found.listed, newest)
      assert.deepInclude(found.details, newest)
      assert.isUndefined(yield* problem.pipe(Effect.provideContext(storage)))
    })
  )

  it.effect("lists agents while values are away, and is not ready [RS-06]", () =>
    Effect.gen(function* () {
      const [agentId] = yield* Seed.agents(1, ["cpu"])
      const storage = yield* over("away")
      const { details, listed } = yield* look(agentId).pipe(Effect.provideContext(storage))

      assert.deepStrictEqual([listed?.id, details.id], [agentId, agentId])
      assert.strictEqual(yield* problem.pipe(Effect.provideContext(storage)), "the store is away")
    })
  )
})

const problem = Readiness.use((readiness) => readiness.problem)

/** The agent in a list, and its details. */
const look = Effect.fnUntraced(function* (agentId: AgentId) {
  const { find, list } = yield* AgentCatalog
  const administrator = { id: Seed.newId(UserId), username: "admin", isAdmin: true }
  const query = { search: agentId, sort: "name", order: "asc", offset: 0, limit: 10 } as const
  const { agents } = yield* list(administrator, query)
  return { listed: agents[0], details: Option.getOrThrow(yield* find(agentId)) }
})
