/** A process of the service and the figures that it publishes. */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { freePort } from "../support/freePort.ts"
import * as Prometheus from "../support/prometheus.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"
import * as ValueStore from "./ValueStore.ts"

export const adminToken = "the administrator of the faults"

export type Replica = Effect.Success<ReturnType<typeof start>>

/** The broker over which every replica announces, if it is not the database. */
export const brokerUrl = process.env["FAULTS_PUBSUB_URL"]

/** The settings of every replica of a scenario, unless it has others. */
export const settings = () => ({
  PORT: "0",
  ADMIN_TOKEN: adminToken,
  METADATA_FLUSH_INTERVAL: "1 second",
  LOG_FORMAT: "json",
  // a small heap, so that the growth of the process shows what it holds and not how rarely garbage is collected
  NODE_OPTIONS: "--max-old-space-size=256",
  ...(brokerUrl === undefined ? {} : { PUBSUB_URL: brokerUrl }),
  ...ValueStore.settings()
})

/**
 * Starts a replica and waits until it is ready. Unless `PORT` says otherwise it listens on a free port, on which another one
 * can follow it.
 */
export const start = Effect.fnUntraced(function* (env: Readonly<Record<string, string>>) {
  return yield* ready(
    yield* ServiceProcess.start(["serve"], { ...settings(), PORT: env["PORT"] ?? String(yield* freePort), ...env })
  )
})

/** Waits until a process of the service is ready. */
export const ready = Effect.fnUntraced(function* (service: ServiceProcess.ServiceProcess) {
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
    /** Samples that were accepted and not written yet. */
    pending: Effect.map(metrics, (metric) => metric("pending_keys") + metric("queue_depth")),
    /** Accepted entries that no other figure counts: neither replaced, written, lost nor held. */
    unaccounted: Effect.map(metrics, (metric) => {
      const counted = ["merged_keys_total", "flushed_total", "lost_keys_total"]
      const held = ["pending_keys", "queue_depth", "in_flight_keys"]
      return [...counted, ...held].reduce((rest, name) => rest - metric(name), metric("accepted_keys_total"))
    }),
    /** Whether `/healthz` returns 200; a process that has ended does not. */
    isAlive: get("/healthz").pipe(
      Effect.map(({ status }) => status === 200),
      Effect.catchDefect(() => Effect.succeed(false))
    ),
    /** Samples that the service says that it has lost or dropped. */
    counted: Effect.map(metrics, (metric) => metric("lost_keys_total") + metric("dropped_keys_total")),
    /** The memory of the process in MiB: now, and at most so far. */
    rss: Effect.sync(() => memory("VmRSS")),
    peakRss: Effect.sync(() => memory("VmHWM")),
    /** How long `/healthz` takes, and its status. */
    health: Effect.map(Effect.timed(get("/healthz")), ([elapsed, { status }]) => ({ elapsed, status }))
  }
})
