/** How a watcher learns that what it watches cannot be read: the data of an `error` event. */
import { Schema } from "effect"

export const WatchFailure = Schema.Struct({ message: Schema.String, detail: Schema.String })
export type WatchFailure = typeof WatchFailure.Type
