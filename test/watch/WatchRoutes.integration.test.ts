/** Watching and reading agents of a running service that report over the real RPC. */
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import * as Token from "../../src/access/Token.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import { currentSubscribers } from "../../src/pubsub/PubSubMetrics.ts"
import type { WatchEvent } from "../../src/watch/MetadataWatch.ts"
import { WatchApi } from "../../src/watch/WatchApi.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import { newId } from "../support/seed.ts"
import * as Service from "../support/service.ts"
import * as Watcher from "../support/watcher.ts"

const ways: ReadonlyArray<readonly [way: string, watch: Watcher.Watch]> = [
  ["by server-sent events", Watcher.overEvents],
  ["over a WebSocket", Watcher.overWebSocket]
]

const values = (event: WatchEvent) =>
  event.type === "data"
    ? Object.fromEntries(event.data.map(({ description, result }) => [description.key, result.value]))
    : event

/** An agent that can report, with the headers of those who may read it. */
const reporting = Effect.fnUntraced(function* (...keys: ReadonlyArray<string>) {
  const { url } = yield* Service.TestService
  const { id, owner, token } = yield* People.agent(...keys)
  const { BatchUpdateMetadata } = yield* Agent.client(url, People.showing(token))
  return {
    id,
    token,
    owner,
    report: (key: string, value: string) => BatchUpdateMetadata({ metadata: [Agent.sample(key, value)] })
  }
})

/** The address of a token that is shown in the address. */
const search = (token: Token.Token) => `?${Token.parameter}=${Redacted.value(token)}`

layer(Service.layer, { excludeTestServices: true })("a watcher", (it) => {
  for (const [way, watch] of ways) {
    it.effect(`sees what an agent reports, ${way}, and what it had reported before [WA-01, WA-02]`, () =>
      Effect.gen(function* () {
        const { id, owner, report } = yield* reporting("cpu", "disk")
        yield* report("cpu", "1 %")

        const { next } = yield* watch(id, People.showing(owner.token))
        const reached = (cpu: string, disk: string) =>
          Effect.repeat(Effect.map(next, values), {
            until: (value) => "cpu" in value && value["cpu"] === cpu && value["disk"] === disk
          })

        yield* reached("1 %", "")
        yield* report("disk", "7 GB")
        yield* reached("1 %", "7 GB")
      })
    )
  }

  it.effect("gets the same envelopes either way, whose data is that of a single read [WA-01, WA-02]", () =>
    Effect.gen(function* () {
      const { id, owner } = yield* reporting("cpu", "disk")
      const headers = People.showing(owner.token)

      const events = yield* (yield* Watcher.overEvents(id, headers)).next
      const webSocket = yield* (yield* Watcher.overWebSocket(id, headers)).next
      const read = yield* Effect.flatMap(
        HttpClient.get(Watcher.pathOf(id, "metadata"), { headers }),
        ({ json }) => json
      )

      // ages aside, which are whole seconds since the year 1
      const ageless = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll(/"age":\d+,/g, ""))
      assert.deepStrictEqual(ageless(events), ageless(webSocket))
      assert.deepStrictEqual(ageless(events), { type: "data", data: ageless(read) })
      assert.deepStrictEqual(ageless(read), [
        {
          result: { collected_at: "0001-01-01T00:00:00.000Z", value: "", error: "" },
          description: { display_name: "CPU", key: "cpu", script: "measure cpu", interval: 10, timeout: 2 }
        },
        {
          result: { collected_at: "0001-01-01T00:00:00.000Z", value: "", error: "" },
          description: { display_name: "DISK", key: "disk", script: "measure disk", interval: 10, timeout: 2 }
        }
      ])
    })
  )

  it.effect("gets events that browsers understand and proxies do not hold back [WA-01]", () =>
    Effect.gen(function* () {
      const { id, owner } = yield* reporting("cpu")

      const response = yield* HttpClient.get(Watcher.pathOf(id, "watch-metadata"), {
        headers: People.showing(owner.token)
      })
      const first = yield* response.stream.pipe(Stream.decodeText, Stream.take(1), Stream.mkString)

      assert.strictEqual(response.status, 200)
      assert.deepInclude(response.headers, {
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        "x-accel-buffering": "no"
      })
      assert.match(first, /^event: data\ndata: \[\{.*\}\]\n\n$/)
    })
  )

  it.effect("gets typed events through the client of the contract [WA-01]", () =>
    Effect.gen(function* () {
      const { id, owner, report } = yield* reporting("cpu")
      const api = yield* HttpApiClient.make(WatchApi, {
        transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(People.bearer(owner.token)))
      })

      const events = yield* api.watch.watch({ params: { agent: id } })
      yield* report("cpu", "5 %")
      const news = yield* events.pipe(
        Stream.filter(({ data, event }) => event === "data" && data[0]?.result.value === "5 %"),
        Stream.runHead
      )

      assert.strictEqual(news._tag, "Some")
      const [cpu] = yield* api.watch.read({ params: { agent: id } })
      assert.strictEqual(cpu?.result.value, "5 %")
      const stranger = yield* Effect.flip(api.watch.read({ params: { agent: newId(AgentId) } }))
      assert.strictEqual(stranger._tag, "AgentNotFound")
    })
  )

  for (const [way, watch] of ways) {
    it.effect(`is unsubscribed when it leaves, ${way} [WA-01, WA-02, WA-17]`, () =>
      Effect.gen(function* () {
        const { logged, metric } = yield* Service.TestService
        const { id, owner } = yield* reporting("cpu")
        const headers = People.showing(owner.token)
        const [one, other] = [yield* watch(id, headers), yield* watch(id, headers)]
        // that of all watchers, that of revocations, the tailnet's, the watchdog's and that of the figures of replicas
        assert.strictEqual(metric(currentSubscribers).value, 5)

        yield* one.leave
        yield* logged("metadata watcher left", id)
        assert.strictEqual(metric(currentSubscribers).value, 5)
        yield* other.leave
        yield* logged("metadata watcher left", id)
        assert.strictEqual(metric(currentSubscribers).value, 4)
      })
    )
  }
})

layer(Service.layer, { excludeTestServices: true })("readers of an agent", (it) => {
  /** The statuses of the three ways to read. */
  const statuses = Effect.fnUntraced(function* (id: string, headers: Record<string, string>, search = "") {
    const response = yield* HttpClient.get(Watcher.pathOf(id, `metadata${search}`), { headers })
    const status = (watch: Watcher.Watch) =>
      Effect.scoped(
        Effect.match(watch(id, headers, search), { onFailure: ({ status }) => status, onSuccess: () => 200 })
      )
    return {
      statuses: [response.status, yield* status(Watcher.overEvents), yield* status(Watcher.overWebSocket)],
      body: yield* response.text
    }
  })

  it.effect("is its owner or an administrator, with a token in a header or in the address [WA-23]", () =>
    Effect.gen(function* () {
      const { id, owner } = yield* People.agent("cpu")
      const admin = yield* People.user({ isAdmin: true })

      for (const { token } of [owner, admin]) {
        for (const headers of [People.showing(token), People.bearer(token)]) {
          assert.deepStrictEqual((yield* statuses(id, headers)).statuses, [200, 200, 200])
        }
        assert.deepStrictEqual((yield* statuses(id, {}, search(token))).statuses, [200, 200, 200])
      }
    })
  )

  it.effect(
    "is allowed alone: for other users the agent does not exist, and without a token there is a 401 [WA-23]",
    () =>
      Effect.gen(function* () {
        const { id, token } = yield* People.agent("cpu")
        const stranger = yield* People.user()
        const missing = newId(AgentId)

        const hidden = yield* statuses(id, People.showing(stranger.token))
        assert.deepStrictEqual(hidden.statuses, [404, 404, 404])
        for (const { body, statuses: answers } of [
          yield* statuses(missing, People.showing(stranger.token)),
          yield* statuses(missing, People.showing((yield* People.user({ isAdmin: true })).token))
        ]) {
          assert.deepStrictEqual(answers, [404, 404, 404])
          assert.strictEqual(body, hidden.body.replace(id, missing))
        }
        for (const headers of [{}, People.showing(yield* Token.mint), People.showing(token), People.bearer(token)]) {
          assert.deepStrictEqual((yield* statuses(id, headers)).statuses, [401, 401, 401])
        }
        assert.deepStrictEqual((yield* statuses(id, {}, search(token))).statuses, [401, 401, 401])
      })
  )

  it.effect("does not administer with a token in the address [WA-23]", () =>
    Effect.gen(function* () {
      const { token } = yield* People.user({ isAdmin: true })

      assert.strictEqual((yield* HttpClient.get(`/api/v2/users${search(token)}`)).status, 401)
      assert.strictEqual((yield* HttpClient.get("/api/v2/users", { headers: People.showing(token) })).status, 200)
    })
  )

  it.effect("gets the problem of an id, and the address of the WebSocket", () =>
    Effect.gen(function* () {
      const { id, owner } = yield* People.agent("cpu")
      const headers = People.showing(owner.token)

      const wrong = yield* statuses("agent-1", headers)
      assert.deepStrictEqual(wrong.statuses, [400, 400, 400])
      assert.deepInclude(JSON.parse(wrong.body), {
        validations: [{ field: "agent", detail: "Expected a UUID" }]
      })

      assert.deepStrictEqual((yield* statuses(id.toUpperCase(), headers)).statuses, [200, 200, 200])

      const plain = yield* HttpClient.get(Watcher.pathOf(id, "watch-metadata-ws"), { headers })
      assert.strictEqual(plain.status, 426)
      assert.strictEqual(plain.headers["upgrade"], "websocket")
    })
  )
})
