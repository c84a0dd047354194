/**
 * `CreateSubAgent`, `DeleteSubAgent` and `ListSubAgents`: an agent manages its sub-agents.
 *
 * - A sub-agent belongs to the build of its parent and is removed with it. It inherits each missing field from its
 *   parent.
 * - The token of a sub-agent is derived from the token that its parent has shown. The service stores digests alone, and
 *   can still return the token to the parent again.
 * - When the parent gets a new token, the tokens of its sub-agents become invalid. The next call that returns the
 *   sub-agents to the parent gives them new tokens. A connection with the old token of the parent gets no token of a
 *   sub-agent.
 * - An agent sees, changes and deletes its own sub-agents alone.
 * - The record of a deleted sub-agent is kept. Its token, and the tokens of its own sub-agents, become invalid.
 * - An agent and its sub-agents, at any depth, have at most so many sub-agents together as a setting says.
 * - The result lists each app that cannot be created. The sub-agent and its other apps are created.
 */
import { Context, Effect, Option, Redacted, Schema } from "effect"
import { Digest, Mac, SecureRandom } from "effect/crypto"
import { Rpc } from "effect/rpc"
import * as Token from "../../access/Token.ts"
import { AgentId, Uuid } from "../../domain/Ids.ts"
import { OptionalText, optionalText } from "../../domain/PostgresText.ts"
import { InvalidRequest, unavailable, Unavailable } from "../AgentError.ts"
import { AgentSession } from "../session/AgentSession.ts"
import { list } from "../../domain/Fields.ts"
import * as SubAgentApps from "./SubAgentApps.ts"
import { type SubAgent, SubAgentStore } from "../ports/SubAgentStore.ts"

const displayApps = ["VSCODE", "VSCODE_INSIDERS", "WEB_TERMINAL", "SSH_HELPER", "PORT_FORWARDING_HELPER"] as const

/** The most apps of a request, and of an agent. */
const maxApps = 1_000

/** The longest directory, architecture and operating system, in characters. */
const maxText = 4_096

/** The longest name of a sub-agent, in characters. */
const maxName = 64

const isName = (name: string) => name.length <= maxName && /^[a-z0-9](-?[a-z0-9])*$/i.test(name)

export const CreateSubAgentRequest = Schema.Struct({
  /** Required, unless there is an id. */
  name: OptionalText,
  directory: optionalText(maxText),
  architecture: optionalText(maxText),
  operating_system: optionalText(maxText),
  apps: list(SubAgentApps.RequestedApp).check(Schema.isMaxLength(maxApps, { expected: `at most ${maxApps} apps` })),
  display_apps: list(Schema.Literals(displayApps)),
  /** An existing sub-agent. Its display apps are replaced, and its directory if the request has one. */
  id: Schema.optionalKey(AgentId)
}).check(
  Schema.makeFilter(({ id, name }) =>
    id !== undefined || isName(name)
      ? undefined
      : {
          path: ["name"],
          issue: `Expected a name of 1 to ${maxName} letters and digits, in parts with a dash between them`
        }
  )
)
export type CreateSubAgentRequest = typeof CreateSubAgentRequest.Type

export const DeleteSubAgentRequest = Schema.Struct({ id: AgentId })

const SubAgentResponse = Schema.Struct({ name: Schema.String, id: AgentId, auth_token: Uuid })

/** The token of the parent, and those of its sub-agents, were replaced after the parent had connected. */
export class TokenReplaced extends Schema.TaggedError<TokenReplaced>()("TokenReplaced", { message: Schema.String }) {}

/** The most sub-agents of an agent, together with those of its sub-agents. */
export const MaxSubAgents = Context.Reference<number>("metadata-batcher/agentapi/calls/SubAgents/MaxSubAgents", {
  defaultValue: () => 100
})

/** The agent has as many sub-agents as it may. */
export class TooManySubAgents extends Schema.TaggedError<TooManySubAgents>()("TooManySubAgents", {
  /** The most sub-agents that an agent may have, together with those of its sub-agents. */
  limit: Schema.Int
}) {
  override get message() {
    return `an agent may have at most ${this.limit} sub-agents, with those of its sub-agents: delete one first`
  }
}

export const CreateSubAgent = Rpc.make("CreateSubAgent", {
  payload: CreateSubAgentRequest,
  success: Schema.Struct({ agent: SubAgentResponse, app_creation_errors: Schema.Array(SubAgentApps.AppCreationError) }),
  error: Schema.Union([InvalidRequest, TokenReplaced, TooManySubAgents, Unavailable])
})

export const DeleteSubAgent = Rpc.make("DeleteSubAgent", {
  payload: DeleteSubAgentRequest,
  success: Schema.Struct({}),
  error: Schema.Union([InvalidRequest, Unavailable])
})

export const ListSubAgents = Rpc.make("ListSubAgents", {
  payload: Schema.Struct({}),
  success: Schema.Struct({ agents: Schema.Array(SubAgentResponse) }),
  error: Schema.Union([TokenReplaced, Unavailable])
})

export const make = Effect.gen(function* () {
  const store = yield* SubAgentStore
  const maxSubAgents = yield* MaxSubAgents
  const random = yield* SecureRandom.SecureRandom
  const crypto = Context.pick(Digest.Digest, Mac.Mac)(yield* Effect.context<Digest.Digest | Mac.Mac>())

  /** Returns the token of a sub-agent of the session's agent. */
  const keyOf = Effect.fnUntraced(function* (id: AgentId) {
    const { token: parent } = yield* AgentSession
    const token = yield* Token.derive(parent, `sub-agent ${id}`)
    return { id, token, digest: yield* Token.digest(token) }
  }, Effect.provideContext(crypto))

  /** Returns the session's agent, with the digest of the token that it connected with. */
  const parent = Effect.gen(function* () {
    const { identity, token } = yield* AgentSession
    return { id: identity.agentId, digest: yield* Token.digest(token) }
  }).pipe(Effect.provideContext(crypto))

  /**
   * Returns sub-agents with valid tokens; replaces the outdated ones. Fails if the token of the parent was replaced.
   */
  const withTokens = Effect.fnUntraced(function* (children: ReadonlyArray<SubAgent>) {
    const keys = yield* Effect.forEach(children, ({ id }) => keyOf(id))
    const outdated = keys.filter(({ digest }, index) => !Token.isSame(digest, children[index]!.digest))
    if (outdated.length > 0 && !(yield* store.rotateTokens(yield* parent, outdated))) return yield* tokenReplaced
    return children.map(({ id, name }, index) => ({ id, name, auth_token: Redacted.value(keys[index]!.token) }))
  })

  const create = Effect.fnUntraced(function* ({
    architecture,
    directory,
    display_apps,
    name,
    operating_system
  }: CreateSubAgentRequest) {
    const key = yield* keyOf(AgentId.make(yield* random.uuidV4()))
    const child = { id: key.id, digest: key.digest, name }
    const displayApps = toDisplayApps(display_apps)
    const details = { directory, architecture, operatingSystem: operating_system, displayApps }
    switch (yield* store.create(yield* parent, { ...child, ...details }, maxSubAgents)) {
      case "created":
        return child
      case "name taken":
        return yield* new InvalidRequest({ field: "name", problem: "is that of another agent of the workspace" })
      case "too many":
        return yield* new TooManySubAgents({ limit: maxSubAgents })
      case "token replaced":
        return yield* tokenReplaced
    }
  })

  const createSubAgent = Effect.fnUntraced(
    function* (request: CreateSubAgentRequest) {
      const { identity, workspace } = yield* AgentSession
      const { id } = request
      const { accepted, errors } = SubAgentApps.accept(request.apps)
      const limit = accepted.some(({ app }) => SubAgentApps.isShared(app))
        ? yield* store.maxSharingLevel((yield* workspace).templateId)
        : "owner"
      const child =
        id === undefined
          ? yield* create(request)
          : Option.getOrUndefined(
              yield* store.change(identity.agentId, {
                id,
                directory: request.directory,
                displayApps: toDisplayApps(request.display_apps)
              })
            )
      if (child === undefined) return yield* unknownChild
      const [agent] = yield* withTokens([child])
      const apps = yield* Effect.forEach(accepted, ({ app }) =>
        Effect.provideContext(SubAgentApps.stored(app, child.name, limit), crypto)
      )
      const noRoom = { error: `an agent may have at most ${maxApps} apps` }
      const failures = yield* (apps.length === 0 ? Effect.succeed([]) : store.putApps(child.id, apps, maxApps)).pipe(
        Effect.map((refused) => {
          const slugs = new Set(refused)
          return accepted.flatMap(({ index }, place) => (slugs.has(apps[place]!.slug) ? [{ index, ...noRoom }] : []))
        }),
        Effect.catchTag("StoreError", (error) =>
          Effect.map(Effect.flip(unavailable(error)), ({ message }) =>
            accepted.map(({ index }) => ({ index, error: message }))
          )
        )
      )
      const all = [...errors, ...failures].toSorted((one, other) => one.index - other.index)
      return { agent: agent!, app_creation_errors: all }
    },
    Effect.catchTag("StoreError", unavailable)
  )

  const deleteSubAgent = Effect.fnUntraced(
    function* ({ id }: typeof DeleteSubAgentRequest.Type) {
      const { identity } = yield* AgentSession
      return (yield* store.remove(identity.agentId, id)) ? {} : yield* unknownChild
    },
    Effect.catchTag("StoreError", unavailable)
  )

  const listSubAgents = Effect.fnUntraced(
    function* () {
      const { identity } = yield* AgentSession
      return { agents: yield* withTokens(yield* store.children(identity.agentId)) }
    },
    Effect.catchTag("StoreError", unavailable)
  )

  return { CreateSubAgent: createSubAgent, DeleteSubAgent: deleteSubAgent, ListSubAgents: listSubAgents }
})

const toDisplayApps = (apps: CreateSubAgentRequest["display_apps"]) => [
  ...new Set(apps.map((app) => app.toLowerCase()))
]

const unknownChild = new InvalidRequest({ field: "id", problem: "is that of no sub-agent of this agent" })

const tokenReplaced = new TokenReplaced({
  message: "the token of this agent was replaced since it connected: connect again with the new one"
})
