import { Schema } from "effect"

/**
 * Requests of those calls of which the contract takes more than a message can say, as far as messages say it: a time or an
 * age that nobody reads may be any text or number, and base64 may have bits that no byte has. Random text is hardly ever a
 * version, a name, or a time before another.
 */
export const expressible: { readonly [tag: string]: Schema.Codec<unknown, unknown> } = (() => {
  const { Array: ArrayOf, Boolean: Flag, Int, Literals, String: Text, Struct, optionalKey } = Schema
  const id = Literals(["00000000-0000-4000-a000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"])
  const time = Literals(["2026-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z"])
  const bytes = Literals(["", "AQI=", "+w==", "AQID"])
  const int32 = Int.check(Schema.isBetween({ minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }))
  const fields = {
    source: Text,
    source_path: optionalKey(Text),
    content_hash: bytes,
    size_bytes: Schema.Natural,
    status: Literals(["OK", "OVERSIZE", "UNREADABLE", "INVALID", "EXCLUDED"]),
    error: Text
  }
  const tools = ArrayOf(Struct({ name: Text, description: Text, input_schema: optionalKey(Schema.JsonObject) }))
  return {
    UpdateStartup: Struct({
      startup: Struct({
        version: Literals(["v2.35.0", "v1"]),
        expanded_directory: Text,
        subsystems: ArrayOf(Literals(["ENVBOX", "ENVBUILDER", "EXECTRACE"]))
      })
    }),
    BatchUpdateMetadata: Struct({
      metadata: ArrayOf(
        Struct({
          key: Text,
          result: optionalKey(
            Struct({ collected_at: optionalKey(time), age: Int, value: optionalKey(Text), error: optionalKey(Text) })
          )
        })
      )
    }),
    BatchCreateLogs: Struct({
      log_source_id: id,
      logs: ArrayOf(
        Struct({ created_at: time, output: Text, level: Literals(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]) })
      )
    }),
    ScriptCompleted: Struct({
      timing: Struct({
        script_id: id,
        start: time,
        end: time,
        exit_code: int32,
        stage: Literals(["START", "STOP", "CRON"]),
        status: Literals(["OK", "EXIT_FAILURE", "TIMED_OUT", "PIPES_LEFT_OPEN"])
      })
    }),
    CreateSubAgent: Struct({
      name: Text,
      directory: Text,
      architecture: Text,
      operating_system: Text,
      apps: ArrayOf(
        Struct({
          slug: Text,
          command: Text,
          external: Flag,
          healthcheck: optionalKey(Struct({ url: Text, interval: int32, threshold: int32 })),
          open_in: Literals(["SLIM_WINDOW", "TAB"]),
          order: int32,
          share: Literals(["OWNER", "AUTHENTICATED", "PUBLIC", "ORGANIZATION"])
        })
      ),
      display_apps: ArrayOf(Literals(["VSCODE", "WEB_TERMINAL", "SSH_HELPER"])),
      id: optionalKey(id)
    }),
    PushContextState: Struct({
      version: Literals(["0", "9007199254740993", "9223372036854775807"]),
      initial: Flag,
      aggregate_hash: bytes,
      snapshot_error: Text,
      resources: ArrayOf(
        Schema.Union([
          Struct({ ...fields, instruction_file: Struct({ content: bytes }) }),
          Struct({ ...fields, skill: Struct({ meta: bytes, name: Text, description: Text }) }),
          Struct({ ...fields, mcp_config: Struct({}) }),
          Struct({ ...fields, mcp_server: Struct({ server_name: Text, description: Text, tools }) })
        ])
      )
    })
  }
})()
