/**
 * `GetManifest`: returns everything that an agent needs to start its work.
 *
 * - The parts of the manifest are read at the same time. The call fails if any of them cannot be read.
 * - The secrets are those of the user who owns the workspace now, which the cached workspace may not know yet.
 * - If the protocol has no word for a stored setting of an app, the call fails with an error that names the app.
 * - The address by which an editor finds the ports of the agent is empty if the deployment has no host for apps.
 * - Of the sign-in providers, only those that serve git are counted.
 */
import { Context, Effect, Schema } from "effect"
import { Rpc } from "effect/rpc"
import { AgentId, WorkspaceId } from "../../domain/Ids.ts"
import { unavailable, Unavailable } from "../AgentError.ts"
import { AgentSession } from "../session/AgentSession.ts"
import { healths } from "../ports/AppStore.ts"
import { list, upperCaseEnum } from "../../domain/Fields.ts"
import { StoreError } from "../../domain/StoreError.ts"
import {
  DeclaredAgent,
  DeclaredApp,
  Devcontainer,
  ManifestStore,
  MetadataDescription,
  Script,
  Secret
} from "../ports/ManifestStore.ts"
import { DerpMap, Relays, SiteConfigs } from "../ports/SiteConfigs.ts"
import { sharingLevels } from "../ports/SubAgentStore.ts"

/** The deployment, as agents see it. Default: no host for apps, no providers, and any kind of connection. */
export const Deployment = Context.Reference<{
  /** The address of apps, with a `*` in the place of the app's name. */
  readonly wildcardAccessUrl?: string | undefined
  /** The types of the sign-in providers. */
  readonly externalAuthProviders: ReadonlyArray<string>
  readonly disableDirectConnections: boolean
  readonly derpForceWebsockets: boolean
}>("metadata-batcher/agentapi/Deployment", {
  defaultValue: () => ({ externalAuthProviders: [], disableDirectConnections: false, derpForceWebsockets: false })
})

const SharingLevel = upperCaseEnum(...sharingLevels)
const Health = upperCaseEnum(...healths)

const App = Schema.Struct({
  ...DeclaredApp.fields,
  /** The subdomain of the app. Empty if the app is not served on a subdomain. */
  subdomain_name: Schema.String,
  sharing_level: SharingLevel,
  health: Health
})

export const Manifest = Schema.Struct({
  agent_id: AgentId,
  agent_name: Schema.String,
  parent_id: Schema.optionalKey(AgentId),
  owner_username: Schema.String,
  workspace_id: WorkspaceId,
  workspace_name: Schema.String,
  git_auth_configs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 - 1 })),
  ...DeclaredAgent.fields,
  vs_code_port_proxy_uri: Schema.String,
  disable_direct_connections: Schema.Boolean,
  derp_force_websockets: Schema.Boolean,
  derp_map: DerpMap,
  scripts: Schema.Array(Script),
  apps: Schema.Array(App),
  metadata: Schema.Array(MetadataDescription),
  devcontainers: Schema.Array(Devcontainer),
  secrets: list(
    Schema.Struct({
      ...Secret.fields,
      value: Schema.RedactedFromValue(Schema.Uint8ArrayFromBase64, { label: "secret" })
    })
  )
})

/** The protocol has no word for a stored setting of an app. */
export class UnknownAppSetting extends Schema.TaggedError<UnknownAppSetting>()("UnknownAppSetting", {
  /** The slug of the app. */
  app: Schema.String,
  /** The setting that is unknown. */
  setting: Schema.Literals(["sharing level", "health"]),
  /** The value in the database. */
  value: Schema.String
}) {
  override get message() {
    return `the app “${this.app}” has an unknown ${this.setting}: “${this.value}”`
  }
}

export const GetManifest = Rpc.make("GetManifest", {
  payload: Schema.Struct({}),
  success: Manifest,
  error: Schema.Union([UnknownAppSetting, Unavailable])
})

export const make = Effect.gen(function* () {
  const store = yield* ManifestStore
  const configs = yield* SiteConfigs
  const deployment = yield* Deployment
  const relays = yield* Relays
  const gitAuthConfigs = deployment.externalAuthProviders.filter((type) => gitProviders.has(type)).length

  const getManifest = Effect.fnUntraced(
    function* () {
      const session = yield* AgentSession
      const { agentId, agentName, parentId } = session.identity
      const { agent, apps, workspace, ...rest } = yield* Effect.all(
        {
          workspace: session.workspace,
          agent: Effect.mapError(
            store.agent(agentId),
            (cause) => new StoreError({ operation: `read agent ${agentId}`, reason: cause.reason, cause })
          ),
          apps: store.apps(agentId),
          scripts: store.scripts(agentId),
          metadata: store.metadata(agentId),
          devcontainers: store.devcontainers(agentId),
          secrets: store.secrets(agentId),
          derp_map: relays ?? configs.derpMap
        },
        { concurrency: "unbounded" }
      )
      const hostOf = (name: string) => `${name}--${agentName}--${workspace.name}--${workspace.ownerName}`
      return {
        agent_id: agentId,
        agent_name: agentName,
        ...(parentId === null ? {} : { parent_id: parentId }),
        owner_username: workspace.ownerName,
        workspace_id: workspace.id,
        workspace_name: workspace.name,
        git_auth_configs: gitAuthConfigs,
        vs_code_port_proxy_uri: deployment.wildcardAccessUrl?.replace("*", () => hostOf("{{port}}")) ?? "",
        disable_direct_connections: deployment.disableDirectConnections,
        derp_force_websockets: deployment.derpForceWebsockets,
        apps: yield* Effect.forEach(apps, (app) => toApp(app, hostOf)),
        ...agent,
        ...rest
      }
    },
    Effect.tapErrorTag("UnknownAppSetting", (error) => Effect.logError(error.message)),
    Effect.catchTag("StoreError", unavailable)
  )

  return { GetManifest: getManifest }
})

const gitProviders: ReadonlySet<string> = new Set([
  "azure-devops",
  "azure-devops-entra",
  "bitbucket-cloud",
  "bitbucket-server",
  "gitea",
  "github",
  "gitlab"
])

const isSharingLevel = Schema.is(SharingLevel)
const isHealth = Schema.is(Health)

const toApp = (
  app: DeclaredApp,
  hostOf: (name: string) => string
): Effect.Effect<typeof App.Type, UnknownAppSetting> => {
  const { health, sharing_level, slug, subdomain } = app
  if (!isSharingLevel(sharing_level)) {
    return Effect.fail(new UnknownAppSetting({ app: slug, setting: "sharing level", value: sharing_level }))
  }
  if (!isHealth(health)) {
    return Effect.fail(new UnknownAppSetting({ app: slug, setting: "health", value: health }))
  }
  return Effect.succeed({ ...app, subdomain_name: subdomain ? hostOf(slug) : "", sharing_level, health })
}
