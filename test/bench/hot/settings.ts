/** The settings of every contestant that batches: the service's defaults. */
export const maxBatchSize = 500

/** In milliseconds. */
export const interval = 5_000

export const queueCapacity = 5 * maxBatchSize
