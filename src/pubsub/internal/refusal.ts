import { PubSubError } from "../PubSubEvent.ts"

/** Returns the error of a subscription to a channel that cannot be listened to. */
export const refusal = (channel: string, cause: unknown) => new PubSubError({ operation: "subscribe", channel, cause })
