/** The handlers of {@link AdminApi}. They mint tokens; the directory keeps only digests. */
import { Duration, Effect, Layer, Redacted } from "effect"
import type { Digest, SecureRandom } from "effect/crypto"
import { HttpApiBuilder } from "effect/http-api"
import { Forbidden } from "../access/AccessError.ts"
import * as Authentication from "../access/Authentication.ts"
import { layerRequestValidation } from "../platform/ErrorResponse.ts"
import * as Token from "../access/Token.ts"
import type { MetadataDescription } from "../domain/Metadata.ts"
import type { User } from "../domain/User.ts"
import { AdminApi } from "./AdminApi.ts"
import type { MetadataDeclaration } from "./AgentDeclaration.ts"
import { type Agent, type AgentDetails, Directory, type TokenSummary } from "./Directory.ts"
import type { SecretSummary } from "./UserSecret.ts"

const users = HttpApiBuilder.group(
  AdminApi,
  "users",
  Effect.fnUntraced(function* (handlers) {
    const directory = yield* Directory
    const mint = yield* tokens

    return handlers
      .handle("list", () => Effect.map(directory.users, (users) => users.map(toUserView)))
      .handle("create", ({ payload: { is_admin, username } }) =>
        Effect.map(directory.createUser({ username, isAdmin: is_admin }), toUserView)
      )
      .handle(
        "createToken",
        Effect.fnUntraced(function* ({ params: { username }, payload: { lifetime, name } }) {
          const { digest, token } = yield* mint
          yield* directory.putToken({
            username,
            name,
            token: digest,
            lifetime: lifetime === undefined ? undefined : Duration.seconds(lifetime)
          })
          return { token: Redacted.value(token) }
        })
      )
      .handle("get", ({ params: { username } }) => Effect.map(directory.user(username), toUserView))
      .handle("update", ({ params: { username }, payload }) =>
        Effect.map(
          directory.updateUser(username, { username: payload.username, isAdmin: payload.is_admin }),
          toUserView
        )
      )
      .handle("delete", ({ params: { username } }) => directory.deleteUser(username))
      .handle("listTokens", ({ params: { username } }) =>
        Effect.map(directory.tokens(username), (tokens) => tokens.map(toTokenView))
      )
      .handle("revokeToken", ({ params: { name, username } }) => directory.revokeToken(username, name))
  })
)

/** Users manage secrets of their own, and administrators those of everyone. */
const ofUserOrAdmin = Effect.fnUntraced(function* (username: string) {
  const caller = yield* Authentication.CurrentUser
  if (caller.isAdmin || caller.username.toLowerCase() === username.toLowerCase()) return
  return yield* new Forbidden({ message: "only the user and administrators may do this" })
})

const secrets = HttpApiBuilder.group(
  AdminApi,
  "secrets",
  Effect.fnUntraced(function* (handlers) {
    const directory = yield* Directory

    return handlers
      .handle("list", ({ params: { username } }) =>
        Effect.andThen(
          ofUserOrAdmin(username),
          Effect.map(directory.secrets(username), (secrets) => secrets.map(toSecretView))
        )
      )
      .handle("put", ({ params: { name, username }, payload }) =>
        Effect.andThen(ofUserOrAdmin(username), Effect.map(directory.putSecret(username, name, payload), toSecretView))
      )
      .handle("delete", ({ params: { name, username } }) =>
        Effect.andThen(ofUserOrAdmin(username), directory.deleteSecret(username, name))
      )
  })
)

const workspaces = HttpApiBuilder.group(
  AdminApi,
  "workspaces",
  Effect.fnUntraced(function* (handlers) {
    const directory = yield* Directory

    return handlers
      .handle("list", () => directory.workspaces)
      .handle("create", ({ payload }) => directory.createWorkspace(payload))
      .handle("get", ({ params: { workspace } }) => directory.workspace(workspace))
      .handle("update", ({ params: { workspace }, payload }) => directory.updateWorkspace(workspace, payload))
      .handle("delete", ({ params: { workspace } }) => directory.deleteWorkspace(workspace))
  })
)

const agents = HttpApiBuilder.group(
  AdminApi,
  "agents",
  Effect.fnUntraced(function* (handlers) {
    const directory = yield* Directory
    const mint = yield* tokens

    return handlers
      .handle("list", ({ params: { workspace } }) =>
        Effect.map(directory.agents(workspace), (agents) => agents.map(toAgentView))
      )
      .handle(
        "create",
        Effect.fnUntraced(function* ({ params: { workspace }, payload }) {
          const minted = yield* Effect.forEach(payload.agents, (agent) =>
            Effect.map(mint, (token) => ({ ...agent, ...token }))
          )
          const created = yield* directory.createAgents(
            workspace,
            minted.map(({ digest, metadata, token: _, ...agent }) => ({
              ...agent,
              token: digest,
              metadata: metadata.map(toDescription)
            }))
          )
          const secrets = new Map(minted.map(({ name, token }) => [name, Redacted.value(token)]))
          return created.map((agent) => ({ ...toAgentView(agent), token: secrets.get(agent.name)! }))
        })
      )
      .handle(
        "rotateToken",
        Effect.fnUntraced(function* ({ params: { agent } }) {
          const { digest, token } = yield* mint
          yield* directory.rotateToken(agent, digest)
          return { token: Redacted.value(token) }
        })
      )
      .handle("get", ({ params: { agent } }) => Effect.map(directory.agent(agent), toDetailsView))
      .handle("update", ({ params: { agent }, payload: { metadata, ...change } }) =>
        Effect.map(directory.updateAgent(agent, { ...change, metadata: metadata?.map(toDescription) }), toDetailsView)
      )
      .handle("delete", ({ params: { agent } }) => directory.deleteAgent(agent))
  })
)

export const layer = HttpApiBuilder.layer(AdminApi).pipe(
  Layer.provide([users, secrets, workspaces, agents]),
  Layer.provide([Authentication.layerAdmin, Authentication.layerReader, layerRequestValidation])
)

/** Mints a token, and its digest, which is stored. */
const newToken = Effect.gen(function* () {
  const token = yield* Token.mint
  return { token, digest: yield* Token.digest(token) }
})

const tokens = Effect.map(Effect.context<SecureRandom.SecureRandom | Digest.Digest>(), (services) =>
  Effect.provideContext(newToken, services)
)

const toUserView = ({ id, isAdmin, username }: User) => ({ id, username, is_admin: isAdmin })

const toAgentView = ({ id, metadata, name }: Agent) => ({ id, name, metadata: metadata.map(toDeclaration) })

const toDetailsView = ({ metadata, ...agent }: AgentDetails) => ({ ...agent, metadata: metadata.map(toDeclaration) })

const toTokenView = ({ createdAt, expiresAt, lastUsedAt, name }: TokenSummary) => ({
  name,
  created_at: createdAt,
  expires_at: expiresAt,
  last_used_at: lastUsedAt
})

const toSecretView = ({ createdAt, envName, filePath, name, updatedAt }: SecretSummary) => ({
  name,
  env_name: envName,
  file_path: filePath,
  created_at: createdAt,
  updated_at: updatedAt
})

const toDescription = (declaration: MetadataDeclaration): MetadataDescription => ({
  key: declaration.key,
  displayName: declaration.display_name ?? declaration.key,
  script: declaration.script,
  interval: Duration.seconds(declaration.interval),
  timeout: Duration.seconds(declaration.timeout),
  displayOrder: declaration.display_order
})

const toDeclaration = (description: MetadataDescription): MetadataDeclaration => ({
  key: description.key,
  display_name: description.displayName,
  script: description.script,
  interval: Duration.toSeconds(description.interval),
  timeout: Duration.toSeconds(description.timeout),
  display_order: description.displayOrder
})
