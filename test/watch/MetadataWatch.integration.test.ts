/** Many watchers over a real database, whose statements are counted. */
import { PgTypes } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer, Queue, Stream } from "effect"
import * as AgentIdChunks from "../../src/metadata/AgentIdChunks.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import * as MetadataWatch from "../../src/watch/MetadataWatch.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { Statements, layer as layerStatements } from "../support/statements.ts"
import { valuesOf } from "../support/watch.ts"

const environment = MetadataWatch.layer.pipe(
  Layer.provideMerge([PgMetadataStore.layer(), PubSub.layerMemory]),
  Layer.provideMerge(Postgres.layer),
  Layer.provideMerge(layerStatements)
)

layer(environment, { excludeTestServices: true })("MetadataWatch over Postgres", (it) => {
  it.effect("reads each of a hundred changed agents once, in fewer statements, as it is in the end", () =>
    Effect.gen(function* () {
      const statements = yield* Statements
      const pubsub = yield* PubSub.PubSub
      const store = yield* MetadataStore
      const watches = yield* MetadataWatch.MetadataWatch
      const agents = yield* Seed.agents(100, ["cpu", "ram"])
      const collectedAt = yield* DateTime.now
      const watched = yield* Effect.forEach(agents, (agentId) =>
        Effect.gen(function* () {
          const seen = yield* Queue.unbounded<Readonly<Record<string, string>>>()
          yield* Stream.runForEach(yield* watches.open(agentId), (event) =>
            event.type === "data" ? Queue.offer(seen, valuesOf(event.data)) : Effect.void
          ).pipe(Effect.forkScoped)
          // the list as it is at once, and again a second later
          yield* Queue.take(seen)
          return { agentId, seen }
        })
      )
      yield* Effect.forEach(watched, ({ seen }) => Queue.take(seen))

      yield* store.updateBatch(
        agents.map((agentId) => ({ agentId, key: "cpu", value: agentId, error: "", collectedAt }))
      )
      statements.length = 0
      yield* Effect.forEach(AgentIdChunks.encode(agents), (payload) => pubsub.publish(MetadataBatcher.channel, payload))
      // the list comes again after five seconds without a change
      const seen = yield* Effect.forEach(watched, ({ agentId, seen }) =>
        Effect.repeat(Queue.take(seen), { until: ({ cpu }) => cpu === agentId })
      )

      for (const [index, agentId] of agents.entries()) {
        assert.deepStrictEqual(seen[index], { cpu: agentId, ram: "" })
      }
      const reads = statements.filter(({ text }) => text.includes("workspace_agent_metadata_descriptions"))
      const named = reads.flatMap(({ parameters }) =>
        parameters.flatMap((parameter) => (PgTypes.isParameter(parameter) ? parameter.value : []))
      )
      assert.sameMembers(named, [...agents])
      assert.isBelow(reads.length, agents.length)
    })
  )
})
