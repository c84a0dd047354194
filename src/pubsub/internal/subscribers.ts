/**
 * Who listens to which channel, and what waits for each of them.
 *
 * - A message goes to everyone who is on its channel at that moment, in order; nobody waits for anybody.
 * - A subscriber holds up to {@link capacity} messages. One that finds no room is discarded, and one `Resync` behind
 *   the messages held says so. A `Resync` takes no room.
 * - Everyone on a channel gets a `Resync` whenever the channel comes into place, whoever joins later at once, and an
 *   error when it cannot come into place.
 * - Leaving discards what was held.
 */
import { Cause, Effect, Queue, type Scope } from "effect"
import type { Event, PubSubError } from "../PubSubEvent.ts"

/** How many messages wait for one subscriber. */
export const capacity = 2_048

/** What joining a channel means now: waiting for it to come into place, being there, or being turned away. */
export type State = "pending" | "in place" | PubSubError

export interface Subscribers {
  /** A place on `channel` for as long as the scope lasts. */
  readonly join: (channel: string) => Effect.Effect<Queue.Dequeue<Event, PubSubError>, never, Scope.Scope>
  /** Hands `payload` to everyone on `channel`. */
  readonly deliver: (channel: string, payload: string) => void
  /** Moves a channel to a state; one that nobody is on has none. */
  readonly settle: (channel: string, state: State) => void
  /** The channels that someone is on. */
  readonly channels: () => ReadonlyArray<string>
  /** Is anyone on `channel`? */
  readonly has: (channel: string) => boolean
}

export interface Options {
  /** The state of a channel when its first subscriber joins. */
  readonly initialState: State
  /** Runs when the first subscriber of a channel has joined (1) and when the last one has left (-1). */
  readonly onDemand?: ((channel: string, change: 1 | -1) => Effect.Effect<void>) | undefined
}

interface Channel {
  state: State
  readonly members: Set<Member>
}

interface Member {
  readonly queue: Queue.Queue<Event, PubSubError>
  readonly offer: (event: Event) => void
}

export const make = (options: Options): Subscribers => {
  const channels = new Map<string, Channel>()
  const onDemand = options.onDemand ?? (() => Effect.void)

  const enter = Effect.fnUntraced(function* (name: string) {
    const member = yield* makeMember
    const known = channels.get(name)
    const channel = known ?? { state: options.initialState, members: new Set() }
    channel.members.add(member)
    admit(member, channel.state)
    if (known === undefined) {
      channels.set(name, channel)
      yield* onDemand(name, 1)
    }
    return { channel, member }
  })

  const leave = Effect.fnUntraced(function* (name: string, { channel, member }: { channel: Channel; member: Member }) {
    channel.members.delete(member)
    Queue.shutdownUnsafe(member.queue)
    if (channel.members.size === 0) {
      channels.delete(name)
      yield* onDemand(name, -1)
    }
  })

  return {
    join: (name) =>
      Effect.map(
        Effect.acquireRelease(enter(name), (place) => leave(name, place)),
        ({ member }) => member.queue
      ),
    deliver: (name, payload) => {
      for (const member of channels.get(name)?.members ?? []) member.offer({ _tag: "Message", payload })
    },
    settle: (name, state) => {
      const channel = channels.get(name)
      if (channel === undefined) return
      channel.state = state
      for (const member of channel.members) admit(member, state)
    },
    channels: () => [...channels.keys()],
    has: (name) => channels.has(name)
  }
}

const admit = (member: Member, state: State): void => {
  if (state === "pending") return
  if (state === "in place") return member.offer({ _tag: "Resync" })
  Queue.failCauseUnsafe(member.queue, Cause.fail(state))
}

const makeMember: Effect.Effect<Member> = Effect.map(Queue.unbounded<Event, PubSubError>(), (queue) => {
  // of what the queue holds; a reader always takes all of it, so that both start again with an empty queue
  let messages = 0
  let last: Event["_tag"] | undefined

  return {
    queue,
    offer: (event) => {
      if (Queue.sizeUnsafe(queue) === 0) {
        messages = 0
        last = undefined
      }
      if (event._tag === "Message" && messages < capacity) {
        messages++
        last = "Message"
        Queue.offerUnsafe(queue, event)
      } else if (last !== "Resync") {
        last = "Resync"
        Queue.offerUnsafe(queue, { _tag: "Resync" })
      }
    }
  }
})
