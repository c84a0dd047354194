import { NodeCrypto } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Access from "../../src/access/Access.ts"
import { AccessStore } from "../../src/access/AccessStore.ts"
import type { Token } from "../../src/access/Token.ts"
import * as Fake from "../support/accessStore.ts"
import { identity, workspace } from "../support/identity.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { agent } from "../support/metadataBatcher.ts"

const [owner, stranger, admin] = [Fake.user(1), Fake.user(2), Fake.user(3, true)]
const ofAgent = Fake.token("the token of an agent")
const ofOwner = Fake.token("the token of a user")

const known = Fake.layer({
  agents: [[ofAgent, identity(agent(1))]],
  users: [[ofOwner, owner]],
  owners: [[agent(1), owner.id]]
})

const over =
  (store: Layer.Layer<AccessStore>) =>
  <A, E>(use: (access: Access.Access["Service"]) => Effect.Effect<A, E>) =>
    Effect.provide(Access.Access.use(use), Layer.provide(Access.layer, [store, NodeCrypto.layer]))

const asking = over(known)
const askingInVain = over(Fake.layerAway)

const refusalOf = (token: Token) => asking(({ agent }) => Effect.flip(agent(token)))

describe("Access", () => {
  it.effect("knows an agent and a user by their tokens", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* asking((access) => access.agent(ofAgent)), identity(agent(1)))
      assert.deepStrictEqual(yield* asking((access) => access.user(ofOwner)), owner)
    })
  )

  it.effect("knows the agents of many tokens in their order, by one statement", () =>
    Effect.gen(function* () {
      const lookups: Array<number> = []
      const tokens = Array.from({ length: 1_500 }, (_, number) => Fake.token(`token ${number}`))
      // not in the order of the request, and without the first one
      const stored = tokens
        .map((token, number) => ({ subject: identity(agent(number)), digest: Fake.digestOf(token) }))
        .slice(1)
        .toReversed()
      const store = Layer.mock(AccessStore)({
        agents: (digests) =>
          Effect.sync(() => {
            lookups.push(digests.length)
            const asked = new Set(digests.map((digest) => Buffer.from(digest).toString("hex")))
            return stored.filter(({ digest }) => asked.has(Buffer.from(digest).toString("hex")))
          })
      })

      const found = yield* over(store)((access) => access.agents(tokens))

      assert.deepStrictEqual(lookups, [1_500])
      assert.deepStrictEqual(
        found.map((identity) => Option.map(identity, ({ agentId }) => agentId)),
        tokens.map((_, number) => (number === 0 ? Option.none() : Option.some(agent(number))))
      )
    })
  )

  it.effect("rejects an empty or a wrong token, and says how to send one", () =>
    Effect.gen(function* () {
      for (const wrong of ["", " ", "the token of an agen", "the token of an agent "]) {
        const error = yield* refusalOf(Fake.token(wrong))

        assert.strictEqual(error._tag, "Unauthenticated")
        assert.include(error.message, "coder-session-token")
        assert.include(error.message, "bearer")
      }
    })
  )

  it.effect("looks up no empty token", () =>
    Effect.gen(function* () {
      const error = yield* askingInVain((access) => Effect.flip(access.user(Fake.token(""))))

      assert.strictEqual(error._tag, "Unauthenticated")
    })
  )

  it.effect("accepts no token of an agent as that of a user, and the other way round", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* refusalOf(ofOwner))._tag, "Unauthenticated")
      const error = yield* asking((access) => Effect.flip(access.user(ofAgent)))

      assert.strictEqual(error._tag, "Unauthenticated")
    })
  )

  it.effect("compares the stored digest with that of the token", () =>
    Effect.gen(function* () {
      const careless = Layer.succeed(AccessStore, {
        agents: () => Effect.succeed([{ subject: identity(agent(1)), digest: Fake.digestOf(ofAgent) }]),
        users: () => Effect.succeed([{ subject: admin, digest: Fake.digestOf(ofOwner).slice(0, 31) }]),
        ownerships: () => Effect.succeed([])
      })
      const asking = over(careless)

      assert.isDefined(yield* asking((access) => access.agent(ofAgent)))
      for (const wrong of [
        yield* asking((access) => Effect.flip(access.agent(Fake.token("another")))),
        yield* asking((access) => Effect.flip(access.user(ofOwner)))
      ]) {
        assert.strictEqual(wrong._tag, "Unauthenticated")
      }
    })
  )

  it.effect("rejects every request while tokens cannot be looked up, and calls no token wrong", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []

      const errors = yield* askingInVain((access) =>
        Effect.all([
          Effect.flip(access.agent(ofAgent)),
          Effect.flip(access.user(ofOwner)),
          Effect.flip(access.mayRead(admin, agent(1)))
        ])
      ).pipe(collectLogs(logs))

      assert.deepStrictEqual(
        errors.map(({ _tag, message }) => [_tag, message]),
        Array.from({ length: 3 }, () => ["AccessUnavailable", "tokens cannot be looked up now"])
      )
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Error", "Error", "Error"]
      )
      assert.notInclude(JSON.stringify([logs, errors]), "the token of")
    })
  )

  it.effect("lets the owner and an administrator read an agent [WA-23]", () =>
    Effect.gen(function* () {
      yield* asking((access) => access.mayRead(owner, agent(1)))
      yield* asking((access) => access.mayRead(admin, agent(1)))
    })
  )

  it.effect("responds to a user without the right as if the agent did not exist [WA-23]", () =>
    Effect.gen(function* () {
      const mayRead = (user: typeof owner, number: number) =>
        asking((access) => Effect.flip(access.mayRead(user, agent(number))))

      const hidden = yield* mayRead(stranger, 1)
      const missing = yield* mayRead(stranger, 2)

      assert.strictEqual(hidden._tag, "AgentNotFound")
      assert.strictEqual(hidden.message.replace(agent(1), agent(2)), missing.message)
      for (const user of [owner, admin]) assert.deepStrictEqual(yield* mayRead(user, 2), missing)
    })
  )

  it.effect("checks the owner of the agent for each read, so that a change takes effect at once [WA-23, CW-08]", () =>
    Effect.gen(function* () {
      let owned = Option.some(owner.id)
      const asking = over(
        Layer.succeed(AccessStore, {
          agents: () => Effect.succeed([]),
          users: () => Effect.succeed([]),
          ownerships: () =>
            Effect.sync(() =>
              Option.toArray(owned).map((ownerId) => ({ agentId: agent(1), workspaceId: workspace.id, ownerId }))
            )
        })
      )
      yield* asking(({ mayRead }) =>
        Effect.gen(function* () {
          yield* mayRead(owner, agent(1))
          owned = Option.some(stranger.id)
          const error = yield* Effect.flip(mayRead(owner, agent(1)))

          assert.strictEqual(error._tag, "AgentNotFound")
          yield* mayRead(stranger, agent(1))
        })
      )
    })
  )

  it.effect("looks up the tokens that arrive while a look-up runs in one statement [FT-61]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const statements: Array<number> = []
      const store = Layer.succeed(AccessStore, {
        agents: (digests) => {
          statements.push(digests.length)
          return Effect.as(
            Deferred.await(gate),
            digests.map((digest) => ({ digest, subject: identity(agent(1)) }))
          )
        },
        users: () => Effect.succeed([]),
        ownerships: () => Effect.succeed([])
      })

      yield* over(store)(
        Effect.fnUntraced(function* (access) {
          const fleet = yield* Effect.forkScoped(
            Effect.forEach(Array.from({ length: 1_500 }), (_, index) => access.agent(Fake.token(`token ${index}`)), {
              concurrency: "unbounded"
            })
          )
          yield* TestClock.adjust(0)
          yield* Deferred.succeed(gate, undefined)
          assert.lengthOf(yield* Fiber.join(fleet), 1_500)
        }, Effect.scoped)
      )

      assert.isAtMost(statements.length, 4)
      assert.strictEqual(
        statements.reduce((sum, one) => sum + one, 0),
        1_500
      )
    })
  )

  it.effect("looks up a wrong token once a second [FT-16]", () =>
    Effect.gen(function* () {
      let lookups = 0
      const store = Layer.succeed(AccessStore, {
        agents: () => Effect.succeed([]),
        users: () =>
          Effect.sync(() => {
            lookups++
            return []
          }),
        ownerships: () => Effect.succeed([])
      })

      yield* over(store)(
        Effect.fnUntraced(function* (access) {
          const show = Effect.flip(access.user(Fake.token("wrong")))
          yield* Effect.replicateEffect(show, 3)
          assert.strictEqual(lookups, 1)
          yield* TestClock.adjust("1 second")
          yield* show
          assert.strictEqual(lookups, 2)
        })
      )
    })
  )
})
