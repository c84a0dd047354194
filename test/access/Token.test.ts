import { NodeCrypto } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Redacted } from "effect"
import { Base64Url, Hex } from "effect/encoding"
import * as Crypto from "node:crypto"
import * as Util from "node:util"
import * as Token from "../../src/access/Token.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"

layer(NodeCrypto.layer)("Token", (it) => {
  it.effect("is 256 bits in 43 characters that an address and a header take as they are", () =>
    Effect.gen(function* () {
      const text = Redacted.value(yield* Token.mint)

      assert.match(text, /^[A-Za-z0-9_-]{43}$/)
      assert.strictEqual(encodeURIComponent(text), text)
      assert.strictEqual((yield* Effect.fromResult(Base64Url.decode(text))).length, 32)
    })
  )

  it.effect("is another one each time", () =>
    Effect.gen(function* () {
      const tokens = yield* Effect.replicateEffect(Token.mint, 100)

      assert.strictEqual(new Set(tokens.map(Redacted.value)).size, 100)
    })
  )

  it.effect("derives another token for each purpose, the same each time, which needs the token", () =>
    Effect.gen(function* () {
      const [token, other] = [yield* Token.mint, yield* Token.mint]
      const derived = (token: Token.Token, purpose: string) => Effect.map(Token.derive(token, purpose), Redacted.value)

      const text = yield* derived(token, "a purpose")

      assert.strictEqual(text, yield* derived(token, "a purpose"))
      // all but the version and the variant of a UUID
      const mac = Crypto.createHmac("sha256", Redacted.value(token)).update("a purpose").digest("hex").slice(0, 32)
      assert.match(text, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
      assert.strictEqual(
        text.replaceAll("-", "").replace(/^(.{12}).(.{3})./, "$1_$2_"),
        mac.replace(/^(.{12}).(.{3})./, "$1_$2_")
      )
      const others = [yield* derived(token, "another purpose"), yield* derived(other, "a purpose")]
      assert.strictEqual(new Set([text, Redacted.value(token), ...others]).size, 4)
      assert.notInclude(Util.inspect(yield* Token.derive(token, "a purpose")), text)
    })
  )

  it.effect("is one token in all forms of a UUID [HT-02]", () =>
    Effect.gen(function* () {
      const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
      const digest = (text: string) => Effect.map(Token.digest(Redacted.make(text)), Hex.encode)

      for (const form of [id.toUpperCase(), id.replaceAll("-", ""), `{${id}}`, `urn:uuid:${id}`]) {
        assert.strictEqual(yield* digest(form), yield* digest(id), form)
      }
      assert.notStrictEqual(yield* digest(`${id}0`), yield* digest(id))
    })
  )

  it.effect("is kept as its SHA-256 digest", () =>
    Effect.gen(function* () {
      const token = yield* Token.mint

      const digest = yield* Token.digest(token)

      assert.deepStrictEqual(
        Buffer.from(digest),
        Crypto.createHash("sha256").update(Redacted.value(token), "utf8").digest()
      )
    })
  )

  it.effect("shows in no log, no error and no inspection", () =>
    Effect.gen(function* () {
      const token = yield* Token.mint
      const logs: Array<LogRecord> = []

      yield* Effect.logInfo("shown", token, { token }).pipe(Effect.annotateLogs({ token }), collectLogs(logs))
      const shown = [
        JSON.stringify(logs),
        Util.inspect({ token }, { depth: 9, showHidden: true }),
        JSON.stringify({ token }),
        String(token),
        Cause.pretty(Cause.die({ token }))
      ].join("\n")

      assert.notInclude(shown, Redacted.value(token))
      assert.include(shown, "<redacted:token>")
    })
  )

  it.effect("has the same digest as itself and no other", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* Token.mint, yield* Token.mint]
      const digest = yield* Token.digest(one)

      assert.isTrue(Token.isSame(digest, yield* Token.digest(one)))
      assert.isFalse(Token.isSame(digest, yield* Token.digest(other)))
      assert.isFalse(Token.isSame(digest, digest.slice(0, 31)))
      assert.isFalse(Token.isSame(digest, new Uint8Array()))
    })
  )
})
