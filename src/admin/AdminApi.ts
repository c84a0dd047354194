/**
 * The contract of administration: users, workspaces and agents, their tokens, and the keys that agents report.
 *
 * A token is shown once, in the response to the call that made it.
 */
import { Effect, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AgentNotFound, DirectoryUnavailable, WorkspaceNotFound } from "../access/AccessError.ts"
import { AdminAuthentication } from "../access/Authentication.ts"
import { RequestValidation } from "../platform/ErrorResponse.ts"
import { AgentId, UserId, WorkspaceId } from "../domain/Ids.ts"
import { isStorable } from "../domain/PostgresText.ts"
import { NameTaken, UserNotFound } from "./Directory.ts"

/** Names that fit into addresses and file names. */
const Name = Schema.String.check(
  Schema.isPattern(/^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/i, {
    expected: "a name of 1 to 64 letters, digits, dots, dashes and underscores, letters or digits at both ends"
  })
)

const Seconds = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 31_536_000 }))

const limited = (maximum: number) => Schema.String.check(Schema.isMaxLength(maximum), isStorable)

const optional = <S extends Schema.Top & { readonly Type: unknown }>(schema: S, value: S["Type"]) =>
  schema.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(value)))

/** A key that an agent reports. Times are in seconds; an interval of zero means that it is collected once. */
export const MetadataDeclaration = Schema.Struct({
  key: limited(127).check(Schema.isMinLength(1)),
  display_name: Schema.optionalKey(limited(127)),
  script: optional(limited(65_535), ""),
  interval: optional(Seconds, 10),
  timeout: optional(Seconds, 10),
  display_order: optional(Schema.Int.check(Schema.isBetween({ minimum: -1_000_000, maximum: 1_000_000 })), 0)
})
export type MetadataDeclaration = typeof MetadataDeclaration.Type

const uniqueBy = <A>(what: string, of: (element: A) => string) =>
  Schema.makeFilter<ReadonlyArray<A>>(
    (elements) => new Set(elements.map(of)).size === elements.length || `Expected each ${what} once`
  )

const Metadata = Schema.Array(MetadataDeclaration).check(
  Schema.isMaxLength(1_000),
  uniqueBy("key", (declaration: MetadataDeclaration) => declaration.key)
)

const NewAgent = Schema.Struct({ name: Name, metadata: optional(Metadata, []) })

const UserView = Schema.Struct({ id: UserId, username: Schema.String, is_admin: Schema.Boolean })
const WorkspaceView = Schema.Struct({
  id: WorkspaceId,
  name: Schema.String,
  owner: Schema.String,
  agents: Schema.Int
})
const AgentView = Schema.Struct({ id: AgentId, name: Schema.String, metadata: Schema.Array(MetadataDeclaration) })
const TokenView = Schema.Struct({ token: Schema.String })

const created = <S extends Schema.Top>(schema: S) => schema.pipe(HttpApiSchema.status(201))

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
    HttpApiEndpoint.post("createToken", "/api/v2/users/:username/tokens", {
      params: { username: Name },
      payload: Schema.Struct({ name: optional(Name, "default") }),
      success: created(TokenView),
      error: [UserNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Create a token of a user, in place of the one of the same name")
  )
  .middleware(AdminAuthentication)

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
    }).annotate(OpenApi.Summary, "Create a workspace of a user")
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
    HttpApiEndpoint.post("rotateToken", "/api/v2/workspaceagents/:agent/token", {
      params: { agent: AgentId },
      success: TokenView,
      error: [AgentNotFound, DirectoryUnavailable]
    }).annotate(OpenApi.Summary, "Give an agent a new token; the old one is no longer valid")
  )
  .middleware(AdminAuthentication)

export const AdminApi = HttpApi.make("admin")
  .add(users, workspaces, agents)
  .middleware(RequestValidation)
  // otherwise a misspelled field would leave its default in place
  .annotate(HttpApi.PayloadParseOptions, { onExcessProperty: "error" })
