/** A process of the service, and what it tells about itself. */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as Prometheus from "../support/prometheus.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

export const adminToken = "the administrator of the faults"

export type Replica = Effect.Success<ReturnType<typeof start>>

/** What a service of a scenario is set to. */
const defaults = {
  ADMIN_TOKEN: adminToken,
  METADATA_FLUSH_INTERVAL: "1 second",
  LOG_FORMAT: "json",
  // what lives has to fit: without this the growth of a process says how lazily garbage is collected
  NODE_OPTIONS: "--max-old-space-size=256"
}

export const start = Effect.fnUntraced(function* (env: Readonly<Record<string, string>>) {
  const service = yield* ServiceProcess.start(["serve", "--port", "0"], { ...defaults, ...env })
  const [, url = ""] = yield* service.line(/^ready at (\S+)/)

  const get = (path: string) =>
    Effect.promise(async (signal) => {
      const response = await fetch(`${url}${path}`, { signal })
      return { status: response.status, text: await response.text() }
    })
  const metrics = Effect.map(get("/metrics"), ({ text }) => {
    const families = Prometheus.parse(text)
    return (name: string, labels: Readonly<Record<string, string>> = {}) =>
      (families.get(`coderd_agentapi_metadata_${name}`)?.samples ?? [])
        .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
        .reduce((sum, { value }) => sum + value, 0)
  })
  const memory = (figure: string) => {
    const [, kibibytes] = new RegExp(`^${figure}:\\s+(\\d+) kB`, "m").exec(
      readFileSync(`/proc/${service.pid}/status`, "utf8")
    )!
    return Number(kibibytes) / 1024
  }

  return {
    ...service,
    url,
    get,
    /** The sum of a metric's samples with these labels. */
    metrics,
    /** Samples that were accepted and not kept, and those that were not accepted. */
    counted: Effect.map(metrics, (metric) => metric("lost_keys_total") + metric("dropped_keys_total")),
    /** The memory of the process in MiB: now, and at most so far. */
    rss: Effect.sync(() => memory("VmRSS")),
    peakRss: Effect.sync(() => memory("VmHWM")),
    /** How many milliseconds an answer that the process is up takes. */
    health: Effect.map(Effect.timed(get("/healthz")), ([elapsed, { status }]) => ({ elapsed, status }))
  }
})
