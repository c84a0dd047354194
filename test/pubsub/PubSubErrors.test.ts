import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Redacted, Schema } from "effect"
import * as BrokerPubSub from "../../src/pubsub/BrokerPubSub.ts"
import { errorsOf } from "../../src/pubsub/internal/brokerError.ts"
import { broken, ListenerError } from "../../src/pubsub/internal/listenerError.ts"
import * as NatsPubSub from "../../src/pubsub/NatsPubSub.ts"
import * as RedisPubSub from "../../src/pubsub/RedisPubSub.ts"
import { PubSubError } from "../../src/pubsub/PubSub.ts"
import { PubSubLatencyError } from "../../src/pubsub/PubSubLatency.ts"
import { PubSubWatchdogError } from "../../src/pubsub/PubSubWatchdog.ts"

describe("the errors of the pubsub", () => {
  it("are told apart by their tags, and say what failed", () => {
    const cause = new Error("why")
    const errors = [
      new PubSubError({ operation: "publish", channel: "a", cause }),
      new PubSubLatencyError({ send: Option.none(), cause }),
      new PubSubWatchdogError({ reason: "subscribe", cause }),
      new ListenerError({ reason: "silence" }),
      new ListenerError({ reason: "read only" }),
      new BrokerPubSub.BrokerError({ reason: "silence", detail: "the broker is silent" })
    ]

    assert.deepStrictEqual(
      errors.map(({ _tag, message }) => [_tag, message]),
      [
        ["PubSubError", "cannot publish on channel a"],
        ["PubSubLatencyError", "no message could be published"],
        ["PubSubWatchdogError", "cannot listen for heartbeats"],
        ["ListenerError", "the listening connection does not hear itself; is a transaction pooler in between?"],
        ["ListenerError", "the server of the listening connection became read-only"],
        ["BrokerError", "the broker is silent"]
      ]
    )
  })

  it("of a broker have one of these reasons", () => {
    const isReason = (reason: string) =>
      Exit.isSuccess(Schema.decodeUnknownExit(BrokerPubSub.BrokerError)({ _tag: "BrokerError", reason, detail: "why" }))
    const reasons = [
      "unreachable",
      "protocol",
      "credentials",
      "rights",
      "certificate",
      "version",
      "silence",
      "package",
      "settings"
    ]

    for (const reason of reasons) assert.isTrue(isReason(reason), reason)
    assert.isFalse(isReason("other"))
  })

  it("of a broker name the broker and what to do, and keep their cause", () => {
    const toError = errorsOf({ display: "nats://a:1", scheme: "nats" }, "mine")
    const cause = new Error("why")

    for (const [reason, ...texts] of [
      ["rights", "(why)", "begins with mine."],
      ["version", "(why)", "is too old"],
      ["silence", "its own messages"],
      ["unreachable", "(why)", "start it"],
      ["credentials", "(why)", "PUBSUB_CREDENTIALS_FILE"],
      ["certificate", "(why)", "PUBSUB_TLS_CA"],
      ["protocol", "(why)", "NATS"]
    ] as const) {
      const error = toError(reason, cause)
      assert.deepInclude(error, { reason, cause })
      for (const text of ["the broker nats://a:1", ...texts]) assert.include(error.message, text)
    }
  })

  it("of a connection are one error, also where the reason is such an error", () => {
    const silent = new ListenerError({ reason: "silence" })
    const cause = new Error("why")

    assert.strictEqual(broken(silent), silent)
    assert.deepInclude(broken(cause), { reason: "connection", cause })
    assert.strictEqual(broken(cause).message, "the listening connection cannot be opened or broke")
  })
})

describe("the layers of the pubsub over brokers", () => {
  it.live("fail when the broker cannot be reached [BK-05]", () =>
    Effect.gen(function* () {
      for (const [layer, address] of [
        [NatsPubSub.layer, "nats://127.0.0.1:1"],
        [RedisPubSub.layer, "redis://127.0.0.1:1"]
      ] as const) {
        const { reason } = yield* Effect.flip(Effect.scoped(Layer.build(layer({ url: Redacted.make(address) }))))
        assert.strictEqual(reason, "unreachable")
      }
    })
  )
})

describe("a pubsub over a broker", () => {
  const settings = {
    pubsubPrefix: "mine",
    pubsubCredentialsFile: undefined,
    pubsubTlsCa: undefined,
    pubsubTlsCert: undefined,
    pubsubTlsKey: undefined
  }
  const refusal = (url: string, more: Partial<BrokerPubSub.Settings> = {}) =>
    Effect.map(
      Effect.flip(Effect.scoped(BrokerPubSub.make({ ...settings, pubsubUrl: Redacted.make(url), ...more }))),
      ({ message }) => message
    )

  it.live("is one over the server that the address names, with the files of the settings [BK-05]", () =>
    Effect.gen(function* () {
      for (const scheme of ["nats", "redis"]) {
        const url = `${scheme}://127.0.0.1:1`
        assert.include(yield* refusal(url), `cannot reach the broker ${url}`)
        for (const [setting, name] of [
          ["pubsubCredentialsFile", "PUBSUB_CREDENTIALS_FILE"],
          ["pubsubTlsCa", "PUBSUB_TLS_CA"],
          ["pubsubTlsCert", "PUBSUB_TLS_CERT"],
          ["pubsubTlsKey", "PUBSUB_TLS_KEY"]
        ] as const) {
          assert.include(yield* refusal(url, { [setting]: "/nowhere" }), `the file of ${name} cannot be read`)
        }
      }
    })
  )
})
