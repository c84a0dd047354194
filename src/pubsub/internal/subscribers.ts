/**
 * The subscribers of each channel, and the events that wait for each subscriber.
 *
 * - A message goes to every subscriber of its channel at that moment, in order; no subscriber waits for another.
 * - A subscriber holds up to {@link capacity} messages. A message that finds no room is discarded, and one `Resync` behind
 *   the messages held says so. A `Resync` takes no room.
 * - Every subscriber of a channel gets a `Resync` when the channel becomes subscribed, one that joins later at once, and
 *   an error when the channel is refused.
 * - Leaving discards the events held.
 */
import { Cause, Effect, Queue, type Scope } from "effect"
import type { Event, PubSubError } from "../PubSubEvent.ts"

/** The number of messages that wait for one subscriber. */
export const capacity = 2_048

/** The state of a channel: not listened to yet, listened to, or refused. */
export type State = "pending" | "subscribed" | PubSubError

export interface Subscribers {
  /** The events of `channel` for as long as the scope lasts. */
  readonly join: (channel: string) => Effect.Effect<Queue.Dequeue<Event, PubSubError>, never, Scope.Scope>
  /** Hands `payload` to every subscriber of `channel`. */
  readonly deliver: (channel: string, payload: string) => void
  /** Moves a channel to a state. Does nothing when the channel has no subscriber. */
  readonly setState: (channel: string, state: State) => void
  /** The channels that have a subscriber. */
  readonly channels: () => ReadonlyArray<string>
  /** Whether `channel` has a subscriber. */
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
    applyState(member, channel.state)
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
    setState: (name, state) => {
      const channel = channels.get(name)
      if (channel === undefined) return
      channel.state = state
      for (const member of channel.members) applyState(member, state)
    },
    channels: () => [...channels.keys()],
    has: (name) => channels.has(name)
  }
}

const applyState = (member: Member, state: State): void => {
  if (state === "pending") return
  if (state === "subscribed") return member.offer({ _tag: "Resync" })
  Queue.failCauseUnsafe(member.queue, Cause.fail(state))
}

const makeMember: Effect.Effect<Member> = Effect.map(Queue.unbounded<Event, PubSubError>(), (queue) => {
  // both describe the content of the queue; a reader takes all of it, so both start again with an empty queue
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
