/** The database of the service: the one that the settings name, or an embedded one. */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Layer, type Redacted } from "effect"
import type { Settings } from "./Config.ts"
import * as EmbeddedPostgres from "./postgres/EmbeddedPostgres.ts"
import * as PgDirectory from "./storage/PgDirectory.ts"
import * as Postgres from "./storage/Postgres.ts"
import * as Fatal from "./telemetry/Fatal.ts"

/** The embedded database of the settings. */
export const layerEmbedded = ({ dataDir }: Settings, settings?: EmbeddedPostgres.Options["settings"]) =>
  Layer.unwrap(
    EmbeddedPostgres.EmbeddedPostgres.useSync(({ died }) => Fatal.watch("the embedded database", died))
  ).pipe(Layer.provideMerge(EmbeddedPostgres.layer({ dataDir, settings })), Layer.provide(NodeFileSystem.layer))

/** The database at an address, with its schema up to date unless `connect` leaves that out. */
export const layerAt = (url: Redacted.Redacted, settings: Settings, connect = Postgres.layerMigrated) => {
  const { databaseMaxConnections: maxConnections, databasePrepare: prepare } = settings
  return connect({ url, maxConnections, prepare })
}

/** The database of the settings, at their address or embedded, like {@link layerAt}. */
export const layer = (settings: Settings, connect = Postgres.layerMigrated) =>
  settings.databaseUrl === undefined
    ? Layer.unwrap(EmbeddedPostgres.EmbeddedPostgres.useSync(({ url }) => layerAt(url, settings, connect))).pipe(
        Layer.provideMerge(layerEmbedded(settings))
      )
    : layerAt(settings.databaseUrl, settings, connect)

/** The users and tokens in a database, without the rest of the service. */
export const layerDirectory = PgDirectory.layer.pipe(Layer.provideMerge(NodeCrypto.layer))
