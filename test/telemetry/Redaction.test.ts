import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Redaction from "../../src/telemetry/Redaction.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const secret = "p@ss/w0rd-0123456789"

describe("Redaction", () => {
  it("takes secrets out of texts", () => {
    for (const text of [
      `Authorization: Bearer ${secret}`,
      `{"authorization":"Basic ${secret}"}`,
      `Coder-Session-Token: ${secret}`,
      `GET /api/v2/watch?coder_session_token=${secret}&after=1`,
      `ready at http://127.0.0.1:3000/#token=${secret}`,
      `cannot connect to postgresql://ada:${secret}@db:5432/app?sslmode=require`,
      `ADMIN_TOKEN=${secret}`,
      `password: "${secret}"`,
      `cookie: a=${secret}; b=${secret}`,
      `api-key = ${secret}`,
      `it was sent bearer ${secret}`
    ]) {
      const redacted = Redaction.text(text)
      assert.notInclude(redacted, "w0rd", text)
      assert.include(redacted, "<redacted>")
    }
  })

  it("leaves what is around them", () => {
    assert.strictEqual(
      Redaction.text(`cannot connect to postgresql://ada:${secret}@db:5432/app?password=${secret}&sslmode=require`),
      "cannot connect to postgresql://ada:<redacted>@db:5432/app?password=<redacted>&sslmode=require"
    )
  })

  it("leaves texts without secrets alone", () => {
    for (const text of [
      "metadata was dropped",
      "password authentication failed for user ada",
      "listening on http://127.0.0.1:3000/docs",
      "2 tokens, 3 cookies and a basic idea",
      "agents: 12, key: cpu, cause: Error: the database took too long at 10:20:30"
    ]) {
      assert.strictEqual(Redaction.text(text), text)
    }
  })

  it("replaces what stands under the name of a secret, however deep", () => {
    assert.deepStrictEqual(
      Redaction.deep({
        agentId: "1",
        tokens: 3,
        request: { headers: { "coder-session-token": secret, cookie: [secret], accept: "*/*" } },
        tried: [`Bearer ${secret}`, null, true]
      }),
      {
        agentId: "1",
        tokens: 3,
        request: { headers: { "coder-session-token": "<redacted>", cookie: "<redacted>", accept: "*/*" } },
        tried: ["Bearer <redacted>", null, true]
      }
    )
  })

  it("comes to an end with what holds itself, and with long texts", () => {
    const loop: { self?: unknown; name: string } = { name: "loop" }
    loop.self = loop
    assert.include(JSON.stringify(Redaction.deep(loop)), "…")
    for (const part of ["://a:", "token", "authorization", "bearer ", "token="]) {
      assert.isString(Redaction.text(part.repeat(20_000)))
    }
  })

  const Words = Schema.Array(
    Schema.Literals(["the", "agent", "reported", "12", "keys,", "key:", "(late)", "é😀", "a=b"])
  )
  const Key = Schema.Array(Schema.Literals(["a", "Z", "0", "-", "_", ".", "~", "%2F", "+"])).check(
    Schema.isMinLength(8)
  )
  const forms: ReadonlyArray<(secret: string) => string> = [
    (secret) => `Authorization: Bearer ${secret}\n`,
    (secret) => `{"authorization":"Basic ${secret}"}`,
    (secret) => `cookie: session=${secret}\r\n`,
    (secret) => `Coder-Session-Token: ${secret}`,
    (secret) => `GET /watch?coder_session_token=${secret}&after=1`,
    (secret) => `postgresql://ada:${secret}@db:5432/app`,
    (secret) => `{"password": "${secret}"}`,
    (secret) => `API_KEY=${secret}`,
    (secret) => `bearer ${secret}`
  ]

  it.prop(
    "takes a secret out of every text, in every form, and leaves the words around it",
    { before: Words, after: Words, key: Key },
    ({ after, before, key }) => {
      const secret = `s3cr3t${key.join("")}`
      for (const form of forms) {
        const redacted = Redaction.text(`${before.join(" ")} ${form(secret)} ${after.join(" ")}`)

        assert.notInclude(redacted, "s3cr3t")
        assert.include(redacted, "<redacted>")
        assert.isTrue(redacted.startsWith(before.join(" ")), redacted)
        assert.isTrue(redacted.endsWith(after.join(" ")), redacted)
      }
    }
  )

  it.prop(
    "changes nothing a second time, and no text without a secret",
    { words: Words, any: Schema.String },
    (texts) => {
      const words = texts.words.join(" ")
      const once = Redaction.text(texts.any)

      assert.strictEqual(Redaction.text(words), words)
      assert.strictEqual(Redaction.text(once), once)
    }
  )

  const Names = Schema.Literals([
    "token",
    "adminToken",
    "PASSWORD",
    "passwd",
    "secret",
    "api_key",
    "api-key",
    "cookie",
    "authorization"
  ])

  it.prop(
    "takes secrets out of values under their names, however deep",
    { depth: upTo(7), name: Names, key: Key },
    (given) => {
      const secret = `s3cr3t${given.key.join("")}`
      const nested = Array.from({ length: given.depth }).reduce<unknown>(
        (value, _, index) => (index % 2 === 0 ? [value] : { value }),
        {
          [given.name]: secret,
          kept: 1
        }
      )

      const redacted = JSON.stringify(Redaction.deep(nested))
      assert.notInclude(redacted, "s3cr3t")
      assert.include(redacted, `"kept":1`)
    }
  )
})
