/**
 * Somebody who watches an agent as a browser does: when the stream ends it is opened again.
 */
import { Data, Effect, Queue, Schedule } from "effect"
import * as Token from "../../src/access/Token.ts"
import { type Missing, numberOf, type Row } from "./Ledger.ts"
import { adminToken } from "./Replica.ts"

class Lost extends Data.TaggedError("Lost")<{ readonly cause: unknown }> {}

export type Watcher = Effect.Success<ReturnType<typeof watch>>

interface Event {
  readonly type: string
  readonly data: unknown
}

/** Watches for as long as the scope is open. */
export const watch = Effect.fnUntraced(function* (url: string, agentId: string) {
  const seen = new Map<string, number>()
  const changes = yield* Queue.sliding<void>(1)
  const tally = { opened: 0, errors: 0, regressions: 0 }

  const take = ({ data, type }: Event) => {
    if (type === "error") tally.errors++
    if (type !== "data") return
    for (const { description, result } of data as ReadonlyArray<{
      readonly description: { readonly key: string }
      readonly result: { readonly value: string }
    }>) {
      // a crash of the database empties it; that is not an older value
      if (result.value === "") continue
      const number = numberOf(result.value)
      if (number < (seen.get(description.key) ?? 0)) tally.regressions++
      seen.set(description.key, number)
    }
    Queue.offerUnsafe(changes, undefined)
  }

  const once = Effect.tryPromise({
    try: async (signal) => {
      const response = await fetch(`${url}/api/v2/workspaceagents/${agentId}/watch-metadata`, {
        headers: { [Token.header]: adminToken },
        signal
      })
      if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
      tally.opened++
      let rest = ""
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        const [last = "", ...whole] = (rest + chunk).split("\n\n").reverse()
        rest = last
        for (const text of whole.reverse()) take(parse(text))
      }
    },
    catch: (cause) => new Lost({ cause })
  })

  yield* Effect.forkScoped(Effect.repeat(Effect.ignore(once), Schedule.spaced("500 millis")))

  return {
    agentId,
    tally,
    /** One element when something was seen since the last was taken. */
    changes,
    /** The values that were last seen, as rows. */
    rows: (): ReadonlyArray<Row> => [...seen].map(([key, number]) => ({ agentId, key, value: String(number) }))
  }
})

const parse = (text: string): Event => {
  const field = (name: string) =>
    text
      .split("\n")
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2) ?? ""
  const data = field("data")
  return { type: field("event"), data: data === "" ? undefined : JSON.parse(data) }
}

/** The values that a watcher should have seen and has not. */
export const behind = (watcher: Watcher, missing: ReadonlyArray<Missing>) =>
  missing.filter(({ agentId }) => agentId === watcher.agentId).length
