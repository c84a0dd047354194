/** The overview of a running service, over HTTP and on a terminal. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import type * as Token from "../../src/access/Token.ts"
import { ranges } from "../../src/operations/History.ts"
import { OverviewApi } from "../../src/operations/OverviewApi.ts"
import * as Status from "../../src/operations/Status.ts"
import { freePort } from "../support/freePort.ts"
import * as Console from "../support/console.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"

/** Requests of a user. */
const asking = Effect.fnUntraced(function* (token: Token.Token) {
  const { overview } = yield* HttpApiClient.make(OverviewApi, {
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(People.showing(token)))
  })
  return overview
})

layer(Service.layer, { excludeTestServices: true })("the overview", (it) => {
  it.effect("is the state of the service, once and live, for any user", () =>
    Effect.gen(function* () {
      const { token } = yield* People.user()
      const overviews = yield* asking(token)

      const overview = yield* overviews.overview()
      const events = yield* Stream.runCollect(Stream.take(Stream.unwrap(overviews.watch()), 4))

      assert.strictEqual(overview.totals.rows, 0)
      assert.deepStrictEqual(
        events.map(({ event }) => event),
        ["history", "overview", "overview", "overview"]
      )
      const [, , second, third] = events
      assert.isTrue(second?.event === "overview" && third?.event === "overview")
      if (second?.event === "overview" && third?.event === "overview") {
        assert.isAbove(third.data.point.at, second.data.point.at)
      }
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("the history", (it) => {
  it.effect("is there in each range, and in no other [LF-35]", () =>
    Effect.gen(function* () {
      const { token } = yield* People.user()
      const overviews = yield* asking(token)

      for (const range of ranges) assert.isNotEmpty(yield* overviews.history({ query: { range } }))
      const { status } = yield* HttpClient.get("/api/v2/dashboard/history?range=2h", {
        headers: People.showing(token)
      })
      assert.strictEqual(status, 400)
    })
  )
})

// a service of its own, because one that was asked before shares its points for a while
layer(Service.layer, { excludeTestServices: true })("the history of several replicas", (it) => {
  it.effect("of hours is of all replicas, and of the time before this one started [LF-42]", () =>
    Effect.gen(function* () {
      const { token } = yield* People.user()
      const overviews = yield* asking(token)
      const sql = yield* PgClient.PgClient
      yield* sql`
        INSERT INTO replica_points (at, replica, agents, updates, rows, statements, notifies, pending, queued)
        SELECT now() - interval '5 hours', replica, 20, 30, 10, 1, 1, 0, 0 FROM unnest(ARRAY['a:1', 'b:1']) AS replica`

      for (const range of ["6h", "1d"] as const) {
        const [first] = yield* overviews.history({ query: { range } })
        assert.deepStrictEqual([first?.agents, first?.updates], [40, 60], range)
      }
      const [first] = yield* overviews.history({ query: { range: "1h" } })
      assert.strictEqual(first?.agents, 0)
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("the status on a terminal", (it) => {
  it.effect("shows the figures of the dashboard", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.user()
      const out = yield* Console.watched

      yield* out.printing(Status.run({ url: `${url}/`, token }))

      assert.match(yield* out.next, /^healthy, up for \d.*\n  agents connected +0\n/)
    })
  )

  it.effect("is rejected without a user's token, and unknown where there is no service, and both say what to do", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent()
      const port = yield* freePort
      const refused = yield* Effect.flip(Status.run({ url, token }))
      const unknown = yield* Effect.flip(Status.run({ url: `http://127.0.0.1:${port}`, token }))

      assert.strictEqual(
        refused.message,
        `the service at ${url} refuses the token: set ADMIN_TOKEN, or --token, to that of a user`
      )
      assert.strictEqual(
        unknown.message,
        `the service at http://127.0.0.1:${port} says nothing of its state (connect ECONNREFUSED 127.0.0.1:${port}): start one, or set --url`
      )
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("the status of a service that is not healthy", (it) => {
  it.effect("is a failure, which names what is wrong", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.user()
      const out = yield* Console.watched
      const sql = yield* PgClient.PgClient
      yield* sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%listener'`
      yield* Effect.repeat(
        Effect.flatMap(asking(token), (overviews) => overviews.overview()),
        { until: ({ problems }) => problems.includes("1 listening connections lost") }
      )

      const failed = yield* Effect.flip(out.printing(Status.run({ url, token })))

      assert.match(yield* out.next, /^needs attention/)
      assert.match(failed.message, /^the service needs attention\n.*1 listening connections lost/s)
    })
  )
})
