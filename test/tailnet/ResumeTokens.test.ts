/** Resume tokens over a store that the test speaks for: the keys that sign, and each reason for which a token is none. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Crypto from "node:crypto"
import { StoreError } from "../../src/domain/StoreError.ts"
import { type ResumeKey, ResumeKeyStore } from "../../src/tailnet/ResumeKeyStore.ts"
import * as ResumeTokens from "../../src/tailnet/ResumeTokens.ts"
import { layerServices, makeKeys } from "./services.ts"
import { newPeerId } from "./support.ts"

/** Keys in memory, and what is done with them. */
const makeStore = () => {
  const keys = makeKeys()
  const added: Array<ResumeKey> = []
  const state = { reads: 0, isAway: false }
  const store: ResumeKeyStore["Service"] = {
    keys: (now) =>
      Effect.suspend(() => {
        state.reads++
        return state.isAway
          ? Effect.fail(new StoreError({ operation: "read resume keys", reason: "unavailable", cause: "away" }))
          : keys.keys(now)
      }),
    add: (key, since) =>
      Effect.andThen(
        Effect.sync(() => added.push(key)),
        keys.add(key, since)
      )
  }
  return { added, state, store }
}

const replicaOver = (store: ResumeKeyStore["Service"]) =>
  ResumeTokens.make.pipe(Effect.provideService(ResumeKeyStore, store), Effect.provide(layerServices))

const one = Effect.gen(function* () {
  const { added, state, store } = makeStore()
  const tokens = yield* replicaOver(store)
  /** How often the keys are read meanwhile. */
  const reads = <A, E>(meanwhile: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      const before = state.reads
      return Effect.map(meanwhile, () => state.reads - before)
    })
  const reasonOf = (token: string) =>
    Effect.map(Effect.flip(tokens.verify(token)), (error) => (error._tag === "StoreError" ? error._tag : error.reason))
  return { added, reads, reasonOf, state, store, tokens }
})

const json = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")

const partsOf = (token: string) =>
  token
    .split(".")
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, "base64url").toString()))

/** A token as anyone signs it who has the key. */
const signedWith = ({ id, secret }: ResumeKey, claims: object, header: object = { alg: "HS512", kid: id }) => {
  const text = `${json(header)}.${json(claims)}`
  return `${text}.${Crypto.createHmac("sha512", secret).update(text).digest("base64url")}`
}

describe("the keys of resume tokens", () => {
  it.effect("are read again when a minute has passed, by a replica that signs [TU-09]", () =>
    Effect.gen(function* () {
      const { added, reads, tokens } = yield* one
      const issue = tokens.issue(newPeerId())
      // before there is a key, and with the one that was added
      assert.strictEqual(yield* reads(issue), 2)
      assert.strictEqual(yield* reads(issue), 0)

      yield* TestClock.adjust("59999 millis")
      assert.strictEqual(yield* reads(issue), 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* reads(issue), 1)
      assert.strictEqual(yield* reads(issue), 0)
      assert.lengthOf(added, 1)
    })
  )

  it.effect("are read by a replica that verifies for an unknown one alone, once in a minute", () =>
    Effect.gen(function* () {
      const { reads, reasonOf, store, tokens } = yield* one
      const other = yield* replicaOver(store)
      const { token } = yield* tokens.issue(newPeerId())
      assert.strictEqual(yield* reads(other.verify(token)), 1)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* reads(other.verify(token)), 0)

      const [header, claims] = partsOf(token)
      const unknown = `${json({ ...header, kid: newPeerId() })}.${json(claims)}.abcd`
      assert.strictEqual(yield* reads(reasonOf(unknown)), 1)
      assert.strictEqual(yield* reads(reasonOf(unknown)), 0)
      assert.strictEqual(yield* reasonOf(unknown), "unknown key")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* reads(reasonOf(unknown)), 1)
    })
  )

  it.effect("have 64 bytes, sign for 7 days, and end after 2 more [TU-09]", () =>
    Effect.gen(function* () {
      const { added, reasonOf, tokens } = yield* one
      yield* TestClock.adjust("1 hour")
      const { token } = yield* tokens.issue(newPeerId())
      const [key] = added
      const days = (count: number) => DateTime.add(key!.startsAt, { days: count })
      assert.strictEqual(DateTime.toEpochMillis(key!.startsAt), 3_600_000)
      assert.deepStrictEqual(key!.endsAt, days(9))
      assert.lengthOf(key!.secret, 64)

      yield* TestClock.setTime(DateTime.toEpochMillis(days(7)) - 1)
      yield* tokens.issue(newPeerId())
      assert.lengthOf(added, 1)
      yield* TestClock.adjust("1 millis")
      const late = yield* tokens.issue(newPeerId())
      assert.lengthOf(added, 2)
      assert.strictEqual(partsOf(late.token)[0].kid, added[1]!.id)

      yield* TestClock.setTime(DateTime.toEpochMillis(days(9)) - 1)
      assert.strictEqual(yield* reasonOf(token), "expired")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* reasonOf(token), "unknown key")
    })
  )

  it.effect("are made once for clients that come at once, and not at all while the store is away", () =>
    Effect.gen(function* () {
      const { added, state, tokens } = yield* one
      state.isAway = true
      assert.strictEqual((yield* Effect.flip(tokens.issue(newPeerId()))).message, "cannot read resume keys")
      state.isAway = false

      yield* Effect.all(
        [1, 2, 3].map(() => tokens.issue(newPeerId())),
        { concurrency: "unbounded" }
      )

      assert.lengthOf(added, 1)
    })
  )
})

describe("a resume token", () => {
  it.effect("is a JWT with the id of its peer, valid for 24 hours and to be renewed after 12 [TU-07]", () =>
    Effect.gen(function* () {
      const { added, reasonOf, tokens } = yield* one
      yield* TestClock.adjust("1999 millis")
      const id = newPeerId()

      const { expiresAt, refreshIn, token } = yield* tokens.issue(id)

      assert.deepStrictEqual(partsOf(token), [
        { alg: "HS512", kid: added[0]!.id, typ: "JWT" },
        { sub: id, exp: 86_401 }
      ])
      assert.strictEqual(DateTime.toEpochMillis(expiresAt), 86_401_999)
      assert.deepInclude(refreshIn, { value: { _tag: "Millis", millis: 43_200_000 } })
      yield* TestClock.setTime(86_400_999)
      assert.deepStrictEqual(yield* tokens.verify(token), Option.some(id))
      yield* TestClock.setTime(86_401_000)
      assert.strictEqual(yield* reasonOf(token), "expired")
    })
  )

  it.effect("is rejected with a reason, whatever is wrong with it [TU-10]", () =>
    Effect.gen(function* () {
      const { added, reasonOf, tokens } = yield* one
      const sub = newPeerId()
      const { token } = yield* tokens.issue(sub)
      const [key] = added
      const [header, claims, signature] = token.split(".") as [string, string, string]
      const padded = (length: number) => token + "A".repeat(length - token.length)
      const good = { sub, exp: 9e9 }

      assert.deepStrictEqual(yield* tokens.verify(signedWith(key!, good)), Option.some(sub))
      for (const [bad, reason] of [
        ["", "malformed"],
        ["a.b.c", "malformed"],
        [`${header}.${claims}`, "malformed"],
        [`${token}.`, "malformed"],
        [padded(2_048), "signature"],
        [padded(2_049), "malformed"],
        [signedWith(key!, good, { alg: "HS256", kid: key!.id }), "malformed"],
        [signedWith(key!, good, { kid: key!.id }), "malformed"],
        [signedWith({ ...key!, id: newPeerId() }, good), "unknown key"],
        [`${header}.${json(good)}.${signature}`, "signature"],
        [`${header}.${claims}.`, "signature"],
        [signedWith({ ...key!, secret: new Uint8Array(64) }, good), "signature"],
        [signedWith(key!, { ...good, sub: "x" }), "malformed"],
        [signedWith(key!, { sub }), "malformed"],
        [signedWith(key!, { ...good, exp: 0 }), "expired"]
      ] as const) {
        assert.strictEqual(yield* reasonOf(bad), reason, bad)
      }
      // old servers signed without the id of a key
      assert.deepStrictEqual(yield* tokens.verify(signedWith(key!, good, { alg: "HS512" })), Option.none())
    })
  )
})
