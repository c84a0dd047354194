/**
 * The contract of administration: users, workspaces and agents, their tokens, and the declarations of agents.
 *
 * - Users manage secrets of their own. The value of a secret is in no response.
 * - A token is shown once, in the response to the call that made it.
 * - A deleted user, workspace or agent is gone at once for everyone, and its name is free. Its rows are purged later.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AgentNotFound, DirectoryUnavailable, Forbidden, WorkspaceNotFound } from "../access/AccessError.ts"
import { AdminAuthentication, ReaderAuthentication } from "../access/Authentication.ts"
import { RequestValidation } from "../platform/ErrorResponse.ts"
import { AgentId, UserId, WorkspaceId } from "../domain/Ids.ts"
import { apps, metadata, MonitorsDeclaration, optional, scripts, uniqueBy } from "./AgentDeclaration.ts"
import { NameTaken, SecretNotFound, TokenNotFound, TooManySecrets, UserNeeded, UserNotFound } from "./Directory.ts"
import { SecretContent } from "./UserSecret.ts"

/** Names that fit into addresses and file names. */
const Name = Schema.String.check(
  Schema.isPattern(/^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/i, {
    expected: "a name of 1 to 64 letters, digits, dots, dashes and underscores, letters or digits at both ends"
  })
)

/** The longest life of a token that expires: ten years. */
const maxLifetime = 315_360_000

/** The declarations that an agent may do without. */
const declarations = {
  apps: Schema.optionalKey(apps),
  scripts: Schema.optionalKey(scripts),
  monitors: Schema.optionalKey(MonitorsDeclaration)
}

const NewAgent = Schema.Struct({ name: Name, metadata: optional(metadata, []), ...declarations })

const UserView = Schema.Struct({ id: UserId, username: Schema.String, is_admin: Schema.Boolean })
const WorkspaceView = Schema.Struct({
  id: WorkspaceId,
  name: Schema.String,
  owner: Schema.String,
  agents: Schema.Int
})
const AgentView = Schema.Struct({ id: AgentId, name: Schema.String, metadata })
const AgentDetailsView = Schema.Struct({
  ...AgentView.fields,
  workspace: WorkspaceId,
  apps,
  scripts,
  monitors: MonitorsDeclaration
})
const TokenView = Schema.Struct({ token: Schema.String })

const Time = Schema.NullOr(Schema.DateTimeUtcFromString)
const TokenSummaryView = Schema.Struct({
  name: Schema.String,
  created_at: Schema.DateTimeUtcFromString,
  /** Null if it never expires. */
  expires_at: Time,
  /** Accurate to five minutes; null if it was never used. */
  last_used_at: Time
})

const SecretView = Schema.Struct({
  name: Schema.String,
  env_name: Schema.String,
  file_path: Schema.String,
  created_at: Schema.DateTimeUtcFromString,
  updated_at: Schema.DateTimeUtcFromString
})

const created = <S extends Schema.Top>(schema: S) => schema.pipe(HttpApiSchema.status(201))
const deleted = HttpApiSchema.NoContent

const users = HttpApiGroup.make("users")
  .add(
    HttpApiEndpoint.get("list", "/api/v2/users", {
      success: Schema.Array(UserView),
      error: DirectoryUnavailable
    }).annotate(OpenApi.Summary, "List users"),
    HttpApiEndpoint.post("create", "/api/v2/users", {
      payload: Schema.Struct({ username: Name, is_admin: optional(Schema.Boolean, false) }),
      success: created(UserView),
      error: [NameTaken, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Create a user"),
    HttpApiEndpoint.get("get", "/api/v2/users/:username", {
      params: { username: Name },
      success: UserView,
      error: [UserNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Read a user"),
    HttpApiEndpoint.patch("update", "/api/v2/users/:username", {
      params: { username: Name },
      payload: Schema.Struct({ username: Schema.optionalKey(Name), is_admin: Schema.optionalKey(Schema.Boolean) }),
      success: UserView,
      error: [UserNotFound, UserNeeded, NameTaken, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Rename a user, or change whether the user is an administrator"),
    HttpApiEndpoint.delete("delete", "/api/v2/users/:username", {
      params: { username: Name },
      success: deleted,
      error: [UserNotFound, UserNeeded, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Delete a user who owns no workspace, and the user's tokens"),
    HttpApiEndpoint.get("listTokens", "/api/v2/users/:username/tokens", {
      params: { username: Name },
      success: Schema.Array(TokenSummaryView),
      error: [UserNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "List the tokens of a user, with their expiry and last use"),
    HttpApiEndpoint.post("createToken", "/api/v2/users/:username/tokens", {
      params: { username: Name },
      payload: Schema.Struct({
        name: optional(Name, "default"),
        /** In seconds. Without it the token never expires. */
        lifetime: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: maxLifetime })))
      }),
      success: created(TokenView),
      error: [UserNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Create a token of a user, in place of the one of the same name"),
    HttpApiEndpoint.delete("revokeToken", "/api/v2/users/:username/tokens/:name", {
      params: { username: Name, name: Name },
      success: deleted,
      error: [UserNotFound, TokenNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Revoke a token of a user; connections that it opened end at once")
  )
  .middleware(AdminAuthentication)

const secrets = HttpApiGroup.make("secrets")
  .add(
    HttpApiEndpoint.get("list", "/api/v2/users/:username/secrets", {
      params: { username: Name },
      success: Schema.Array(SecretView),
      error: [Forbidden, UserNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "List the secrets of a user, without their values"),
    HttpApiEndpoint.put("put", "/api/v2/users/:username/secrets/:name", {
      params: { username: Name, name: Name },
      payload: SecretContent,
      success: SecretView,
      error: [Forbidden, UserNotFound, TooManySecrets, NameTaken, DirectoryUnavailable]
    }).annotate(
      OpenApi.Summary,
      "Store a secret of a user, in place of the one of the same name; agents of the user learn of it when they connect next"
    ),
    HttpApiEndpoint.delete("delete", "/api/v2/users/:username/secrets/:name", {
      params: { username: Name, name: Name },
      success: deleted,
      error: [Forbidden, UserNotFound, SecretNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Delete a secret of a user")
  )
  .middleware(ReaderAuthentication)

const workspaces = HttpApiGroup.make("workspaces")
  .add(
    HttpApiEndpoint.get("list", "/api/v2/workspaces", {
      success: Schema.Array(WorkspaceView),
      error: DirectoryUnavailable
    }).annotate(OpenApi.Summary, "List workspaces"),
    HttpApiEndpoint.post("create", "/api/v2/workspaces", {
      payload: Schema.Struct({ name: Name, owner: Name }),
      success: created(WorkspaceView),
      error: [UserNotFound, NameTaken, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Create a workspace of a user"),
    HttpApiEndpoint.get("get", "/api/v2/workspaces/:workspace", {
      params: { workspace: WorkspaceId },
      success: WorkspaceView,
      error: [WorkspaceNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Read a workspace"),
    HttpApiEndpoint.patch("update", "/api/v2/workspaces/:workspace", {
      params: { workspace: WorkspaceId },
      payload: Schema.Struct({ name: Schema.optionalKey(Name), owner: Schema.optionalKey(Name) }),
      success: WorkspaceView,
      error: [WorkspaceNotFound, UserNotFound, NameTaken, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Rename a workspace, or give it to another user"),
    HttpApiEndpoint.delete("delete", "/api/v2/workspaces/:workspace", {
      params: { workspace: WorkspaceId },
      success: deleted,
      error: [WorkspaceNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Delete a workspace with its agents")
  )
  .middleware(AdminAuthentication)

const agents = HttpApiGroup.make("agents")
  .add(
    HttpApiEndpoint.get("list", "/api/v2/workspaces/:workspace/agents", {
      params: { workspace: WorkspaceId },
      success: Schema.Array(AgentView),
      error: [WorkspaceNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "List the agents of a workspace with what they report"),
    HttpApiEndpoint.post("create", "/api/v2/workspaces/:workspace/agents", {
      params: { workspace: WorkspaceId },
      payload: Schema.Struct({
        agents: Schema.Array(NewAgent).check(
          Schema.isMinLength(1),
          Schema.isMaxLength(1_000),
          uniqueBy("name", (agent: typeof NewAgent.Type) => agent.name.toLowerCase())
        )
      }),
      success: created(Schema.Array(Schema.Struct({ ...AgentView.fields, ...TokenView.fields }))),
      error: [WorkspaceNotFound, NameTaken, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Add agents to a workspace, all or none, and show their tokens"),
    HttpApiEndpoint.get("get", "/api/v2/workspaceagents/:agent/declarations", {
      params: { agent: AgentId },
      success: AgentDetailsView,
      error: [AgentNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Read an agent with everything that is declared of it"),
    HttpApiEndpoint.patch("update", "/api/v2/workspaceagents/:agent", {
      params: { agent: AgentId },
      payload: Schema.Struct({
        name: Schema.optionalKey(Name),
        metadata: Schema.optionalKey(metadata),
        ...declarations
      }),
      success: AgentDetailsView,
      error: [AgentNotFound, NameTaken, DirectoryUnavailable]
    }).annotate(
      OpenApi.Summary,
      "Rename an agent, or replace its declared keys, apps, scripts or monitors; it learns of them when it connects next"
    ),
    HttpApiEndpoint.delete("delete", "/api/v2/workspaceagents/:agent", {
      params: { agent: AgentId },
      success: deleted,
      error: [AgentNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Delete an agent with its sub-agents; their connections end at once"),
    HttpApiEndpoint.post("rotateToken", "/api/v2/workspaceagents/:agent/token", {
      params: { agent: AgentId },
      success: TokenView,
      error: [AgentNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Give an agent a new token; the old one is no longer valid")
  )
  .middleware(AdminAuthentication)

export const AdminApi = HttpApi.make("admin")
  .add(users, secrets, workspaces, agents)
  .middleware(RequestValidation)
  // otherwise a misspelled field would leave its default in place
  .annotate(HttpApi.PayloadParseOptions, { onExcessProperty: "error" })
