/** How logs are written: for people on a terminal, as JSON lines for everything else. */
import { Layer, Logger, type LogLevel, References } from "effect"

export interface Options {
  readonly format: "auto" | "pretty" | "json"
  readonly level: LogLevel.LogLevel
}

export const layer = ({ format, level }: Options): Layer.Layer<never> =>
  Layer.mergeAll(
    Logger.layer([
      format === "pretty" || (format === "auto" && process.stdout.isTTY) ? Logger.consolePretty() : Logger.consoleJson
    ]),
    Layer.succeed(References.MinimumLogLevel, level)
  )
