import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Crypto from "node:crypto"
import * as SubAgents from "../../../src/agentapi/calls/SubAgents.ts"
import { digestOf, token } from "../../support/accessStore.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { calls, memory, parent, start, stranger, tokens } from "../../support/subAgents.ts"

const messageOf = <A, E extends { readonly message: string }, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(self), ({ message }) => message)

describe("CreateSubAgent", () => {
  it.effect("requires a name, of letters and digits in parts with a dash between them [SA-01, SA-02]", () =>
    Effect.gen(function* () {
      const { create, rows } = yield* start()

      const wrong = ["", "-a", "a-", "a--b", "a b", "a_b", "a.b", "é", "a\n", "x".repeat(65)]
      for (const name of [undefined, ...wrong]) {
        const message = yield* messageOf(create(name === undefined ? {} : { name }))
        assert.include(message, "a name of 1 to 64 letters and digits")
        assert.include(message, '["name"]')
      }
      assert.strictEqual(rows.size, 0)
      for (const name of ["a", "Dev-1", "0", "x".repeat(64)]) yield* create({ name })
      assert.strictEqual(rows.size, 4)
    })
  )

  it.effect("rejects an unknown display app, and names its place [SA-03]", () =>
    Effect.gen(function* () {
      const { create, rows } = yield* start()

      const many = Array.from({ length: 1_001 }, (_, index) => ({ slug: `app${index}` }))
      assert.include(yield* messageOf(create({ name: "dev", apps: many })), "at most 1000 apps")

      const message = yield* messageOf(create({ name: "dev", display_apps: ["VSCODE", "EMACS"] }))

      assert.include(message, '["display_apps"][1]')
      assert.strictEqual(rows.size, 0)
    })
  )

  it.effect("creates the agent of the request, with each display app once", () =>
    Effect.gen(function* () {
      const { create, rows } = yield* start()

      const { agent, app_creation_errors } = yield* create({
        name: "dev",
        directory: "/workspaces/dev\0",
        architecture: "arm64",
        operating_system: "linux",
        display_apps: ["WEB_TERMINAL", "VSCODE_INSIDERS", "WEB_TERMINAL"]
      })

      const { digest: _, ...row } = rows.get(agent.id)!
      assert.deepStrictEqual(row, {
        id: agent.id,
        parentId: parent,
        name: "dev",
        directory: "/workspaces/dev",
        architecture: "arm64",
        operatingSystem: "linux",
        displayApps: ["web_terminal", "vscode_insiders"]
      })
      assert.deepStrictEqual([agent.name, app_creation_errors], ["dev", []])
    })
  )

  it.effect("rejects a sub-agent beyond the limit, and names the limit [SA-14]", () =>
    Effect.gen(function* () {
      const { create, rows } = yield* Effect.provideService(start(), SubAgents.MaxSubAgents, 2)

      for (const name of ["a", "b"]) yield* create({ name })
      const error = yield* Effect.flip(create({ name: "c" }))

      assert.deepInclude(error, { _tag: "TooManySubAgents", limit: 2 })
      assert.include(error.message, "at most 2 sub-agents")
      assert.strictEqual(rows.size, 2)
    })
  )

  it.effect("rejects texts of more than 4 096 characters [AP-10]", () =>
    Effect.gen(function* () {
      const { create, rows } = yield* start()

      for (const field of ["directory", "architecture", "operating_system"]) {
        yield* create({ name: field.replace("_", "-"), [field]: "x".repeat(4_096) })
        const message = yield* messageOf(create({ name: "dev", [field]: "x".repeat(4_097) }))
        assert.include(message, "at most 4096 characters")
        assert.include(message, field)
      }
      assert.strictEqual(rows.size, 3)
    })
  )

  it.effect("rejects a name that another agent of the workspace has", () =>
    Effect.gen(function* () {
      const { create } = yield* start()
      yield* create({ name: "dev" })

      const error = yield* Effect.flip(create({ name: "dev" }))

      assert.deepInclude(error, { _tag: "InvalidRequest", field: "name" })
    })
  )

  it.effect("gives each its own token, of which only the digest is stored, and logs none [SA-05]", () =>
    Effect.gen(function* () {
      const { create, logs, rows } = yield* start()

      const agents = yield* Effect.forEach(["a", "b", "c"], (name) =>
        Effect.map(create({ name }), ({ agent }) => agent)
      )

      assert.strictEqual(new Set(agents.map(({ auth_token }) => auth_token)).size, 3)
      for (const { auth_token, id } of agents) {
        assert.match(auth_token, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
        assert.deepStrictEqual(new Uint8Array(rows.get(id)!.digest), digestOf(token(auth_token)))
        // derived from the token of the parent
        const mac = Crypto.createHmac("sha256", `of ${parent}`).update(`sub-agent ${id}`).digest("hex")
        assert.strictEqual(auth_token.slice(-12), mac.slice(20, 32))
        assert.notInclude(JSON.stringify(logs), auth_token)
      }
    })
  )

  it.effect("returns the same token again for an id, with new display apps and directory [SA-10]", () =>
    Effect.gen(function* () {
      const { apps, create, rotated, rows } = yield* start()
      const { agent } = yield* create({ name: "dev", directory: "/old", display_apps: ["VSCODE"] })
      const again = { id: agent.id.toUpperCase(), display_apps: ["SSH_HELPER"] }

      const kept = yield* create(again)
      assert.deepStrictEqual(kept, { agent, app_creation_errors: [] })
      assert.deepInclude(rows.get(agent.id), { name: "dev", directory: "/old", displayApps: ["ssh_helper"] })

      yield* create({ ...again, name: "another name", directory: "/new", display_apps: [], apps: [{ slug: "web" }] })
      assert.deepInclude(rows.get(agent.id), { name: "dev", directory: "/new", displayApps: [] })
      assert.deepStrictEqual([rows.size, apps.length, rotated], [1, 1, []])
    })
  )

  it.effect("rejects an unknown id, and that of another agent's sub-agent [SA-11]", () =>
    Effect.gen(function* () {
      const world = memory(tokens())
      const [own, foreign] = [yield* calls(world.store), yield* calls(world.store, { agentId: stranger })]
      const { agent: theirs } = yield* foreign.create({ name: "theirs", directory: "/theirs" })

      for (const id of [theirs.id, agent(99), parent]) {
        const error = yield* Effect.flip(own.create({ id, directory: "/mine" }))
        assert.deepInclude(error, {
          _tag: "InvalidRequest",
          field: "id",
          problem: "is that of no sub-agent of this agent"
        })
      }
      assert.strictEqual(world.rows.get(theirs.id)?.directory, "/theirs")
    })
  )
})

describe("DeleteSubAgent", () => {
  it.effect("deletes an agent's own sub-agent, and nobody else's [SA-12]", () =>
    Effect.gen(function* () {
      const world = memory(tokens())
      const own = yield* calls(world.store)
      const foreign = yield* calls(world.store, { agentId: stranger })
      const { agent } = yield* own.create({ name: "dev" })

      for (const id of [agent.id, parent]) {
        assert.deepInclude(yield* Effect.flip(foreign.delete({ id })), { _tag: "InvalidRequest", field: "id" })
      }
      assert.isTrue(world.rows.has(agent.id))
      assert.deepStrictEqual(yield* own.delete({ id: agent.id }), {})
      assert.deepStrictEqual(yield* own.list, { agents: [] })
      assert.include(yield* messageOf(own.delete({ id: "dev" })), "a UUID")
    })
  )
})

describe("ListSubAgents", () => {
  it.effect("returns an agent's own sub-agents with the tokens that they have, and changes nothing [SA-13]", () =>
    Effect.gen(function* () {
      const world = memory(tokens())
      const own = yield* calls(world.store)
      const foreign = yield* calls(world.store, { agentId: stranger })
      const created = yield* Effect.forEach(["a", "b"], (name) =>
        Effect.map(own.create({ name }), ({ agent }) => agent)
      )
      yield* foreign.create({ name: "theirs" })

      assert.deepStrictEqual(yield* own.list, { agents: created })
      assert.deepStrictEqual(world.rotated, [])
    })
  )

  it.effect("gives sub-agents other tokens once their parent has another one, and keeps those [SA-13]", () =>
    Effect.gen(function* () {
      const next = token("the next token")
      const shown = tokens()
      const world = memory(shown)
      const [before, after] = [yield* calls(world.store), yield* calls(world.store, { shows: next })]
      const { agent } = yield* before.create({ name: "dev" })
      shown.set(parent, next)

      const { agents } = yield* after.list
      assert.notStrictEqual(agents[0]!.auth_token, agent.auth_token)
      assert.deepStrictEqual(new Uint8Array(world.rows.get(agent.id)!.digest), digestOf(token(agents[0]!.auth_token)))
      assert.deepStrictEqual(yield* after.list, { agents })
      assert.deepStrictEqual(world.rotated, [agent.id])
    })
  )

  it.effect("gives no tokens over a connection whose own token was replaced since [SA-13]", () =>
    Effect.gen(function* () {
      const next = token("the next token")
      const world = memory(new Map([[parent, next]]))
      const [stale, current] = [yield* calls(world.store), yield* calls(world.store, { shows: next })]
      const { agent } = yield* current.create({ name: "dev" })

      assert.strictEqual((yield* Effect.flip(stale.list))._tag, "TokenReplaced")
      for (const request of [{ id: agent.id }, { name: "late" }]) {
        assert.strictEqual((yield* Effect.flip(stale.create(request)))._tag, "TokenReplaced")
      }
      assert.deepStrictEqual(yield* current.list, { agents: [agent] })
    })
  )
})
