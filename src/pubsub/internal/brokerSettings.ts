/** The settings of every broker besides its address. */
import type * as RemoteServer from "../../platform/RemoteServer.ts"

/** A broker, and what the service shows to it. */
export interface Options extends RemoteServer.Options {
  /** The first part of the name of every channel at the broker. Default: `metadata_batcher`. */
  readonly prefix?: string | undefined
}

export const defaultPrefix = "metadata_batcher"
