/**
 * Picks the store of metadata, with what depends on where values are: the catalog shows the time of the newest one, and the
 * service is not ready while none can be written.
 */
import { Array as Arr, DateTime, type Duration, Effect, Layer, Option, type Redacted } from "effect"
import type { SqlClient } from "effect/sql"
import { AgentCatalog, type AgentSummary } from "../dashboard/AgentCatalog.ts"
import { type AgentMetadata, zeroTime } from "../domain/Metadata.ts"
import { MetadataStore } from "../metadata/MetadataStore.ts"
import { Readiness } from "../operations/Readiness.ts"
import type { Options as Silence } from "./internal/agentStatus.ts"
import * as PgMetadataStore from "./PgMetadataStore.ts"
import * as PgReadiness from "./operations/PgReadiness.ts"
import * as PgAgentCatalog from "./readers/PgAgentCatalog.ts"
import * as RedisMetadataStore from "./RedisMetadataStore.ts"

export { MetadataStoreUnusable } from "./RedisMetadataStore.ts"

export interface Settings {
  readonly writeTimeout: Duration.Duration
  readonly storeUrl: Redacted.Redacted | undefined
  readonly storePrefix: string
  readonly storeCredentialsFile: string | undefined
  readonly storeTlsCa: string | undefined
  readonly storeTlsCert: string | undefined
  readonly storeTlsKey: string | undefined
}

export interface Options<E, R> extends Silence {
  /** Another store, in the place of the one that the settings name. */
  readonly metadataStore?: Layer.Layer<MetadataStore, E, R> | undefined
}

/** Provides the store, the catalog of agents and the readiness of the service. */
export const layer = <E, R>(
  settings: Settings,
  { metadataStore, ...silence }: Options<E, R>
): Layer.Layer<
  MetadataStore | AgentCatalog | Readiness,
  E | RedisMetadataStore.MetadataStoreUnusable,
  R | SqlClient.SqlClient
> => {
  const ofDatabase = Layer.merge(PgAgentCatalog.layer(silence), PgReadiness.layer)
  const elsewhere: Elsewhere<E, R> | undefined = metadataStore ?? inRedis(settings)
  return elsewhere === undefined
    ? Layer.merge(PgMetadataStore.layer({ writeTimeout: settings.writeTimeout }), ofDatabase)
    : Layer.merge(layerCatalog, layerReadiness).pipe(Layer.provide(ofDatabase), Layer.provideMerge(elsewhere))
}

type Elsewhere<E, R> = Layer.Layer<MetadataStore, E | RedisMetadataStore.MetadataStoreUnusable, R | SqlClient.SqlClient>

/** The store that the settings name, if they name one. */
const inRedis = ({ storeUrl: url, ...settings }: Settings) =>
  url &&
  RedisMetadataStore.layer({
    url,
    writeTimeout: settings.writeTimeout,
    prefix: settings.storePrefix,
    credentialsFile: settings.storeCredentialsFile,
    tls: { ca: settings.storeTlsCa, cert: settings.storeTlsCert, key: settings.storeTlsKey }
  })

/** The catalog of the database, with the times and errors of values that are elsewhere. */
const layerCatalog = Layer.effect(
  AgentCatalog,
  Effect.gen(function* () {
    const { find, list } = yield* AgentCatalog
    const { readMany } = yield* MetadataStore
    const withNewest = <A extends AgentSummary>(agents: ReadonlyArray<A>) =>
      readMany(agents.map(({ id }) => id)).pipe(
        Effect.map((found) => agents.map((agent) => ({ ...agent, ...newestOf(found.get(agent.id) ?? []) }))),
        // people find their agents while values are away
        Effect.orElseSucceed(() => agents)
      )
    return AgentCatalog.of({
      list: (viewer, query) =>
        Effect.flatMap(list(viewer, query), (page) =>
          Effect.map(withNewest(page.agents), (agents) => ({ ...page, agents }))
        ),
      find: (agentId) =>
        Effect.flatMap(find(agentId), (found) =>
          Option.isNone(found) ? Effect.succeed(found) : Effect.map(withNewest([found.value]), Arr.head)
        )
    })
  })
)

const newestOf = (rows: ReadonlyArray<AgentMetadata>) => {
  const newest = rows.reduce((time, { collectedAt }) => DateTime.max(time, collectedAt), zeroTime)
  return {
    reported_at: DateTime.isGreaterThan(newest, zeroTime) ? newest : null,
    errors: rows.filter(({ error }) => error !== "").length
  }
}

/** The service is ready while the database and the store are. */
const layerReadiness = Layer.effect(
  Readiness,
  Effect.gen(function* () {
    const { problem } = yield* Readiness
    const store = yield* MetadataStore
    const ofStore = store.problem ?? Effect.undefined
    return Readiness.of({
      problem: Effect.flatMap(problem, (found) => (found === undefined ? ofStore : Effect.succeed(found)))
    })
  })
)
