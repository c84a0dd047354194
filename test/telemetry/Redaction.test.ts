import { assert, describe, it } from "@effect/vitest"
import * as Redaction from "../../src/telemetry/Redaction.ts"

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
})
