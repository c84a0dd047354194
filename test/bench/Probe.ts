/**
 * Loaded into a service beside its own files: measures the turns of its event loop, its pauses for garbage and its heap,
 * and serves them at an address that it prints. Each request begins the measuring anew.
 */
import * as Http from "node:http"
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks"
import type { Probed } from "./Service.ts"

const turns = monitorEventLoopDelay({ resolution: 1 })
turns.enable()

let longestCollection = 0
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longestCollection = Math.max(longestCollection, duration)
}).observe({ entryTypes: ["gc"] })

const server = Http.createServer((_, response) => {
  const probed: Probed = {
    longestTurn: turns.max / 1e6,
    turnP99: turns.percentile(99) / 1e6,
    longestCollection,
    heapBytes: process.memoryUsage().heapUsed
  }
  turns.reset()
  longestCollection = 0
  response.end(JSON.stringify(probed))
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (address !== null && typeof address === "object")
    process.stdout.write(`probe at http://127.0.0.1:${address.port}\n`)
})
server.unref()
