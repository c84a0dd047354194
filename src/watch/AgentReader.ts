/**
 * The port through which users read what is known of an agent, in the form of the original's API.
 *
 * Times are RFC 3339. Durations of scripts are nanoseconds.
 */
import { Context, type Effect, type Option, Schema } from "effect"
import { DeclaredApp, Script as DeclaredScript } from "../agentapi/ports/ManifestStore.ts"
import * as AgentLifecycle from "../domain/AgentLifecycle.ts"
import { AgentId, AppId, BuildId, LogSourceId, WorkspaceId } from "../domain/Ids.ts"
import type { StoreError } from "../domain/StoreError.ts"

const LogSource = Schema.Struct({
  workspace_agent_id: AgentId,
  id: LogSourceId,
  created_at: Schema.String,
  display_name: Schema.String,
  icon: Schema.String
})

/** A script as agents get it, but for the unit of its time limit. */
const Script = Schema.Struct({ ...DeclaredScript.fields, timeout: Schema.Finite })

const AppStatus = Schema.Struct({
  id: Schema.String,
  created_at: Schema.String,
  workspace_id: WorkspaceId,
  agent_id: AgentId,
  app_id: AppId,
  state: Schema.String,
  message: Schema.String,
  uri: Schema.String,
  icon: Schema.String,
  needs_user_attention: Schema.Boolean
})

const App = Schema.Struct({
  ...DeclaredApp.fields,
  subdomain_name: Schema.String,
  healthcheck: Schema.Struct({ url: Schema.String, interval: Schema.Int, threshold: Schema.Int }),
  group: Schema.String,
  open_in: Schema.String,
  tooltip: Schema.String,
  /** The newest ones first. */
  statuses: Schema.Array(AppStatus)
})

const Time = Schema.OptionFromOptionalKey(Schema.DateTimeUtcFromString)

export const Agent = Schema.Struct({
  id: AgentId,
  parent_id: Schema.NullOr(AgentId),
  name: Schema.String,
  /** The build, because the service knows no resources. */
  resource_id: BuildId,
  api_version: Schema.String,
  architecture: Schema.String,
  operating_system: Schema.String,
  version: Schema.String,
  directory: Schema.String,
  expanded_directory: Schema.String,
  created_at: Schema.DateTimeUtcFromString,
  updated_at: Schema.DateTimeUtcFromString,
  first_connected_at: Time,
  last_connected_at: Time,
  disconnected_at: Time,
  started_at: Time,
  ready_at: Time,
  /** It has a connection, had one, has yet to make its first, or has exceeded the time for the first. */
  status: Schema.Literals(["connected", "disconnected", "connecting", "timeout"]),
  lifecycle_state: Schema.Literals(AgentLifecycle.states),
  /** The reason is there if the agent is not healthy. */
  health: Schema.Struct({ healthy: Schema.Boolean, reason: Schema.optionalKey(Schema.String) }),
  logs_length: Schema.Int,
  logs_overflowed: Schema.Boolean,
  log_sources: Schema.Array(LogSource),
  scripts: Schema.Array(Script),
  apps: Schema.Array(App),
  display_apps: Schema.Array(Schema.String),
  environment_variables: Schema.Record(Schema.String, Schema.String),
  subsystems: Schema.Array(Schema.String),
  connection_timeout_seconds: Schema.Int,
  troubleshooting_url: Schema.String,
  startup_script_behavior: Schema.Literals(["blocking", "non-blocking"])
})
export type Agent = typeof Agent.Type

/** The facts from which {@link healthOf} concludes. */
type Condition = Pick<Agent, "lifecycle_state" | "status">

/** Returns the health of an agent. */
export const healthOf = ({ lifecycle_state, status }: Condition): Agent["health"] => {
  const reason = reasonOf({ lifecycle_state, status })
  return reason === undefined ? { healthy: true } : { healthy: false, reason }
}

export class AgentReader extends Context.Service<
  AgentReader,
  {
    /** Returns an agent, or none when it is deleted. */
    readonly find: (agentId: AgentId) => Effect.Effect<Option.Option<Agent>, StoreError>
  }
>()("metadata-batcher/watch/AgentReader") {}

// ----- internals -----

const reasonOf = ({ lifecycle_state, status }: Condition): string | undefined => {
  if (status !== "connected" && lifecycle_state === "off") return "agent is not running"
  if (status === "timeout") return "agent is taking too long to connect"
  if (status === "disconnected") return "agent has lost connection"
  if (lifecycle_state === "start_error") return "agent startup script exited with an error"
  return lifecycle_state === "off" || lifecycle_state.startsWith("shut") ? "agent is shutting down" : undefined
}
