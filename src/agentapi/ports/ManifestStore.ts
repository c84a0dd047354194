/**
 * The port that reads the declarations of an agent: its settings, apps, scripts, metadata keys and dev containers, and the
 * secrets of its owner.
 *
 * Fields that are stored in the form in which they are sent have the names of the protocol.
 */
import { Context, type Duration, type Effect, Schema } from "effect"
import { AgentId, AppId, LogSourceId, ScriptId, Uuid } from "../../domain/Ids.ts"
import { seconds } from "../../domain/Fields.ts"
import type { DeclaredKeys } from "../../domain/MetadataReport.ts"
import type { StoreError } from "../../domain/StoreError.ts"

export const DeclaredAgent = Schema.Struct({
  environment_variables: Schema.Record(Schema.String, Schema.String),
  directory: Schema.String,
  motd_path: Schema.String
})

export const DeclaredApp = Schema.Struct({
  id: AppId,
  url: Schema.String,
  external: Schema.Boolean,
  slug: Schema.String,
  display_name: Schema.String,
  command: Schema.String,
  icon: Schema.String,
  subdomain: Schema.Boolean,
  sharing_level: Schema.String,
  healthcheck: Schema.Struct({ url: Schema.String, interval: seconds, threshold: Schema.Int }),
  health: Schema.String,
  hidden: Schema.Boolean
})
export type DeclaredApp = typeof DeclaredApp.Type

export const Script = Schema.Struct({
  id: ScriptId,
  log_source_id: LogSourceId,
  log_path: Schema.String,
  display_name: Schema.String,
  script: Schema.String,
  cron: Schema.String,
  run_on_start: Schema.Boolean,
  run_on_stop: Schema.Boolean,
  start_blocks_login: Schema.Boolean,
  timeout: seconds
})

/** A key that an agent has to report, and how the agent collects its values. */
export const MetadataDescription = Schema.Struct({
  key: Schema.String,
  display_name: Schema.String,
  script: Schema.String,
  interval: seconds,
  timeout: seconds
})

/** A key that an agent declares itself: the agent alone knows how to collect its values. */
export interface DeclaredKey {
  readonly key: string
  readonly displayName: string
  readonly interval: Duration.Duration
  readonly timeout: Duration.Duration
}

export const Devcontainer = Schema.Struct({
  id: Uuid,
  name: Schema.String,
  workspace_folder: Schema.String,
  config_path: Schema.String,
  /** The living sub-agent of the agent that was created for it beforehand. */
  subagent_id: Schema.optionalKey(AgentId)
})

/** A secret of the owner of the agent. It is a variable of the agent, a file, or both. */
export const Secret = Schema.Struct({
  env_name: Schema.String,
  file_path: Schema.String,
  value: Schema.Redacted(Schema.Uint8Array)
})

type Declared<S extends Schema.Top> = (agentId: AgentId) => Effect.Effect<ReadonlyArray<S["Type"]>, StoreError>

export class ManifestStore extends Context.Service<
  ManifestStore,
  {
    readonly agent: (agentId: AgentId) => Effect.Effect<typeof DeclaredAgent.Type, StoreError>
    readonly apps: Declared<typeof DeclaredApp>
    readonly scripts: Declared<typeof Script>
    readonly metadata: Declared<typeof MetadataDescription>
    /** The keys of the metadata that an agent may report. */
    readonly declaredKeys: (agentId: AgentId) => Effect.Effect<DeclaredKeys, StoreError>
    readonly devcontainers: Declared<typeof Devcontainer>
    /** The secrets of the user who owns the agent now. */
    readonly secrets: Declared<typeof Secret>
    /**
     * Declares keys of an agent, and returns whether it did: none, if the agent would have more than `maxKeys`. A key that
     * is declared already keeps its declaration.
     */
    readonly declareKeys: (
      agentId: AgentId,
      keys: ReadonlyArray<DeclaredKey>,
      maxKeys: number
    ) => Effect.Effect<boolean, StoreError>
  }
>()("metadata-batcher/agentapi/ports/ManifestStore") {}
