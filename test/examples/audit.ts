/** An audit log: every event is written in the order of arrival, its caller knows when, and a restart loses none. */
import { Console, Context, Data, Effect, Layer, Option, Schema } from "effect"
import { Accumulator, Batcher } from "metadata-batcher"
import { appendFile, mkdir, readFile, rm } from "node:fs/promises"

const AuditEvent = Schema.Struct({ id: Schema.String, actor: Schema.String, action: Schema.String })
export type AuditEvent = typeof AuditEvent.Type

export class AuditError extends Data.TaggedError("AuditError")<{ readonly reason: "rejected" | "unavailable" }> {}

/** The database. A failed batch comes again, so an event whose id is stored already must change nothing. */
export class AuditStore extends Context.Service<
  AuditStore,
  { readonly insert: (events: ReadonlyArray<AuditEvent>) => Effect.Effect<void, AuditError> }
>()("app/AuditStore") {}

/** Files of events: those that the database rejected, and those that are offered again at the next start. */
export class AuditFiles extends Context.Service<
  AuditFiles,
  {
    readonly keepRejected: (events: ReadonlyArray<AuditEvent>) => Effect.Effect<void>
    readonly spill: (events: ReadonlyArray<AuditEvent>) => Effect.Effect<void>
    /** Returns all spilled events, and keeps them until `forget`, in case that this start does not write them either. */
    readonly spilled: Effect.Effect<ReadonlyArray<AuditEvent>>
    readonly forget: Effect.Effect<void>
  }
>()("app/AuditFiles") {}

export class Audit extends Batcher.Service<Audit, AuditEvent, AuditError>()("app/Audit") {}

/** Writes events in their order. Rejected ones become dead letters; those that shutdown cuts off are spilled. */
const layerBatcher = Batcher.layer(Audit, {
  accumulator: Accumulator.fifo<AuditEvent>(),
  write: (events) => AuditStore.use(({ insert }) => insert(events)),
  isRejection: ({ reason }) => reason === "rejected",
  interval: "1 second",
  onWriteFailure: "retain",
  maxPending: 10_000,
  maxAttempts: 100,
  shutdownTimeout: "2 seconds",
  handoverTimeout: "1 second",
  observer: {
    onRejected: (event) => AuditFiles.use(({ keepRejected }) => keepRejected([event])),
    onGivenUp: ({ updates }) => AuditFiles.use(({ spill }) => spill(updates)),
    onClosed: ({ updates }) => AuditFiles.use(({ spill }) => spill(updates))
  }
})

/** Offers the events of earlier starts before all others. They leave their file when each is written or kept elsewhere. */
const layerOfferedAgain = Layer.effectDiscard(
  Effect.gen(function* () {
    const audit = yield* Audit
    const files = yield* AuditFiles
    const offer = (event: AuditEvent) =>
      Effect.catchTags(audit.offerAndWait([event]), { Rejected: () => Effect.void, Lost: () => Effect.void })
    yield* Effect.forEach(yield* files.spilled, offer, { concurrency: "unbounded", discard: true }).pipe(
      Effect.andThen(files.forget),
      Effect.ignore,
      Effect.forkScoped({ startImmediately: true })
    )
  })
)

/** The audit log. Closing its scope writes what is pending, or spills it. */
export const layer: Layer.Layer<Audit, never, AuditStore | AuditFiles> = Layer.provideMerge(
  layerOfferedAgain,
  layerBatcher
)

/** Returns when the event is written. Fails when it was not accepted, rejected, or is left to the next start. */
export const record = (event: AuditEvent) => Audit.use(({ addAndWait }) => addAndWait([event]))

/** Files of JSON, an event in each line. A line that a crash cut short is skipped. */
export const layerFiles = (folder: string) =>
  Layer.sync(AuditFiles, () => {
    const decode = Schema.decodeUnknownOption(Schema.fromJsonString(AuditEvent))
    const append = (name: string, events: ReadonlyArray<AuditEvent>) =>
      Effect.promise(async () => {
        await mkdir(folder, { recursive: true })
        await appendFile(`${folder}/${name}`, events.map((event) => `${JSON.stringify(event)}\n`).join(""))
      })
    const read = (name: string) => Effect.promise(() => readFile(`${folder}/${name}`, "utf8").catch(() => ""))
    const remove = (name: string) => Effect.promise(() => rm(`${folder}/${name}`, { force: true }))
    return {
      keepRejected: (events) => append("rejected.jsonl", events),
      spill: (events) => (events.length === 0 ? Effect.void : append("spilled.jsonl", events)),
      spilled: Effect.gen(function* () {
        const lines = (yield* read("offered.jsonl")) + (yield* read("spilled.jsonl"))
        const events = lines.split("\n").flatMap((line) => Option.toArray(decode(line)))
        yield* append("offered.jsonl", events)
        yield* remove("spilled.jsonl")
        return events
      }),
      forget: remove("offered.jsonl")
    }
  })

// Two starts of one program: the database is away during the first one.
const start = (isAway: boolean, events: ReadonlyArray<AuditEvent>) => {
  const insert = (batch: ReadonlyArray<AuditEvent>) =>
    isAway
      ? Effect.fail(new AuditError({ reason: "unavailable" }))
      : Console.log(`written: ${batch.map(({ action }) => action).join(", ")}`)
  const program = Effect.forEach(events, (event) => Audit.use(({ add }) => add([event])))
  return Effect.provide(program, Layer.provide(layer, [Layer.succeed(AuditStore, { insert }), layerFiles("audit")]))
}

const program = Effect.gen(function* () {
  yield* start(true, [
    { id: "1", actor: "ada", action: "sign in" },
    { id: "2", actor: "ada", action: "delete" }
  ])
  yield* start(false, [{ id: "3", actor: "bob", action: "sign in" }])
})

if (import.meta.main) await Effect.runPromise(program)
