import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Redacted } from "effect"
import type { Variable } from "../../src/domain/SettingVariable.ts"
import { backendOf, variables } from "../../src/pubsub/PubSubVariables.ts"

const accepts = ({ config, name }: Variable<unknown>, text: string) =>
  Exit.isSuccess(Effect.runSyncExit(config.parse(ConfigProvider.fromUnknown({ [name]: text }))))

it("the scheme of the URL of the pubsub chooses its kind of server, and none chooses Postgres", () => {
  const kinds = ["redis://a", "rediss://a", "nats://a", "tls://a"].map((url) => backendOf(Redacted.make(url)))

  assert.strictEqual(backendOf(undefined), "postgres")
  assert.deepStrictEqual(kinds, ["redis", "redis", "nats", "nats"])
})

describe("the settings of the pubsub", () => {
  it("take the addresses of NATS, Redis and Valkey, and no others", () => {
    const isAddress = (url: string) => accepts(variables.pubsubUrl, url)

    for (const url of ["nats://a", "tls://a", "redis://a", "rediss://a", "nats://u:p@a:1,b"])
      assert.isTrue(isAddress(url), url)
    for (const url of ["a", "http://a", "xnats://a", " tls://a", "redisss://a", "nats:/a", "natsx://a", "redis//a"]) {
      assert.isFalse(isAddress(url), url)
    }
    assert.isTrue(variables.pubsubUrl.isSecret)
  })

  it("take a prefix of letters, digits, _ and -, in parts with dots between them", () => {
    const isPrefix = (prefix: string) => accepts(variables.pubsubPrefix, prefix)

    for (const prefix of ["a", "mine", "a-b_C9", "a.b", "a.b.c", "one.two-3"]) assert.isTrue(isPrefix(prefix), prefix)
    for (const prefix of ["", ".", "a.", ".a", "a..b", "a b", "a*", "*a", "a.b>", "a.>b", "é"]) {
      assert.isFalse(isPrefix(prefix), prefix)
    }
  })
})
