/** The rules that every store of sub-agents keeps, so that the one of tests is not kinder than the real one. */
import { assert, type layer } from "@effect/vitest"
import { Context, Effect, Option } from "effect"
import * as Crypto from "node:crypto"
import { type AgentToken, type NewSubAgent, SubAgentStore } from "../../../src/agentapi/ports/SubAgentStore.ts"
import { AgentId } from "../../../src/domain/Ids.ts"
import { newName } from "../../support/directory.ts"
import { newId } from "../../support/seed.ts"

/** Agents that may have children, as the adapter under test needs them. */
export class Parents extends Context.Service<
  Parents,
  {
    /** A new agent and another one of the same build. */
    readonly create: Effect.Effect<{ readonly parent: AgentToken; readonly neighbour: AgentToken }>
  }
>()("test/agentapi/ports/Parents") {}

type It = Parameters<Parameters<ReturnType<typeof layer<SubAgentStore | Parents, unknown>>>[1] & {}>[0]

const parents = Parents.use(({ create }) => create)

export const digest = () => new Uint8Array(Crypto.randomBytes(32))

/** A child with a name of its own of this kind. */
export const newChild = (kind: string): NewSubAgent => ({
  id: newId(AgentId),
  name: newName(kind),
  digest: digest(),
  directory: "/workspaces",
  architecture: "arm64",
  operatingSystem: "darwin",
  displayApps: ["vscode", "web_terminal"]
})

export const create = Effect.fnUntraced(function* (parent: AgentToken, child: NewSubAgent, maxChildren = 100) {
  const { create } = yield* SubAgentStore
  return yield* create(parent, child, maxChildren)
})

/** A child as the store returns it. */
const found = ({ digest, id, name }: NewSubAgent) => ({ id, name, digest })

const children = Effect.fnUntraced(function* (parent: AgentToken) {
  const { children } = yield* SubAgentStore
  return (yield* children(parent.id)).map((child) => ({ ...child, digest: Uint8Array.from(child.digest) }))
})

export const subAgentStoreSuite = (it: It) => {
  it.effect("creates as many children as an agent may have, however many are requested at once [SA-14]", () =>
    Effect.gen(function* () {
      const { remove } = yield* SubAgentStore
      const { neighbour, parent } = yield* parents
      const names = Array.from({ length: 8 }, (_, index) => `child${index}`)

      const outcomes = yield* Effect.forEach(names, (name) => create(parent, newChild(name), 3), {
        concurrency: "unbounded"
      })

      assert.strictEqual(outcomes.filter((outcome) => outcome === "created").length, 3)
      assert.strictEqual(outcomes.filter((outcome) => outcome === "too many").length, 5)
      assert.strictEqual(yield* create(neighbour, newChild("other"), 3), "created")
      const [first] = yield* children(parent)
      yield* remove(parent.id, first!.id)
      assert.strictEqual(yield* create(parent, newChild("another"), 3), "created")
    })
  )

  it.effect("counts the sub-agents of sub-agents, too, however many are requested at once [SA-14]", () =>
    Effect.gen(function* () {
      const { remove } = yield* SubAgentStore
      const { neighbour, parent } = yield* parents
      const [dev, inner] = [newChild("dev"), newChild("inner")]
      yield* create(parent, dev, 5)
      yield* create(dev, inner, 5)

      const above = Array.from({ length: 4 }, () => [parent, dev, inner]).flat()
      const outcomes = yield* Effect.forEach(above, (agent) => create(agent, newChild("more"), 5), {
        concurrency: "unbounded"
      })

      assert.strictEqual(outcomes.filter((outcome) => outcome === "created").length, 3)
      assert.strictEqual(outcomes.filter((outcome) => outcome === "too many").length, 9)
      for (const agent of [parent, dev, inner]) {
        assert.strictEqual(yield* create(agent, newChild("another"), 5), "too many")
      }
      assert.strictEqual(yield* create(neighbour, newChild("other"), 1), "created")
      yield* remove(parent.id, dev.id)
      assert.strictEqual(yield* create(parent, newChild("another"), 5), "created")
    })
  )

  it.effect("creates none under a name of the build, and one under the name of a deleted child [SA-12]", () =>
    Effect.gen(function* () {
      const { remove } = yield* SubAgentStore
      const { neighbour, parent } = yield* parents
      const dev = newChild("dev")

      const named = (name: string) => ({ ...newChild("other"), name })

      assert.strictEqual(yield* create(parent, { ...dev, displayApps: [] }), "created")
      assert.strictEqual(yield* create(parent, named(dev.name.toUpperCase())), "name taken")
      assert.strictEqual(yield* create(neighbour, named(dev.name)), "name taken")
      assert.isTrue(yield* remove(parent.id, dev.id))
      assert.strictEqual(yield* create(neighbour, named(dev.name)), "created")
    })
  )

  it.effect("creates none for a parent that shows another token than it has, or is deleted or unknown [SA-05]", () =>
    Effect.gen(function* () {
      const { remove } = yield* SubAgentStore
      const { parent } = yield* parents
      const dev = newChild("dev")
      const unknown = { id: newId(AgentId), digest: parent.digest }

      assert.strictEqual(yield* create({ ...parent, digest: digest() }, dev), "token replaced")
      assert.strictEqual(yield* create(unknown, dev), "token replaced")
      assert.strictEqual(yield* create(parent, dev), "created")
      assert.isTrue(yield* remove(parent.id, dev.id))
      assert.strictEqual(yield* create(dev, newChild("orphan")), "token replaced")
      assert.deepStrictEqual(yield* children(dev), [])
    })
  )

  it.effect("returns the living children of an agent, the oldest first [SA-13]", () =>
    Effect.gen(function* () {
      const { remove } = yield* SubAgentStore
      const { neighbour, parent } = yield* parents
      const [b, a, gone, other] = [newChild("b"), newChild("a"), newChild("gone"), newChild("other")]
      for (const each of [b, a, gone]) yield* create(parent, each)
      yield* create(neighbour, other)

      yield* remove(parent.id, gone.id)

      assert.deepStrictEqual(yield* children(parent), [found(b), found(a)])
      assert.deepStrictEqual(yield* children(neighbour), [found(other)])
      assert.deepStrictEqual(yield* children(a), [])
    })
  )

  it.effect("changes a living child of the agent alone, and keeps its name and its token [SA-10, SA-11]", () =>
    Effect.gen(function* () {
      const { change, remove } = yield* SubAgentStore
      const { neighbour, parent } = yield* parents
      const dev = newChild("dev")
      yield* create(parent, dev)
      const changes = { id: dev.id, directory: "/new", displayApps: ["ssh_helper"] }

      assert.deepInclude(Option.getOrThrow(yield* change(parent.id, changes)), { id: dev.id, name: dev.name })
      assert.deepStrictEqual(yield* children(parent), [found(dev)])

      assert.isTrue(Option.isNone(yield* change(neighbour.id, changes)))
      assert.isTrue(Option.isNone(yield* change(dev.id, changes)))
      assert.isTrue(Option.isNone(yield* change(parent.id, { ...changes, id: parent.id })))
      yield* remove(parent.id, dev.id)
      assert.isTrue(Option.isNone(yield* change(parent.id, changes)))
    })
  )

  it.effect("deletes a child of the agent alone, and again without harm [SA-12]", () =>
    Effect.gen(function* () {
      const { remove } = yield* SubAgentStore
      const { neighbour, parent } = yield* parents
      const dev = newChild("dev")
      yield* create(parent, dev)

      for (const [by, id] of [
        [neighbour.id, dev.id],
        [parent.id, parent.id],
        [parent.id, neighbour.id],
        [dev.id, parent.id],
        [parent.id, newId(AgentId)]
      ] as const) {
        assert.isFalse(yield* remove(by, id))
      }
      assert.deepStrictEqual(yield* children(parent), [found(dev)])
      assert.isTrue(yield* remove(parent.id, dev.id))
      assert.isTrue(yield* remove(parent.id, dev.id))
      assert.deepStrictEqual(yield* children(parent), [])
    })
  )

  it.effect("deletes the children of a deleted child [SA-12]", () =>
    Effect.gen(function* () {
      const { remove } = yield* SubAgentStore
      const { parent } = yield* parents
      const [dev, sibling, grandchild] = [newChild("dev"), newChild("sibling"), newChild("grandchild")]
      for (const each of [dev, sibling]) yield* create(parent, each)
      assert.strictEqual(yield* create(dev, grandchild), "created")
      assert.deepStrictEqual(yield* children(dev), [found(grandchild)])

      assert.isTrue(yield* remove(parent.id, dev.id))

      assert.deepStrictEqual(yield* children(dev), [])
      assert.strictEqual(yield* create(grandchild, newChild("orphan")), "token replaced")
      assert.deepStrictEqual(yield* children(parent), [found(sibling)])
    })
  )

  it.effect("replaces the tokens of the agent's own children while the agent has the expected token [SA-13]", () =>
    Effect.gen(function* () {
      const { rotateTokens } = yield* SubAgentStore
      const { neighbour, parent } = yield* parents
      const [dev, test, other] = [newChild("dev"), newChild("test"), newChild("other")]
      yield* create(parent, dev)
      yield* create(parent, test)
      yield* create(neighbour, other)
      const [first, second] = [digest(), digest()]

      assert.isFalse(yield* rotateTokens({ ...parent, digest: digest() }, [{ id: dev.id, digest: first }]))
      assert.isFalse(yield* rotateTokens(parent, [{ id: other.id, digest: first }]))
      assert.deepStrictEqual(yield* children(parent), [found(dev), found(test)])
      assert.isTrue(
        yield* rotateTokens(parent, [
          { id: dev.id, digest: first },
          { id: test.id, digest: second }
        ])
      )

      assert.deepStrictEqual(yield* children(parent), [
        { ...found(dev), digest: first },
        { ...found(test), digest: second }
      ])
      assert.deepStrictEqual(yield* children(neighbour), [found(other)])
      assert.strictEqual(yield* create({ ...dev, digest: first }, newChild("grandchild")), "created")
    })
  )
}
