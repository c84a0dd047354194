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
import { type App, SubAgentStore, type NewSubAgent } from "../../src/agentapi/ports/SubAgentStore.ts"

type Store = SubAgentStore["Service"]

export const [parent, stranger] = [agent(1), agent(2)]

export const away = Effect.fail(
  new StoreError({ operation: "do that", reason: "unavailable", cause: new Error("connection refused") })
)

/** A store in which `parents` have these tokens, and others whichever they show. */
export const memory = (parents: ReadonlyMap<AgentId, Token>, overrides: Partial<Store> = {}) => {
  const rows = new Map<AgentId, NewSubAgent & { readonly parentId: AgentId }>()
  const apps: Array<App> = []
  const rotated: Array<AgentId> = []
  const store: Store = {
    create: ({ digest, id: parentId }, child, maxChildren) =>
      Effect.sync(() => {
        const known = parents.get(parentId)
        if (known !== undefined && String(digestOf(known)) !== String(digest)) return "token replaced"
        if ([...rows.values()].filter((row) => row.parentId === parentId).length >= maxChildren) return "too many"
        if ([...rows.values()].some(({ name }) => name === child.name)) return "name taken"
        rows.set(child.id, { ...child, parentId })
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
    children: (parentId) => Effect.sync(() => [...rows.values()].filter((row) => row.parentId === parentId)),
    rotateTokens: (parent, keys) =>
      Effect.sync(() => {
        if (String(digestOf(parents.get(parent.id)!)) !== String(parent.digest)) return false
        for (const { digest, id } of keys) {
          rotated.push(id)
          rows.set(id, { ...rows.get(id)!, digest })
        }
        return true
      }),
    remove: (parentId, id) => Effect.sync(() => rows.get(id)?.parentId === parentId && rows.delete(id)),
    putApps: (_, put) => Effect.sync(() => void apps.push(...put)),
    maxSharingLevel: () => Effect.succeed("public"),
    ...overrides
  }
  return { store, rows, apps, rotated }
}

/** The calls of an agent. */
export const calls = Effect.fnUntraced(function* (
  store: Store,
  { agentId = parent, shows = token(`of ${parent}`) }: { readonly agentId?: AgentId; readonly shows?: Token } = {}
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
  const world = memory(new Map([[parent, token(`of ${parent}`)]]), overrides)
  return { ...world, ...(yield* calls(world.store)) }
})
