/**
 * The contract between an agent and the service: what an agent may call, with the names and fields of the original's
 * protocol, so that another transport can carry the same calls to the same handlers.
 *
 * Fields that the original's protocol may leave out have its defaults: an empty text, an empty list, zero. Ids are UUIDs as
 * text, times are RFC 3339, durations are seconds.
 */
import { RpcGroup, RpcMiddleware } from "effect/rpc"
import { InvalidRequest } from "./AgentError.ts"
import type { AgentSession } from "./session/AgentSession.ts"
import * as AnnouncementBanners from "./calls/AnnouncementBanners.ts"
import * as Apps from "./calls/Apps.ts"
import * as BoundaryLogs from "./calls/BoundaryLogs.ts"
import * as UserSessions from "./calls/UserSessions.ts"
import * as Lifecycle from "./calls/Lifecycle.ts"
import * as Logs from "./calls/Logs.ts"
import * as Manifest from "./calls/Manifest.ts"
import * as Metadata from "./calls/Metadata.ts"
import * as Scripts from "./calls/Scripts.ts"
import * as ResourceMonitors from "./calls/ResourceMonitors.ts"
import * as Stats from "./calls/Stats.ts"
import * as SubAgents from "./calls/SubAgents.ts"

/** Gives each call the session of the connection that it came over, and refuses a request that is not what it must be. */
export class AgentSessionMiddleware extends RpcMiddleware.Service<AgentSessionMiddleware, { provides: AgentSession }>()(
  "metadata-batcher/agentapi/AgentSessionMiddleware",
  { error: InvalidRequest }
) {}

/** Everything that an agent may call. */
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
  Apps.UpdateAppStatus
).middleware(AgentSessionMiddleware)

/** The failures of calls that no other call shares, so that a program that uses the contract can name them. */
export { UnknownAppSetting } from "./calls/Manifest.ts"
export { MetadataKeysTooLong } from "./calls/Metadata.ts"
export { TokenReplaced } from "./calls/SubAgents.ts"
