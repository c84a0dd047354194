/**
 * What a simulated agent does beside reporting, so that there is something to see of it: it starts and logs what it does,
 * and people connect to it and leave.
 *
 * It goes on until it is interrupted. A call that fails is made no second time: the next thing happens later.
 */
import { Duration, Effect, Random } from "effect"
import type { RpcClient } from "effect/rpc"
import type { AgentApi } from "../agentapi/AgentApi.ts"
import { ConnectionId, LogSourceId, nil } from "../domain/Ids.ts"

type Client = RpcClient.FromGroup<typeof AgentApi, unknown>

/** Runs the day of the agent behind `client`. */
export const run = Effect.fnUntraced(function* (client: Client) {
  const log = (level: "info" | "warn" | "error", ...outputs: ReadonlyArray<string>) =>
    ignore(
      client.BatchCreateLogs({
        log_source_id: LogSourceId.make(nil),
        logs: outputs.map((output) => ({ output, level }))
      })
    )
  const enter = (state: "starting" | "ready") => ignore(client.UpdateLifecycle({ lifecycle: { state } }))

  const start = Effect.gen(function* () {
    const startup = { version: "v2.31.0", expanded_directory: "/home/dev/project", subsystems: [] }
    yield* ignore(client.UpdateStartup({ startup }))
    yield* enter("starting")
    yield* log("info", "Cloning the repository", "Installing 412 packages", "Building the image of the container")
    yield* between(1, 4)
    yield* log("warn", "The cache of the image was empty")
    yield* log("info", "Started in /home/dev/project")
    yield* enter("ready")
  })

  /** A person connects, works and leaves. */
  const visit = Effect.gen(function* () {
    yield* between(5, 60)
    const type = yield* Random.choice(["ssh", "vscode", "jetbrains", "reconnecting_pty"] as const)
    const ip = `10.20.${yield* Random.nextIntBetween(0, 255)}.${yield* Random.nextIntBetween(1, 254)}`
    const id = ConnectionId.make(yield* uuid)
    const report = (action: "connect" | "disconnect") =>
      ignore(
        client.ReportConnection({ connection: { id, type, ip, action, status_code: 0, reason: "", app_name: "" } })
      )
    yield* report("connect")
    yield* log("info", `Accepted a connection of ${type} from ${ip}`)
    yield* between(5, 120)
    if ((yield* Random.next) > 0.8) yield* log("error", "A forwarded port was closed by the other side")
    yield* report("disconnect")
  })

  yield* start
  return yield* Effect.forever(visit)
})

const ignore = Effect.ignore({ log: "Debug", message: "a simulated agent was refused" })

const between = (from: number, to: number) =>
  Effect.flatMap(Random.nextBetween(from, to), (seconds) => Effect.sleep(Duration.seconds(seconds)))

const uuid = Effect.map(Effect.replicateEffect(Random.nextIntBetween(0, 0xffff), 8), (parts) => {
  const [a, b, c, d, e, f, g, h] = parts.map((part) => part.toString(16).padStart(4, "0"))
  return `${a}${b}-${c}-4${d!.slice(1)}-a${e!.slice(1)}-${f}${g}${h}`
})
