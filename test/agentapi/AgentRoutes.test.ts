/** Where agents connect, over real WebSockets, with a batcher and tokens under the control of the test. */
import { NodeCrypto, NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Queue } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import { createServer } from "node:http"
import * as Access from "../../src/access/Access.ts"
import type { AccessStore } from "../../src/access/AccessStore.ts"
import * as AgentRoutes from "../../src/agentapi/AgentRoutes.ts"
import { MetadataBatcher } from "../../src/batcher/MetadataBatcher.ts"
import type { MetadataEntry } from "../../src/domain/Metadata.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as Defects from "../../src/telemetry/Defects.ts"
import { layerPorts } from "../support/agentApi.ts"
import * as Fake from "../support/accessStore.ts"
import * as Agent from "../support/agent.ts"
import { showing } from "../support/directory.ts"
import { identity } from "../support/identity.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { agent } from "../support/metadataBatcher.ts"

const [token, other] = [Fake.token("of agent 1"), Fake.token("of agent 2")]

const known = Fake.layer({
  agents: [
    [token, identity(agent(1))],
    [other, identity(agent(2))]
  ]
})

/** Serves agents for as long as the test runs. */
const serve = Effect.fnUntraced(function* (
  store: Layer.Layer<AccessStore>,
  add: (entries: ReadonlyArray<MetadataEntry>) => Effect.Effect<number>
) {
  const logs: Array<LogRecord> = []
  const services = yield* Layer.build(
    HttpRouter.serve(AgentRoutes.layer(), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" })),
      Layer.provide(Access.layer),
      Layer.provide([
        store,
        layerPorts,
        PubSub.layerMemory,
        NodeCrypto.layer,
        Defects.layer,
        Layer.succeed(MetadataBatcher, {
          add: (_, entries) => add(entries),
          flush: Effect.void,
          pending: Effect.succeed(0)
        })
      ])
    )
  ).pipe(collectLogs(logs))
  return { url: NetAddress.formatUrlUnsafe(Context.get(services, HttpServer.HttpServer).address), logs }
})

const frame = (id: string, key: string) => Agent.report(id, Agent.sample(key, "a value"))

describe("AgentRoutes", () => {
  it.effect("answers a defect to the call that died, logs it, and leaves the calls beside it alone [MR-09]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { logs, url } = yield* serve(known, (entries) =>
        entries[0]?.key === "slow"
          ? Effect.as(Deferred.await(gate), 0)
          : entries[0]?.key === "bad"
            ? Effect.die(new Error("the batcher is broken"))
            : Effect.succeed(0)
      )
      const connection = yield* Agent.connect(url, showing(token))
      const neighbour = yield* Agent.connect(url, showing(other))

      yield* connection.send(frame("slow", "slow"))
      assert.deepStrictEqual(
        yield* Agent.exchange(connection, frame("bad", "bad")),
        Agent.died("bad", { name: "Error", message: "the batcher is broken" })
      )
      for (const healthy of [connection, neighbour]) {
        assert.deepStrictEqual(yield* Agent.exchange(healthy, frame("good", "good")), Agent.accepted("good"))
      }
      yield* Deferred.succeed(gate, undefined)

      assert.deepStrictEqual(JSON.parse(yield* Queue.take(connection.messages)), Agent.accepted("slow"))
      assert.deepStrictEqual(
        logs.filter(({ level }) => level === "Error").map(({ message }) => message),
        ["a request died"]
      )
      assert.notInclude(JSON.stringify(logs), "a value")
    })
  )

  it.effect("interrupts the calls of a connection that ends", () =>
    Effect.gen(function* () {
      const began = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const { url } = yield* serve(known, () =>
        Effect.andThen(Deferred.succeed(began, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      )
      const connection = yield* Agent.connect(url, showing(token))

      yield* connection.send(frame("1", "any"))
      yield* Deferred.await(began)
      yield* connection.close

      yield* Deferred.await(interrupted)
    })
  )

  it.effect("answers 503 before any upgrade while tokens cannot be looked up, and 401 to whoever shows none", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(Fake.layerAway, () => Effect.succeed(0))

      const refused = yield* Effect.flip(Agent.connect(url, showing(token)))
      assert.strictEqual(refused.status, 503)
      assert.deepStrictEqual(JSON.parse(refused.body), {
        _tag: "AccessUnavailable",
        message: "tokens cannot be looked up now"
      })
      assert.strictEqual((yield* Effect.flip(Agent.connect(url))).status, 401)
    })
  )
})
