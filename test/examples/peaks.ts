/** Machines report their temperature every second; of each minute the highest counts, and goes into a file of ours. */
import { Console, DateTime, Effect, Layer } from "effect"
import { Accumulator, Batcher, Ids, type Metadata, MetadataStore } from "metadata-batcher"
import { appendFile, readFile } from "node:fs/promises"

// Our store: a line of JSON for each row. A failure says whether trying again makes sense.
export const layerFile = (path: string) =>
  Layer.succeed(
    MetadataStore.MetadataStore,
    MetadataStore.make({
      updateBatch: (rows) =>
        Effect.tryPromise({
          try: () => appendFile(path, rows.map(({ key, value }) => JSON.stringify({ key, value }) + "\n").join("")),
          catch: (cause) => new MetadataStore.MetadataStoreError({ reason: "unavailable", cause })
        }).pipe(Effect.as([])),
      read: () => Effect.succeed([])
    })
  )

// Our rule: of two readings of one machine and key the higher one stays.
const highest = Accumulator.keyed({
  key: (row: Metadata.MetadataRow) => `${row.agentId} ${row.key}`,
  merge: (older, newer) => (Number(newer.value) > Number(older.value) ? newer : older)
})

/** A failed batch is put back beneath newer peaks. Closing the scope writes everything pending. */
export const make = Effect.gen(function* () {
  const store = yield* MetadataStore.MetadataStore
  return yield* Batcher.make({
    accumulator: highest,
    write: store.updateBatch,
    isRejection: ({ reason }) => reason === "rejected",
    onWriteFailure: "retain",
    interval: "1 minute",
    maxPending: 10_000,
    observer: {
      onFailed: ({ cause, unwritten }) => Effect.logWarning(`${unwritten.length} peaks are put back`, cause),
      onRejected: ({ agentId, key }) =>
        Effect.logError(`a peak of ${key} of ${agentId} is lost: the store rejected it`),
      onClosed: ({ cutOff }) => (cutOff === 0 ? Effect.void : Effect.logError(`${cutOff} peaks are lost`))
    }
  })
})

const program = Effect.gen(function* () {
  const peaks = yield* make
  const agentId = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
  for (const value of ["41", "67", "52"]) {
    yield* peaks.add([{ agentId, key: "celsius", value, error: "", collectedAt: yield* DateTime.now }])
  }
}).pipe(Effect.scoped, Effect.provide(layerFile("peaks.jsonl")))

const show = Effect.flatMap(
  Effect.promise(() => readFile("peaks.jsonl", "utf8")),
  (lines) => Console.log(lines.trim())
)

if (import.meta.main) await Effect.runPromise(Effect.andThen(program, show))
