/**
 * The dashboard over HTTP: its page at `/`, and what the page asks for.
 *
 * - The page and its parts need no token, and hold nothing that does. All else takes that of a user: what the service
 *   does everyone may see, of agents each their own, administrators all.
 * - The page may load and reach nothing but its own origin, may be framed by nobody, and runs no script but its own file:
 *   its Content-Security-Policy allows none in text, and no text to become one.
 */
import { Effect, Layer, Option } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import { Access } from "../access/Access.ts"
import { AgentNotFound } from "../access/AccessError.ts"
import * as Authentication from "../access/Authentication.ts"
import { AgentCatalog } from "./AgentCatalog.ts"
import type { StoreError } from "../domain/StoreError.ts"
import * as Assets from "./Assets.ts"
import { AgentsUnavailable, DashboardApi, maxPage } from "./DashboardApi.ts"

const handlers = HttpApiBuilder.group(
  DashboardApi,
  "dashboard",
  Effect.fnUntraced(function* (handlers) {
    const access = yield* Access
    const catalog = yield* AgentCatalog

    return handlers
      .handle("viewer", () =>
        Authentication.CurrentUser.useSync(({ isAdmin, username }) => ({ username, is_admin: isAdmin }))
      )
      .handle(
        "agents",
        Effect.fnUntraced(function* ({ query: { limit, offset, order, search, sort } }) {
          return yield* catalog
            .list(yield* Authentication.CurrentUser, {
              search: search ?? "",
              sort: sort ?? "name",
              order: order ?? "asc",
              offset: offset ?? 0,
              limit: limit ?? maxPage
            })
            .pipe(Effect.catch(unavailable))
        })
      )
      .handle(
        "agent",
        Effect.fnUntraced(function* ({ params: { agent } }) {
          yield* access.mayRead(yield* Authentication.CurrentUser, agent)
          const found = yield* Effect.catch(catalog.find(agent), unavailable)
          if (Option.isSome(found)) return found.value
          return yield* new AgentNotFound({ message: `there is no agent ${agent}` })
        })
      )
  })
)

const api = HttpApiBuilder.layer(DashboardApi).pipe(
  Layer.provide(handlers),
  Layer.provide([Authentication.layerReader, HttpApiMiddleware.layerProblemDetails({ includeDetails: true })])
)

const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'"
].join("; ")

const security = {
  "content-security-policy": contentSecurityPolicy,
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}

const serve = (asset: Assets.Asset) =>
  HttpRouter.route(
    "GET",
    asset.path,
    HttpServerRequest.HttpServerRequest.useSync(({ headers }) => {
      const isZipped = /\bgzip\b/.test(headers["accept-encoding"] ?? "")
      return HttpServerResponse.uint8Array(isZipped ? asset.zipped : asset.content, {
        contentType: asset.type,
        headers: {
          ...security,
          // a part has another address when it is another one
          "cache-control": asset.path === "/" ? "no-cache" : "public, max-age=31536000, immutable",
          vary: "accept-encoding",
          ...(isZipped ? { "content-encoding": "gzip" } : {})
        }
      })
    })
  )

const page = HttpRouter.addAll(Effect.map(Assets.load, (assets) => assets.map(serve)))

export const layer = Layer.merge(api, page)

const unavailable = (error: StoreError) =>
  Effect.andThen(
    Effect.logError(error.message, error.cause),
    Effect.fail(new AgentsUnavailable({ message: `${error.message} now` }))
  )
