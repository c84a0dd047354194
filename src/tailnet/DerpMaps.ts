/**
 * The DERP map that peers get, read from a file or from an address again and again.
 *
 * - A map that cannot be read, or is not valid, leaves the last one in place; the log and a counter say so.
 * - Before the first valid map, and without a source, there is a map without relays.
 * - Everyone who follows the map gets the present one at once, and each one that differs from the last.
 */
import {
  Context,
  Data,
  type Duration,
  Effect,
  FileSystem,
  Layer,
  Metric,
  Result,
  Schedule,
  type Scope,
  type Stream,
  SubscriptionRef
} from "effect"
import { HttpClient } from "effect/http"
import * as DerpMap from "./DerpMap.ts"
import * as Metrics from "./TailnetMetrics.ts"

/** The source of the map. */
export type Source =
  | { readonly file: string }
  | { readonly url: string }
  /** The setting of the administrators; without one there are no relays. */
  | { readonly setting: Effect.Effect<object, { readonly message: string }> }

export interface Options {
  /** Without one there are no relays. */
  readonly source?: Source | undefined
  /** Time from the end of one reading to the next one. Default 5 seconds. */
  readonly pollInterval?: Duration.Input | undefined
}

export class DerpMaps extends Context.Service<
  DerpMaps,
  {
    readonly current: Effect.Effect<DerpMap.DerpMap>
    /** The present map, then each one that differs. */
    readonly changes: Stream.Stream<DerpMap.DerpMap>
  }
>()("metadata-batcher/tailnet/DerpMaps") {}

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<DerpMaps["Service"], never, FileSystem.FileSystem | HttpClient.HttpClient | Scope.Scope> {
  const { pollInterval = "5 seconds", source } = options
  const ref = yield* SubscriptionRef.make(DerpMap.empty)
  const maps = DerpMaps.of({
    current: SubscriptionRef.get(ref),
    changes: SubscriptionRef.changes(ref)
  })
  if (source === undefined) return maps

  const readText = reader(source, yield* FileSystem.FileSystem, yield* HttpClient.HttpClient)
  const where = "file" in source ? source.file : "url" in source ? withoutSecrets(source.url) : "the site configuration"
  let lastProblem: string | undefined

  const poll = Effect.gen(function* () {
    const read = yield* Effect.result(Effect.flatMap(Effect.timeout(readText, "30 seconds"), DerpMap.parse))
    if (Result.isFailure(read)) {
      yield* Metric.update(Metrics.derpMapFailures, 1)
      // the text of a failed request repeats the address
      const problem = read.failure.message.replaceAll(/(https?:\/\/[^\s?)]*)\?[^\s)]*/g, "$1")
      if (problem === lastProblem) return
      lastProblem = problem
      yield* Effect.logError("the DERP map cannot be used, the last one stays in place").pipe(
        Effect.annotateLogs({ source: where, problem })
      )
      return
    }
    lastProblem = undefined
    const map = read.success
    if (isSame(map, yield* maps.current)) return
    yield* SubscriptionRef.set(ref, map)
    yield* Effect.logInfo("a DERP map was read").pipe(
      Effect.annotateLogs({ source: where, regions: Object.keys(map.Regions).length })
    )
  }).pipe(Effect.catchCause((cause) => Effect.logError("reading the DERP map failed", cause)))

  yield* poll
  yield* Effect.forkScoped(Effect.schedule(poll, Schedule.spaced(pollInterval)))
  return maps
})

export const layer = (options?: Options): Layer.Layer<DerpMaps, never, FileSystem.FileSystem | HttpClient.HttpClient> =>
  Layer.effect(DerpMaps, make(options))

/** A source that is no text, or too long a one. */
class Unreadable extends Data.TaggedError("Unreadable")<{ readonly message: string }> {}

const reader = (source: Source, fs: FileSystem.FileSystem, client: HttpClient.HttpClient) => {
  if ("setting" in source) {
    return Effect.map(source.setting, (json) => JSON.stringify(Object.keys(json).length === 0 ? DerpMap.empty : json))
  }
  const bytes: Effect.Effect<Uint8Array, { readonly message: string }> =
    "file" in source
      ? fs.readFile(source.file)
      : Effect.flatMap(HttpClient.filterStatusOk(client).get(source.url), (response) =>
          Effect.map(response.arrayBuffer, (buffer) => new Uint8Array(buffer))
        )
  return Effect.flatMap(bytes, (bytes) =>
    bytes.length > DerpMap.maxBytes
      ? Effect.fail(new Unreadable({ message: `a DERP map may have ${DerpMap.maxBytes} bytes at most` }))
      : Effect.try({
          try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
          catch: () => new Unreadable({ message: "a DERP map must be text in UTF-8" })
        })
  )
}

const withoutSecrets = (text: string): string => {
  const url = URL.parse(text)
  return url === null ? "an address" : `${url.origin}${url.pathname}`
}

const isSame = (one: DerpMap.DerpMap, other: DerpMap.DerpMap): boolean => DerpMap.format(one) === DerpMap.format(other)
