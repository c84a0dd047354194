/** The lifecycle of an agent, which comes from two sources: the log stream, and the polled details. */

export interface Lifecycle {
  readonly state: string
  readonly started_at: string | null
  readonly ready_at: string | null
}

/** A lifecycle of the stream, and its arrival by `performance.now()`. */
export interface StreamedLifecycle extends Lifecycle {
  readonly receivedAt: number
}

/** Returns the newer one. Details are as old as their request, because they may have been read before an event came. */
export const newest = (
  streamed: StreamedLifecycle | undefined,
  details: Lifecycle,
  detailsAskedAt: number
): Lifecycle => (streamed !== undefined && streamed.receivedAt >= detailsAskedAt ? streamed : details)
