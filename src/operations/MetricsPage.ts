/**
 * The page at `/metrics`: the metrics of the service, then those that agents report.
 *
 * - A page is made for each request, in pieces that are sent as the client takes them. While {@link maxPages} pages are
 *   being taken, further requests get the newest of them: slow clients cannot make the service hold more.
 * - Outside loopback the page takes the token of an administrator, because it names users and workspaces. The token of the
 *   settings is known without the database.
 */
import { Effect, Stream } from "effect"
import { Digest } from "effect/crypto"
import { HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { Access } from "../access/Access.ts"
import * as Authentication from "../access/Authentication.ts"
import * as Token from "../access/Token.ts"
import * as MetricSeries from "../telemetry/MetricSeries.ts"
import * as ForwardedMetrics from "../usage/ForwardedMetrics.ts"
import * as ServiceFigures from "./ServiceFigures.ts"

export interface Options {
  /** Whether a request must carry the token of an administrator. */
  readonly needsToken: boolean
  /** The administrator's token of the settings. */
  readonly adminToken: Token.Token | undefined
}

/** The most pages that are held at a time. */
export const maxPages = 2

interface Page {
  readonly pieces: ReadonlyArray<Uint8Array>
  takers: number
}

export const make = Effect.gen(function* () {
  const context = yield* Effect.context<ForwardedMetrics.ForwardedMetrics>()
  const encoder = new TextEncoder()
  const pages: Array<Page> = []

  const newPage = Effect.gen(function* () {
    const { agents, series } = yield* Effect.provideContext(ServiceFigures.all, context)
    const own = PrometheusMetrics.formatUnsafe(MetricSeries.toContext(series))
    const pieces = [own, ...ForwardedMetrics.pieces(agents)].map((piece) => encoder.encode(piece))
    const page: Page = { pieces, takers: 0 }
    pages.push(page)
    return page
  })

  const take = Effect.gen(function* () {
    const page = pages.length < maxPages ? yield* newPage : pages.at(-1)!
    page.takers++
    return page
  })

  const release = (page: Page) =>
    Effect.sync(() => {
      page.takers--
      if (page.takers === 0) pages.splice(pages.indexOf(page), 1)
    })

  return {
    /** The text of a page, in pieces. */
    pieces: Stream.unwrap(
      Effect.map(Effect.acquireRelease(take, release), ({ pieces }) => Stream.rechunk(Stream.fromIterable(pieces), 1))
    )
  }
})

/** Returns the handler of the page. */
export const handler = Effect.fnUntraced(function* ({ adminToken, needsToken }: Options) {
  const { pieces } = yield* make
  const access = yield* Access
  const service = yield* Digest.Digest
  const digest = (token: Token.Token) => Effect.provideService(Token.digest(token), Digest.Digest, service)
  const own = adminToken && (yield* digest(adminToken))

  const refusal = Effect.gen(function* () {
    if (!needsToken) return undefined
    const [token] = yield* Authentication.tokensInHeaders
    if (token === undefined) return unauthenticated
    if (own !== undefined && Token.isSame(yield* digest(token), own)) return undefined
    return yield* access.user(token).pipe(
      Effect.map(({ isAdmin }) => (isAdmin ? undefined : HttpServerResponse.empty({ status: 403 }))),
      Effect.catchTag("Unauthenticated", () => Effect.succeed(unauthenticated)),
      Effect.orElseSucceed(() => HttpServerResponse.empty({ status: 503 }))
    )
  })

  return Effect.map(
    refusal,
    (refused) =>
      refused ?? HttpServerResponse.stream(pieces, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
  )
})

const unauthenticated = HttpServerResponse.empty({ status: 401, headers: { "www-authenticate": "Bearer" } })

/** Returns whether an address to listen on is reached from this machine alone. */
export const isLoopback = (host: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|::1|\[::1\])$/i.test(host)
