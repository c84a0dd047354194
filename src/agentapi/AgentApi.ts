/**
 * The contract between an agent and the service: the calls of an agent, with the names and fields of the original's
 * protocol, so that another transport can carry the same calls to the same handlers.
 *
 * A field that the original's protocol may leave out has its default: an empty text, an empty list or zero. Ids are
 * UUIDs as text, times are RFC 3339, durations are seconds.
 *
 * @example
 * ```ts
 * import { AgentApi } from "metadata-batcher/AgentApi"
 *
 * console.log(AgentApi.requests.has("BatchUpdateMetadata"))
 * // Output:
 * // true
 * ```
 */
import { RpcGroup, RpcMiddleware } from "effect/rpc"
import { InvalidRequest } from "./AgentError.ts"
import type { AgentSession } from "./session/AgentSession.ts"
import * as AnnouncementBanners from "./calls/AnnouncementBanners.ts"
import * as Apps from "./calls/Apps.ts"
import * as BoundaryLogs from "./calls/BoundaryLogs.ts"
import * as ContextState from "./calls/ContextState.ts"
import * as UserSessions from "./calls/UserSessions.ts"
import * as Lifecycle from "./calls/Lifecycle.ts"
import * as Logs from "./calls/Logs.ts"
import * as Manifest from "./calls/Manifest.ts"
import * as Metadata from "./calls/Metadata.ts"
import * as Scripts from "./calls/Scripts.ts"
import * as ResourceMonitors from "./calls/ResourceMonitors.ts"
import * as Stats from "./calls/Stats.ts"
import * as SubAgents from "./calls/SubAgents.ts"

/** Provides each call with the session of its connection, and fails a call whose request is invalid. */
export class AgentSessionMiddleware extends RpcMiddleware.Service<AgentSessionMiddleware, { provides: AgentSession }>()(
  "metadata-batcher/agentapi/AgentSessionMiddleware",
  { error: InvalidRequest }
) {}

/** All calls of an agent. */
export const AgentApi = RpcGroup.make(
  Manifest.GetManifest,
  AnnouncementBanners.GetServiceBanner,
  Stats.UpdateStats,
  Lifecycle.UpdateLifecycle,
  Apps.BatchUpdateAppHealths,
  Lifecycle.UpdateStartup,
  Metadata.BatchUpdateMetadata,
  Logs.BatchCreateLogs,
  AnnouncementBanners.GetAnnouncementBanners,
  Scripts.ScriptCompleted,
  UserSessions.ReportConnection,
  BoundaryLogs.ReportBoundaryLogs,
  ResourceMonitors.GetResourcesMonitoringConfiguration,
  ResourceMonitors.PushResourcesMonitoringUsage,
  SubAgents.CreateSubAgent,
  SubAgents.DeleteSubAgent,
  SubAgents.ListSubAgents,
  Apps.UpdateAppStatus,
  ContextState.PushContextState
).middleware(AgentSessionMiddleware)

/** The errors of single calls, exported so that programs that use the contract can name them. */
export { UnknownAppSetting } from "./calls/Manifest.ts"
export { MetadataKeysTooLong } from "./calls/Metadata.ts"
export { TokenReplaced, TooManySubAgents } from "./calls/SubAgents.ts"
