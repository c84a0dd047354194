/** Counts how often each page is seen; of a thousand views of one page one is written. */
import { Console, Effect } from "effect"
import { Accumulator, Batcher } from "metadata-batcher"

interface Views {
  readonly url: string
  readonly count: number
}

const byUrl = Accumulator.keyed({
  key: (views: Views) => views.url,
  merge: (older, newer) => ({ url: newer.url, count: older.count + newer.count })
})

/** Where views go: one statement for the batch, in an application with a database. */
const write = (batch: ReadonlyArray<Views>) => Console.log(batch.map(({ count, url }) => `${url} ${count}`).join("\n"))

const program = Effect.gen(function* () {
  const views = yield* Batcher.make({ accumulator: byUrl, write, interval: "1 second", onWriteFailure: "retain" })
  for (const url of ["/", "/docs", "/"]) {
    const dropped = yield* views.add([{ url, count: 1 }])
    if (dropped > 0) yield* Effect.logWarning(`a view of ${url} is not counted: the mailbox is full`)
  }
})

// closing the scope writes what is pending
if (import.meta.main) await Effect.runPromise(Effect.scoped(program))
