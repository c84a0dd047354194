/**
 * Makes one call for all who ask within a moment of each other. It stands here because both watch and agentapi ask so, and
 * batcher is what both may import.
 *
 * - A question goes at once when no call has begun within the last `window`. Otherwise it waits for the end of that window;
 *   and then for a call to end, when `concurrency` of them are being made. What is asked meanwhile goes along.
 * - A question that is asked with `askNow` ends the wait for the window, for itself and for those that wait.
 * - A call begins after each of its questions was asked. Questions of the same key are one: the last one stands for all.
 * - A call has at most `maxSize` questions. When there are more, there are more calls, and all of them begin before what
 *   was asked since.
 * - Calls for one key begin in the order of asking. With a `concurrency` of 1 each has ended before the next one begins, so
 *   that no older question comes after a newer one; with more of it they may go side by side, and end in any order.
 * - Who asks gets what has become of the call that the question was in, be that a failure or a defect, and of no other.
 * - Who no longer waits takes no answer from anyone else. A question that nobody waits for before its call has begun is
 *   not asked; a call that has begun goes on.
 * - A call is a trace of its own, with links to the spans of those who asked. How long it may take is its own to bound.
 */
import { Array as Arr, Clock, Duration, Effect, Exit, Latch, Request, RequestResolver, Semaphore } from "effect"

export interface Options<Q, A, E> {
  /** The name of the span of a call. */
  readonly name: string
  /** The least time from the beginning of one call to that of the next. */
  readonly window: Duration.Input
  /** Questions in a call. */
  readonly maxSize: number
  /** Calls that are made at the same time. */
  readonly concurrency: number
  /** What makes questions the same. */
  readonly keyOf: (question: Q) => unknown
  /** Asks questions of which no two have the same key, and answers what says what the answer to each is. */
  readonly call: (questions: ReadonlyArray<Q>) => Effect.Effect<(question: Q) => A, E>
}

export interface RequestCoalescer<Q, A, E> {
  /** Asks a question, with others. */
  readonly ask: (question: Q) => Effect.Effect<A, E>
  /** Asks a question without a wait for the window. */
  readonly askNow: (question: Q) => Effect.Effect<A, E>
}

export const make = Effect.fnUntraced(function* <Q, A, E>(
  options: Options<Q, A, E>
): Effect.fn.Return<RequestCoalescer<Q, A, E>> {
  type Asked = Request.Request<A, E> & { readonly question: Q }
  const request = Request.of<Asked>()
  const calls = yield* Semaphore.make(options.concurrency)
  const window = Duration.toNanosUnsafe(Duration.fromInputUnsafe(options.window))
  const hurry = yield* Latch.make(false)
  // a resolver forgets those who leave before it runs, and no later ones
  const left = new WeakSet<Asked>()
  let restsUntil = 0n

  const rest = Effect.gen(function* () {
    const left = restsUntil - (yield* Clock.monotonicTimeNanos)
    if (left > 0n) yield* Effect.raceFirst(Effect.sleep(Duration.nanos(left)), hurry.await)
    yield* calls.withPermit(Effect.void)
  })

  const call = Effect.fnUntraced(function* (chunk: ReadonlyArray<ReadonlyArray<Request.Entry<Asked>>>) {
    const groups = chunk
      .map((group) => group.filter(({ request }) => !left.has(request)))
      .filter((group) => group.length > 0)
    if (groups.length === 0) return
    const questions = groups.map((group) => group.at(-1)!.request.question)
    const exit = yield* options.call(questions).pipe(
      Effect.map((answerTo) => questions.map(answerTo)),
      Effect.exit
    )
    groups.forEach((group, index) => {
      const answer = Exit.map(exit, (answers) => answers[index]!)
      for (const entry of group) entry.completeUnsafe(answer)
    })
  }, calls.withPermit)

  const resolver = RequestResolver.make<Asked>(
    Effect.fnUntraced(function* (entries) {
      hurry.closeUnsafe()
      restsUntil = (yield* Clock.monotonicTimeNanos) + window
      const groups = [...Map.groupBy(entries, ({ request }) => options.keyOf(request.question)).values()]
      // each takes its place among those that wait for a permit now, before anyone who asks from now on
      yield* Effect.forEach(Arr.chunksOf(groups, options.maxSize), call, { concurrency: "unbounded", discard: true })
    })
  ).pipe(RequestResolver.setDelayEffect(rest), RequestResolver.withSpan(options.name, { root: true }))

  const ask = (question: Q): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const asked = request({ question })
      return Effect.onInterrupt(Effect.request(asked, resolver), () => Effect.sync(() => left.add(asked)))
    })
  return { ask, askNow: (question) => Effect.andThen(hurry.open, ask(question)) }
})
