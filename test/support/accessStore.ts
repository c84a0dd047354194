/**
 * An access store over the tokens that a test declares.
 */
import { Effect, Layer, Redacted } from "effect"
import * as Crypto from "node:crypto"
import { AccessStore } from "../../src/access/AccessStore.ts"
import type { Token, TokenDigest } from "../../src/access/Token.ts"
import type { AgentIdentity } from "../../src/domain/AgentIdentity.ts"
import { type AgentId, UserId } from "../../src/domain/Ids.ts"
import type { User } from "../../src/domain/User.ts"
import { workspace } from "./identity.ts"
import { StoreError } from "../../src/domain/StoreError.ts"

export interface Known {
  readonly agents?: ReadonlyArray<readonly [Token, AgentIdentity]>
  readonly users?: ReadonlyArray<readonly [Token, User]>
  readonly owners?: ReadonlyArray<readonly [AgentId, UserId]>
}

/** A user of a test: the first is number 1. */
export const user = (number: number, isAdmin = false): User => ({
  id: UserId.make(`00000000-0000-4000-a000-${number.toString(16).padStart(12, "0")}`),
  username: `user-${number}`,
  isAdmin
})

/** A token with a readable name. */
export const token = (text: string): Token => Redacted.make(text, { label: "token" })

export const digestOf = (token: Token): TokenDigest =>
  new Uint8Array(Crypto.createHash("sha256").update(Redacted.value(token)).digest())

/** Tokens may come and go. */
const lookup =
  <A>(tokens: ReadonlyArray<readonly [Token, A]> = []) =>
  (digests: ReadonlyArray<TokenDigest>) =>
    Effect.sync(() => {
      const subjects = new Map(tokens.map(([token, subject]) => [String(digestOf(token)), subject]))
      return [...new Map(digests.map((digest) => [String(digest), digest])).values()].flatMap((digest) => {
        const subject = subjects.get(String(digest))
        return subject === undefined ? [] : [{ subject, digest }]
      })
    })

export const layer = ({ agents, owners, users }: Known) =>
  Layer.succeed(AccessStore, {
    agents: lookup(agents),
    users: lookup(users),
    ownerships: (agentIds) =>
      Effect.sync(() =>
        (owners ?? [])
          .filter(([agentId]) => agentIds.includes(agentId))
          .map(([agentId, ownerId]) => ({ agentId, ownerId, workspaceId: workspace.id }))
      )
  })

/** A store that cannot be asked. */
export const layerAway = Layer.sync(AccessStore, () => {
  const away = () =>
    Effect.fail(
      new StoreError({ operation: "look up tokens", reason: "unavailable", cause: new Error("connection refused") })
    )
  return { agents: away, users: away, ownerships: away }
})
