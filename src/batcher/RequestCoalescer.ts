/**
 * Combines requests that arrive within a short window into one call, for `watch` and `agentapi`.
 *
 * - A request starts a call at once if no call started within the last `window`. Otherwise it waits for the end of the
 *   window and, while `concurrency` calls are running, for one of them to finish. Requests that arrive meanwhile join it.
 * - A call starts after all of its requests were made. Requests with the same key are one request: the last one is sent.
 * - A call carries at most `maxSize` requests. If there are more, there are more calls, and all of them start before any
 *   request that was made later.
 * - Calls for one key start in the order of the requests. With a `concurrency` of 1 each call finishes before the next one
 *   starts; with more, calls for one key may overlap and finish in any order.
 * - Each caller gets the result of the call that carried its request: a value, a failure or a defect. A caller that is
 *   interrupted affects no other. A request that nobody waits for is not sent; a call that has started runs to its end.
 * - A call is a root span with links to the spans of its callers. The call bounds its own duration.
 */
import { Array as Arr, Clock, Duration, Effect, Exit, Request, RequestResolver, Semaphore } from "effect"

export interface Options<Q, A, E> {
  /** The name of the span of a call. */
  readonly name: string
  /** The least time from the start of one call to the start of the next. */
  readonly window: Duration.Input
  /** Requests per call. */
  readonly maxSize: number
  /** Calls that run at the same time. */
  readonly concurrency: number
  /** Requests with equal keys are one request. */
  readonly keyOf: (request: Q) => unknown
  /** Sends requests, no two of which have the same key. Returns the lookup of each request's result. */
  readonly call: (requests: ReadonlyArray<Q>) => Effect.Effect<(request: Q) => A, E>
}

export interface RequestCoalescer<Q, A, E> {
  /** Sends a request together with others. */
  readonly request: (request: Q) => Effect.Effect<A, E>
}

export const make = Effect.fnUntraced(function* <Q, A, E>(
  options: Options<Q, A, E>
): Effect.fn.Return<RequestCoalescer<Q, A, E>> {
  type Pending = Request.Request<A, E> & { readonly content: Q }
  const makePending = Request.of<Pending>()
  const calls = yield* Semaphore.make(options.concurrency)
  const window = Duration.toNanosUnsafe(Duration.fromInputUnsafe(options.window))
  // a resolver only forgets callers that are interrupted before it runs
  const abandoned = new WeakSet<Pending>()
  let cooldownUntil = 0n

  const cooldown = Effect.gen(function* () {
    const left = cooldownUntil - (yield* Clock.monotonicTimeNanos)
    if (left > 0n) yield* Effect.sleep(Duration.nanos(left))
    yield* calls.withPermit(Effect.void)
  })

  const call = Effect.fnUntraced(function* (chunk: ReadonlyArray<ReadonlyArray<Request.Entry<Pending>>>) {
    const groups = chunk
      .map((group) => group.filter(({ request }) => !abandoned.has(request)))
      .filter((group) => group.length > 0)
    if (groups.length === 0) return
    const requests = groups.map((group) => group.at(-1)!.request.content)
    const exit = yield* options.call(requests).pipe(
      Effect.map((resultOf) => requests.map(resultOf)),
      Effect.exit
    )
    groups.forEach((group, index) => {
      const result = Exit.map(exit, (results) => results[index]!)
      for (const entry of group) entry.completeUnsafe(result)
    })
  }, calls.withPermit)

  const resolver = RequestResolver.make<Pending>(
    Effect.fnUntraced(function* (entries) {
      cooldownUntil = (yield* Clock.monotonicTimeNanos) + window
      const groups = [...Map.groupBy(entries, ({ request }) => options.keyOf(request.content)).values()]
      // every chunk queues for a permit now, before any later request can
      yield* Effect.forEach(Arr.chunksOf(groups, options.maxSize), call, { concurrency: "unbounded", discard: true })
    })
  ).pipe(RequestResolver.setDelayEffect(cooldown), RequestResolver.withSpan(options.name, { root: true }))

  const request = (content: Q): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const pending = makePending({ content })
      return Effect.onInterrupt(Effect.request(pending, resolver), () => Effect.sync(() => abandoned.add(pending)))
    })
  return { request }
})
