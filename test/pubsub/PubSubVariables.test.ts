import { assert, it } from "@effect/vitest"
import { Redacted } from "effect"
import { backendOf } from "../../src/pubsub/PubSubVariables.ts"

it("the scheme of the URL of the pubsub chooses its kind of server, and none chooses Postgres", () => {
  const kinds = ["redis://a", "rediss://a", "nats://a", "tls://a"].map((url) => backendOf(Redacted.make(url)))

  assert.strictEqual(backendOf(undefined), "postgres")
  assert.deepStrictEqual(kinds, ["redis", "redis", "nats", "nats"])
})
