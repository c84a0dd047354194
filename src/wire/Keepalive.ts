/**
 * Notices sessions whose client is gone without a word: one wheel for all of them, not a timer for each.
 *
 * - Each session is visited once per interval. It is pinged then, unless it has sent something since the last visit.
 * - A session that sends nothing within the timeout after a ping ends.
 * - Each visit also sweeps the session's streams.
 */
import { Duration, Effect, type Scope } from "effect"
import * as LeanScope from "../platform/LeanScope.ts"
import type { Session } from "./Yamux.ts"

export interface Options {
  /** Between two visits. Default 30 seconds; whole seconds. */
  readonly interval?: Duration.Input | undefined
  /** How long a client may take to answer a ping. Default 10 seconds; whole seconds, less than the interval. */
  readonly timeout?: Duration.Input | undefined
}

export interface Keepalive {
  /** Visits a session until the scope closes. */
  readonly watch: (session: Session) => Effect.Effect<void, never, Scope.Scope>
}

interface Watched {
  readonly session: Session
  /** The frames that the session had at its last visit. */
  frames: number
  /** Forgets the last ping. */
  forget: () => void
}

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Keepalive, never, Scope.Scope> {
  const interval = Math.max(2, Math.round(Duration.toSeconds(options.interval ?? "30 seconds")))
  const timeout = Math.min(interval - 1, Math.max(1, Math.round(Duration.toSeconds(options.timeout ?? "10 seconds"))))
  const slots = Array.from({ length: interval }, () => new Set<Watched>())
  let tick = 0

  const visit = (watched: Watched) => {
    watched.session.sweep()
    const isSilent = watched.session.frames === watched.frames
    watched.frames = watched.session.frames
    watched.forget()
    if (isSilent) watched.forget = watched.session.ping(() => {})
    return isSilent
  }
  // those that were pinged, by the tick at which their answer is due
  const due = new Map<number, Array<Watched>>()

  const turn = Effect.sync(() => {
    tick++
    for (const watched of due.get(tick) ?? []) {
      if (watched.session.frames === watched.frames) watched.session.close("keepalive timeout")
    }
    due.delete(tick)
    const pinged = [...slots[tick % interval]!].filter(visit)
    if (pinged.length > 0) due.set(tick + timeout, pinged)
  })
  yield* Effect.forkScoped(Effect.forever(Effect.delay(turn, "1 second")))

  return {
    watch: (session) =>
      LeanScope.acquireRelease(
        Effect.sync(() => {
          const watched: Watched = { session, frames: session.frames, forget: () => {} }
          // the slot that is visited last from now on
          const slot = slots[tick % interval]!
          slot.add(watched)
          return { slot, watched }
        }),
        ({ slot, watched }) => Effect.sync(() => slot.delete(watched))
      ).pipe(Effect.asVoid)
  }
})
