/** The page of metrics where it takes a token, and where clients take it slowly. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { HttpClient } from "effect/http"
import * as MetricsPage from "../../src/operations/MetricsPage.ts"
import { ForwardedMetrics } from "../../src/usage/ForwardedMetrics.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"

const adminToken = "an-administrators-token"

layer(Service.layerWith({ METRICS_ACCESS: "token", ADMIN_TOKEN: adminToken }), { excludeTestServices: true })(
  "metrics that take a token",
  (it) => {
    it.effect("are for administrators, with the token of the settings or one of their own [FT-37]", () =>
      Effect.gen(function* () {
        const admin = yield* People.user({ isAdmin: true })
        const user = yield* People.user()
        const status = (headers: Readonly<Record<string, string>>) =>
          Effect.map(HttpClient.get("/metrics", { headers }), ({ status }) => status)

        assert.strictEqual(yield* status({}), 401)
        assert.strictEqual(yield* status({ authorization: "Bearer nobodys-token" }), 401)
        assert.strictEqual(yield* status(People.bearer(user.token)), 403)
        assert.strictEqual(yield* status(People.bearer(admin.token)), 200)
        assert.strictEqual(yield* status(People.showing(admin.token)), 200)
        assert.strictEqual(yield* status({ authorization: `Bearer ${adminToken}` }), 200)
      })
    )
  }
)

describe("a page of metrics", () => {
  it("takes a token by default where other machines reach the service [FT-37]", () => {
    for (const host of ["127.0.0.1", "127.1.2.3", "localhost", "::1"]) assert.isTrue(MetricsPage.isLoopback(host), host)
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "example.com", "127.evil.example"]) {
      assert.isFalse(MetricsPage.isLoopback(host), host)
    }
  })

  it.effect("is held twice at most, however many clients take it slowly [FT-07]", () =>
    Effect.gen(function* () {
      let made = 0
      const { pieces } = yield* MetricsPage.make.pipe(
        Effect.provide(
          Layer.mock(ForwardedMetrics)({
            reports: () =>
              Effect.sync(() => [
                { agent: "", age: 0, families: [{ name: "pages", type: "GAUGE" as const, lines: `page ${++made}end` }] }
              ])
          })
        )
      )
      const slow = Effect.forEach([1, 2, 3, 4, 5, 6], () =>
        Effect.forkScoped(
          Stream.runForEach(pieces, () => Effect.never),
          { startImmediately: true }
        )
      )

      yield* Effect.scoped(slow)
      assert.strictEqual(made, MetricsPage.maxPages)

      const text = yield* Stream.mkString(Stream.decodeText(pieces))
      assert.include(text, `page ${MetricsPage.maxPages + 1}end`)
    })
  )
})
