/**
 * The agent of the command line: reports from this machine without a program of one's own.
 *
 * - It runs the scripts of the keys in its manifest at their intervals, with their timeouts, and of keys of its own.
 * - It runs the start scripts of the manifest once, before it is ready, and the stop scripts at its end. Their output is
 *   logged.
 * - Once the start scripts are over it runs the scripts that have a schedule, whether it is connected or not.
 * - It logs the lines that it is given.
 * - A broken connection is made again with a back-off. Samples and lines wait meanwhile, the newest of them.
 * - An interruption ends it cleanly: it reports what waits, says that it is off, and closes, within {@link endTimeout}.
 */
import {
  Cause,
  Console,
  Data,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberSet,
  Layer,
  Queue,
  Schedule,
  Stdio,
  Stream
} from "effect"
import { AgentClient, layer as layerClient } from "../agentapi/AgentClient.ts"
import type * as AgentLifecycle from "../domain/AgentLifecycle.ts"
import { LogSourceId, nil } from "../domain/Ids.ts"
import * as Introduction from "./Introduction.ts"
import * as LogLines from "./LogLines.ts"
import * as Samples from "./Samples.ts"
import * as Scripts from "./Scripts.ts"

export interface Options extends Introduction.Service {
  /** The version of this program, without a `v`. */
  readonly version: string
  /** Keys of the agent's own, in addition to those of its manifest. */
  readonly keys: ReadonlyArray<Samples.Key>
  /** Lines to log. */
  readonly lines: Stream.Stream<string, never, Stdio.Stdio>
}

/** The lines of standard input. */
export const inputLines = Stream.unwrap(Stdio.Stdio.useSync(({ stdin }) => stdin)).pipe(
  Stream.decodeText,
  Stream.splitLines,
  Stream.catchCause(() => Stream.empty)
)

/** The longest time that the end of the agent may take. */
export const endTimeout = Duration.seconds(10)

/** The pauses between attempts to connect. */
const backoff = Schedule.jittered(
  Schedule.modifyDelay(Schedule.exponential("500 millis"), ({ duration }) =>
    Effect.succeed(Duration.min(duration, Duration.seconds(30)))
  )
)

/** Runs an agent until it is interrupted. Fails if the service does not let it connect. */
export const run = Effect.fnUntraced(function* (options: Options) {
  const { keys, lines, url } = options
  const samples = Samples.make()
  const logs = LogLines.make()
  const scripts = yield* Scripts.make(logs)
  yield* Stream.runForEach(lines, (output) => Effect.sync(() => logs.add({ source: external, output }))).pipe(
    Effect.forkScoped
  )

  const connect = Effect.gen(function* () {
    yield* Introduction.check(options)
    if (keys.length > 0) yield* Introduction.declare(options, keys)
  }).pipe(
    Effect.tapErrorTag("ServiceAway", ({ message }) => Console.error(`${message}: trying again`)),
    Effect.retry({ while: ({ _tag }) => _tag === "ServiceAway", schedule: backoff })
  )

  return yield* connect.pipe(
    Effect.andThen(
      Effect.scoped(session(options, samples, logs, scripts)).pipe(
        Effect.catchTags({
          ConnectionBroken: () => Console.error(`the connection to ${url} broke`),
          RpcClientError: () => Console.error(`the connection to ${url} broke`),
          Unavailable: ({ message }) =>
            Effect.andThen(Console.error(`${message}: trying again`), Effect.sleep("1 second"))
        })
      )
    ),
    Effect.forever
  )
}, Effect.scoped)

// ----- internals -----

/** The connection ended. */
class ConnectionBroken extends Data.TaggedError("ConnectionBroken") {}

/** Prints that the agent has started. */
const announce = (state: AgentLifecycle.State) =>
  state === "ready"
    ? Console.log("ready")
    : state === "start_error"
      ? Console.log("ready, but a start script failed")
      : state === "start_timeout"
        ? Console.log("ready, but a start script did not end in time")
        : Effect.void

/** The source of lines that no script printed. */
const external = LogSourceId.make(nil)

/** Runs the agent over one connection, until the connection breaks. */
const session = Effect.fnUntraced(function* (
  { keys, token, url, version }: Options,
  samples: Samples.Samples,
  logs: LogLines.LogLines,
  scripts: Scripts.Scripts
) {
  const broken = yield* Deferred.make<never, ConnectionBroken>()
  const onDisconnect = Deferred.fail(broken, new ConnectionBroken())
  const services = yield* Layer.build(layerClient({ url, token, onDisconnect }))
  const client = yield* Effect.provide(AgentClient, services)

  const steps = yield* FiberSet.make<unknown, unknown>()
  /** Runs a step that its caller's interruption leaves running, because the end would send again what it sends. */
  const whole = <A, E, R>(step: Effect.Effect<A, E, R>) =>
    Effect.flatMap(FiberSet.run(steps, Effect.raceFirst(step, Deferred.await(broken))), Fiber.join)

  const sendSamples = (found: ReadonlyMap<string, Samples.Sample>) =>
    client
      .BatchUpdateMetadata({ metadata: Array.from(found, ([key, result]) => ({ key, result })) })
      .pipe(Effect.catchTag(["InvalidRequest", "MetadataKeysTooLong"], ({ message }) => Console.error(message)))
  const sendLines = (source: LogSourceId, outputs: ReadonlyArray<string>) =>
    client.BatchCreateLogs({ log_source_id: source, logs: outputs.map((output) => ({ output, level: "info" })) }).pipe(
      Effect.map(({ log_limit_exceeded }) => log_limit_exceeded),
      Effect.catchTag("InvalidRequest", ({ message }) => Effect.as(Console.error(message), false))
    )
  const sendChange = (change: Scripts.Change) =>
    Effect.andThen(client.UpdateLifecycle({ lifecycle: change }), announce(change.state))
  const sendTiming = (timing: Scripts.Timing) =>
    client.ScriptCompleted({ timing }).pipe(Effect.catchTag("InvalidRequest", ({ message }) => Console.error(message)))

  const manifest = yield* client.GetManifest({})
  yield* client.UpdateStartup({
    startup: { version: `v${version}`, expanded_directory: process.cwd(), subsystems: [] }
  })

  const end = Effect.gen(function* () {
    yield* FiberSet.awaitEmpty(steps)
    yield* scripts.become("shutting_down")
    yield* flush(scripts.changes, sendChange)
    yield* scripts.stop(manifest.scripts)
    yield* flush(scripts.timings, sendTiming)
    yield* samples.flush(sendSamples)
    yield* logs.flush(sendLines)
    yield* flush(scripts.changes, sendChange)
  })
  yield* Effect.addFinalizer((exit) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
      ? Effect.interruptible(end).pipe(
          Effect.timeout(endTimeout),
          Effect.catch((error) => Console.error(`the end was not reported: ${error.message}`)),
          Effect.andThen(Console.log("ended"))
        )
      : Effect.void
  )

  const own = new Set(keys.map(({ key }) => key))
  const all = [...keys, ...manifest.metadata.filter(({ key, script }) => script !== "" && !own.has(key))]
  yield* Console.log(
    `connected to ${url} as ${manifest.owner_username}/${manifest.workspace_name}.${manifest.agent_name}, ` +
      `reporting ${all.length === 0 ? "no keys" : all.map(({ key }) => key).join(", ")}`
  )

  yield* scripts.start(manifest.scripts)
  const collecting = Effect.forEach(all, samples.collect, { concurrency: "unbounded", discard: true })
  yield* Effect.all(
    [
      samples.report(sendSamples),
      Effect.forever(Effect.andThen(logs.someWaiting, whole(logs.flush(sendLines)))),
      Effect.forever(Effect.andThen(Queue.peek(scripts.changes), whole(sendFirst(scripts.changes, sendChange)))),
      Effect.forever(Effect.andThen(Queue.peek(scripts.timings), whole(sendFirst(scripts.timings, sendTiming)))),
      Effect.andThen(collecting, Effect.never)
    ],
    { concurrency: "unbounded", discard: true }
  ).pipe(Effect.raceFirst(Deferred.await(broken)))
})

/** Sends the first element of a queue, which waits until a call has sent it. */
const sendFirst = <A, E, R>(queue: Queue.Dequeue<A>, send: (a: A) => Effect.Effect<void, E, R>) =>
  Effect.andThen(Effect.flatMap(Queue.peek(queue), send), Queue.take(queue))

/** Sends what waits in a queue. */
const flush = <A, E, R>(queue: Queue.Dequeue<A>, send: (a: A) => Effect.Effect<void, E, R>) =>
  Effect.flatMap(Queue.clear(queue), (waiting) => Effect.forEach(waiting, send, { discard: true }))
