/** Measures how soon a report is seen. */
import { Metric } from "effect"

/** Seconds from the collection of a value to the event that shows it, for the oldest new value of each event. */
export const delay = Metric.histogram("metadata_batcher_watch_delay_seconds", {
  description:
    "Seconds from the collection of a value to the event that shows it to a watcher, the longest of an event.",
  boundaries: [0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 30, 60, 300]
})
