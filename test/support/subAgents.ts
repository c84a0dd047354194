/** The sub-API of sub-agents, called as an agent calls it, over a store in memory and real cryptography. */
import { NodeCrypto } from "@effect/platform-node"
import { Effect, Option, Schema } from "effect"
import type { Token } from "../../src/access/Token.ts"
import * as SubAgents from "../../src/agentapi/calls/SubAgents.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import { digestOf, token } from "./accessStore.ts"
import { calling, session } from "./agentApi.ts"
import { identity } from "./identity.ts"
import { collectLogs, type LogRecord } from "./logs.ts"
import { agent } from "./metadataBatcher.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import { type AgentToken, type App, SubAgentStore, type NewSubAgent } from "../../src/agentapi/ports/SubAgentStore.ts"

type Store = SubAgentStore["Service"]
type Child = NewSubAgent & { readonly parentId: AgentId }

export const [parent, stranger] = [agent(1), agent(2)]

/** The tokens that both show unless a test says otherwise. */
export const tokens = () => new Map([parent, stranger].map((id) => [id, token(`of ${id}`)]))

export const away = Effect.fail(
  new StoreError({ operation: "do that", reason: "unavailable", cause: new Error("connection refused") })
)

/** An app of which nothing is said, but for its slug. */
export const bareApp = {
  command: "",
  displayName: "",
  displayGroup: "",
  displayOrder: 0,
  external: false,
  hidden: false,
  icon: "",
  openIn: "slim-window",
  sharingLevel: "owner",
  subdomain: false,
  url: "",
  healthcheckUrl: "",
  healthcheckInterval: 0,
  healthcheckThreshold: 0,
  health: "disabled"
} as const

/** A store in which these agents of one build have these tokens. Names and rules are those of the build. */
export const memory = (parents: ReadonlyMap<AgentId, Token>, overrides: Partial<Store> = {}) => {
  const rows = new Map<AgentId, Child>()
  /** The parents of deleted children. */
  const deleted = new Map<AgentId, AgentId>()
  const apps: Array<App> = []
  const rotated: Array<AgentId> = []

  const of = (parentId: AgentId) => [...rows.values()].filter((row) => row.parentId === parentId)
  const top = (id: AgentId): AgentId => {
    const row = rows.get(id)
    return row === undefined ? id : top(row.parentId)
  }
  const below = (id: AgentId): ReadonlyArray<Child> => of(id).flatMap((child) => [child, ...below(child.id)])
  const has = ({ digest, id }: AgentToken) => {
    const known = parents.get(id)
    return String(known === undefined ? rows.get(id)?.digest : digestOf(known)) === String(digest)
  }
  const remove = ({ id, parentId }: Child): void => {
    rows.delete(id)
    deleted.set(id, parentId)
    for (const child of of(id)) remove(child)
  }

  const store: Store = {
    create: (parent, child, maxSubAgents) =>
      Effect.sync(() => {
        if (!has(parent)) return "token replaced"
        if (below(top(parent.id)).length >= maxSubAgents) return "too many"
        const name = child.name.toLowerCase()
        if ([...rows.values()].some((row) => row.name.toLowerCase() === name)) return "name taken"
        rows.set(child.id, { ...child, parentId: parent.id })
        return "created"
      }),
    change: (parentId, { directory, displayApps, id }) =>
      Effect.sync(() => {
        const row = rows.get(id)
        if (row?.parentId !== parentId) return Option.none()
        const changed = { ...row, displayApps, directory: directory === "" ? row.directory : directory }
        rows.set(id, changed)
        return Option.some(changed)
      }),
    children: (parentId) => Effect.sync(() => of(parentId).map(({ digest, id, name }) => ({ id, name, digest }))),
    rotateTokens: (parent, children) =>
      Effect.sync(() => {
        const own = has(parent) ? children.filter(({ id }) => rows.get(id)?.parentId === parent.id) : []
        for (const { digest, id } of own) {
          rotated.push(id)
          rows.set(id, { ...rows.get(id)!, digest })
        }
        return own.length > 0
      }),
    remove: (parentId, id) =>
      Effect.sync(() => {
        const child = rows.get(id)
        if (child?.parentId !== parentId) return deleted.get(id) === parentId
        remove(child)
        return true
      }),
    putApps: (_, put, maxApps) =>
      Effect.sync(() => {
        const known = new Set(apps.map(({ slug }) => slug))
        const added = put.filter(({ slug }) => !known.has(slug)).slice(0, maxApps - known.size)
        const changed = put.filter(({ slug }) => known.has(slug))
        apps.push(...added, ...changed)
        return put.flatMap((app) => (added.includes(app) || changed.includes(app) ? [] : [app.slug]))
      }),
    maxSharingLevel: () => Effect.succeed("public"),
    ...overrides
  }
  return { store, rows, apps, rotated }
}

/** The calls of an agent. */
export const calls = Effect.fnUntraced(function* (
  store: Store,
  { agentId = parent, shows = token(`of ${agentId}`) }: { readonly agentId?: AgentId; readonly shows?: Token } = {}
) {
  const logs: Array<LogRecord> = []
  const handlers = yield* Effect.provideService(SubAgents.make, SubAgentStore, store).pipe(
    Effect.provide(NodeCrypto.layer)
  )
  const of = session(agentId, { identity: identity(agentId), token: shows })
  const create = calling(SubAgents.CreateSubAgentRequest, handlers.CreateSubAgent, of)
  return {
    create: (request: unknown) => collectLogs(logs)(create(request)),
    delete: calling(SubAgents.DeleteSubAgentRequest, handlers.DeleteSubAgent, of),
    list: calling(Schema.Struct({}), handlers.ListSubAgents, of)({}),
    logs
  }
})

/** An agent with a store of its own. */
export const start = Effect.fnUntraced(function* (overrides: Partial<Store> = {}) {
  const world = memory(tokens(), overrides)
  return { ...world, ...(yield* calls(world.store)) }
})
