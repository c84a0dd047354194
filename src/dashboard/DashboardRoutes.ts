/**
 * The dashboard over HTTP: its page at `/`, and the handlers of {@link DashboardApi}.
 *
 * - The page and its parts need no token and hold no data. Everything else takes the token of a user, who sees the overview
 *   and their own agents, and as an administrator all agents.
 * - The page loads and reaches nothing but its own origin, cannot be framed, and runs no script but its own file: its
 *   Content-Security-Policy allows neither inline scripts nor text that becomes a script.
 */
import { Effect, Layer, Option } from "effect"
import { HttpRouter } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Access } from "../access/Access.ts"
import { AgentNotFound } from "../access/AccessError.ts"
import * as Authentication from "../access/Authentication.ts"
import { layerRequestValidation } from "../platform/ErrorResponse.ts"
import { AgentCatalog } from "./AgentCatalog.ts"
import { failWith } from "../domain/StoreError.ts"
import * as StaticContent from "../platform/StaticContent.ts"
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
          const found = yield* Effect.catch(catalog.find(agent), unavailable).pipe(
            Effect.annotateLogs({ agentId: agent })
          )
          if (Option.isSome(found)) return found.value
          return yield* new AgentNotFound({ message: `there is no agent ${agent}` })
        })
      )
  })
)

const api = HttpApiBuilder.layer(DashboardApi).pipe(
  Layer.provide(handlers),
  Layer.provide([Authentication.layerReader, layerRequestValidation])
)

const headers = StaticContent.pageHeaders({
  sources: ["script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:"],
  restrictions: ["require-trusted-types-for 'script'", "trusted-types 'none'"]
})

const serve = ({ content, path, type, zipped }: Assets.Asset) =>
  HttpRouter.route(
    "GET",
    path,
    StaticContent.handler(
      content,
      // a changed part has a changed address
      { type, headers, cacheControl: path === "/" ? "no-cache" : "public, max-age=31536000, immutable" },
      zipped
    )
  )

const page = HttpRouter.addAll(Effect.map(Assets.load, (assets) => assets.map(serve)))

export const layer = Layer.merge(api, page)

const unavailable = failWith((message) => new AgentsUnavailable({ message }))
