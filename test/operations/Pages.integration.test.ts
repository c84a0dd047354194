/** The guide, the documentation of the API and the other pages that anyone may read. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import * as Service from "../support/service.ts"

layer(Service.layer, { excludeTestServices: true })("the pages of a service", (it) => {
  it.effect("show the description as a page without scripts, that loads nothing and shares no storage [LF-18]", () =>
    Effect.gen(function* () {
      const response = yield* HttpClient.get("/docs/api")
      const html = yield* response.text

      assert.include(response.headers["content-type"], "text/html")
      assert.include(html, "<title>metadata-batcher: the HTTP API</title>")
      assert.include(html, "/api/v2/workspaceagents/me/rpc")
      assert.notMatch(html, /<(script|link|img|iframe)|src=|https?:/)
      const policy = response.headers["content-security-policy"]
      assert.match(policy!, /^default-src 'none'; style-src 'sha256-[^']+'; .*; sandbox$/)
    })
  )

  it.effect("show the guide as a page without scripts, whose links lead to what is there [LF-38]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const response = yield* HttpClient.get("/docs")
      const html = yield* response.text

      assert.include(html, "<title>metadata-batcher: operating the service</title>")
      assert.notMatch(html, /<(script|link|img|iframe)|src=/)
      assert.match(
        response.headers["content-security-policy"]!,
        /^default-src 'none'; style-src 'sha256-[^']+'; .*; sandbox$/
      )
      const links = [...html.matchAll(/ href="([^"]+)"/g)].map(([, link]) => link!)
      assert.includeMembers(links, ["#production", "docs/api", "docs/deploy/nginx.conf", "docs/deploy/alerts.yaml"])
      for (const link of links) {
        if (link.startsWith("#")) assert.include(html, ` id="${link.slice(1)}"`)
        else assert.strictEqual((yield* HttpClient.get(new URL(link, `${url}/docs`).pathname)).status, 200, link)
      }
    })
  )

  it.effect("are compressed, and sent again only when they have changed [LF-19]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      for (const path of ["/docs", "/docs/api", "/openapi.json", "/"]) {
        const first = yield* Effect.promise(() => fetch(`${url}${path}`))
        assert.strictEqual(first.headers.get("content-encoding"), "gzip", path)
        const content = yield* Effect.promise(() => first.arrayBuffer())
        const plain = yield* Effect.promise(() =>
          fetch(`${url}${path}`, { headers: { "accept-encoding": "identity" } })
        )
        assert.isNull(plain.headers.get("content-encoding"), path)
        assert.deepStrictEqual(yield* Effect.promise(() => plain.arrayBuffer()), content)

        const etag = first.headers.get("etag")!
        for (const tags of [etag, `W/${etag}`, `"other", ${etag}`]) {
          const again = yield* Effect.promise(() => fetch(`${url}${path}`, { headers: { "if-none-match": tags } }))
          assert.deepStrictEqual([again.status, yield* Effect.promise(() => again.text())], [304, ""], path)
        }
      }
    })
  )

  it.effect("take no other method than to be read [LF-20]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      for (const path of ["/", "/docs", "/docs/api", "/openapi.json", "/metrics", "/healthz", "/readyz"]) {
        const response = yield* Effect.promise(() => fetch(`${url}${path}`, { method: "PUT" }))
        assert.deepStrictEqual([response.status, response.headers.get("allow")], [405, "GET, HEAD"], path)
        assert.strictEqual((yield* Effect.promise(() => fetch(`${url}${path}`, { method: "HEAD" }))).status, 200, path)
      }
    })
  )
})
