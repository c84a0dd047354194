/**
 * Keeps the subscribers of each channel, and the pending events of each subscriber.
 *
 * - A message goes to every current subscriber of its channel, in order; no subscriber waits for another.
 * - A subscriber has up to {@link capacity} pending messages. When there is no room for a message, the message is
 *   discarded and one `Resync` follows the pending messages. A `Resync` takes no room.
 * - Every subscriber of a channel gets a `Resync` when the channel becomes subscribed. A subscriber that joins later
 *   gets it at once.
 * - Every subscriber of a channel gets an error when the channel cannot be listened to.
 * - A subscriber that leaves discards its pending events.
 */
import { Cause, Effect, Queue, type Scope } from "effect"
import { type Event, type PubSubError, Resync } from "../PubSubEvent.ts"

/** The maximum number of pending messages of one subscriber. */
export const capacity = 2_048

/** The state of a channel: not listened to yet, listened to, or failed. */
export type State = "pending" | "subscribed" | PubSubError

export interface Subscribers {
  /** Returns the events of `channel` until the scope closes. */
  readonly join: (channel: string) => Effect.Effect<Queue.Dequeue<Event, PubSubError>, never, Scope.Scope>
  /** Gives `payload` to every subscriber of `channel`. */
  readonly deliver: (channel: string, payload: string) => void
  /** Sets the state of a channel. Does nothing when the channel has no subscriber. */
  readonly setState: (channel: string, state: State) => void
  /** Gives a `Resync` to every subscriber of each subscribed channel. */
  readonly resync: () => void
  /** Returns the channels that have a subscriber. */
  readonly channels: () => ReadonlyArray<string>
  /** Whether `channel` has a subscriber. */
  readonly has: (channel: string) => boolean
}

export interface Options {
  /** The state of a channel when its first subscriber joins. */
  readonly initialState: State
  /** Runs when the first subscriber of a channel has joined (1) and when its last one has left (-1). */
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
    resync: () => {
      for (const { members, state } of channels.values()) {
        for (const member of members) applyState(member, state)
      }
    },
    channels: () => [...channels.keys()],
    has: (name) => channels.has(name)
  }
}

const resync = Resync()

const applyState = (member: Member, state: State): void => {
  if (state === "pending") return
  if (state === "subscribed") return member.offer(resync)
  Queue.failCauseUnsafe(member.queue, Cause.fail(state))
}

const makeMember: Effect.Effect<Member> = Effect.map(Queue.unbounded<Event, PubSubError>(), (queue) => {
  // both describe the content of the queue; a reader takes everything, so both are reset when the queue is empty
  let messages: number
  let endsWithResync: boolean

  return {
    queue,
    offer: (event) => {
      if (Queue.sizeUnsafe(queue) === 0) {
        messages = 0
        endsWithResync = false
      }
      if (event._tag === "Message" && messages < capacity) {
        messages++
        endsWithResync = false
        Queue.offerUnsafe(queue, event)
      } else if (!endsWithResync) {
        endsWithResync = true
        Queue.offerUnsafe(queue, resync)
      }
    }
  }
})
