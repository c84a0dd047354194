/**
 * Users and agents of a running service, with the tokens that they show.
 */
import { Duration, Effect, Redacted } from "effect"
import * as Crypto from "node:crypto"
import * as Token from "../../src/access/Token.ts"
import * as Administrator from "../../src/admin/Administrator.ts"
import { Directory } from "../../src/admin/Directory.ts"
import type { MetadataDescription } from "../../src/domain/Metadata.ts"

/** A name that nothing has yet. */
export const newName = (kind: string) => `${kind}-${Crypto.randomBytes(6).toString("hex")}`

export const describeKey = (key: string, displayOrder = 0): MetadataDescription => ({
  key,
  displayName: key.toUpperCase(),
  script: `measure ${key}`,
  interval: Duration.seconds(10),
  timeout: Duration.seconds(2),
  displayOrder
})

/** A user and a token of theirs. */
export const user = Effect.fnUntraced(function* (options: { readonly isAdmin: boolean } = { isAdmin: false }) {
  const username = newName("user")
  const directory = yield* Directory
  const user = yield* directory.createUser({ username, ...options })
  return { ...user, token: yield* Administrator.mint(username, "test") }
})

/** An agent with these keys, in a workspace of its own, with the token of the agent and the user who owns both. */
export const agent = (...keys: ReadonlyArray<string>) =>
  agentDeclaring(keys.map((key, index) => describeKey(key, index)))

/** The same with these declarations. */
export const agentDeclaring = Effect.fnUntraced(function* (metadata: ReadonlyArray<MetadataDescription>) {
  const directory = yield* Directory
  const owner = yield* user()
  const workspace = yield* directory.createWorkspace({ name: newName("workspace"), owner: owner.username })
  const token = yield* Token.mint
  const [created] = yield* directory.createAgents(workspace.id, [
    { name: "main", token: yield* Token.digest(token), metadata }
  ])
  return { id: created!.id, token, owner, workspace }
})

/** Agents of one user, in one workspace. */
export const agentsOf = Effect.fnUntraced(function* (owner: string, count: number) {
  const directory = yield* Directory
  const workspace = yield* directory.createWorkspace({ name: newName("workspace"), owner })
  return yield* Effect.forEach(Array.from({ length: count }), () =>
    Effect.gen(function* () {
      const token = yield* Token.mint
      const named = { name: newName("agent"), token: yield* Token.digest(token), metadata: [] }
      const [created] = yield* directory.createAgents(workspace.id, [named])
      return { id: created!.id, token }
    })
  )
})

/** The headers that show a token. */
export const showing = (token: Token.Token) => ({ [Token.header]: Redacted.value(token) })

export const bearer = (token: Token.Token) => ({ authorization: `Bearer ${Redacted.value(token)}` })
