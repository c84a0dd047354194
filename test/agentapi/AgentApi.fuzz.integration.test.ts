/**
 * Every request of an agent gets a response that names its problem, and the connection goes on.
 *
 * Each call of the agent API is made with requests that its schema allows, and with those of a broken program.
 * `FUZZ_RUNS` says how many of them, `FUZZ_SEED` which: a failure names the smallest request that was found.
 */
import { assert, layer } from "@effect/vitest"
import { Arbitrary, Effect, Queue, Schema, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { AgentApi } from "../../src/agentapi/AgentApi.ts"
import { InvalidRequest } from "../../src/agentapi/AgentError.ts"
import { RequestedApp } from "../../src/agentapi/calls/SubAgentApps.ts"
import { StatsBatcher } from "../../src/usage/StatsBatcher.ts"
import { MetadataBatcher } from "../../src/metadata/MetadataBatcher.ts"
import { LogSourceId, nil, ScriptId } from "../../src/domain/Ids.ts"
import * as Utf8 from "../../src/domain/Utf8.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import { mutate, Mutation } from "../support/mutations.ts"
import * as Seed from "../support/seed.ts"
import * as Service from "../support/service.ts"

const { FUZZ_RUNS: runs = "60", FUZZ_SEED: seed = "an agent" } = process.env

const Mutations = Schema.Array(Mutation).check(Schema.isMaxLength(3))

/** The response: the exit of the call, or something else. */
const Answer = Schema.fromJsonString(
  Schema.TaggedStruct("Exit", {
    requestId: Schema.String,
    exit: Schema.Union([
      Schema.TaggedStruct("Success", { value: Schema.Unknown }),
      Schema.TaggedStruct("Failure", { cause: Schema.Tuple([Schema.TaggedStruct("Fail", { error: Schema.Unknown })]) })
    ])
  })
)

const Word = Schema.String.check(Schema.isPattern(/^[a-z0-9]{1,12}$/))

/** Requests that a call takes, where its own schema would have to be met by chance. */
const shapes: Readonly<Record<string, Schema.Codec<unknown, unknown>>> = {
  UpdateStartup: Schema.Struct({
    startup: Schema.Struct({
      version: Schema.Literals(["v0", "v2.31", "v2.31.0", "v2.31.0-devel+c0ffee"]),
      expanded_directory: Schema.String,
      subsystems: Schema.Array(Schema.Literals(["ENVBOX", "ENVBUILDER", "EXECTRACE"]))
    })
  }),
  ScriptCompleted: Schema.Struct({
    timing: Schema.Struct({
      script_id: ScriptId,
      start: Schema.Literals(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00.001Z"]),
      end: Schema.Literals(["2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"]),
      exit_code: Schema.Literals([0, -1, 2 ** 31 - 1]),
      stage: Schema.Literals(["START", "STOP", "CRON"]),
      status: Schema.Literals(["OK", "EXIT_FAILURE", "TIMED_OUT", "PIPES_LEFT_OPEN"])
    })
  }),
  CreateSubAgent: Schema.Struct({
    name: Word,
    directory: Schema.String,
    display_apps: Schema.Array(Schema.Literals(["VSCODE", "WEB_TERMINAL"])),
    apps: Schema.Array(
      Schema.Struct({
        ...RequestedApp.fields,
        slug: Word,
        share: Schema.Literals(["OWNER", "AUTHENTICATED", "PUBLIC", "ORGANIZATION", "NOBODY"]),
        open_in: Schema.Literals(["SLIM_WINDOW", "TAB", "WINDOW"])
      })
    )
  })
}

/** An agent that has one of everything, the ids of these, and a call that answers what came back. */
const connected = Effect.gen(function* () {
  const { url } = yield* Service.TestService
  const sql = yield* SqlClient.SqlClient
  const { id, token } = yield* People.agent("cpu")
  const app = yield* Seed.app(id, "web", { healthcheck_url: "http://localhost" })
  const script = Seed.newId(ScriptId)
  yield* sql`
    INSERT INTO workspace_agent_scripts (id, workspace_agent_id, log_source_id, script)
    VALUES (${script}, ${id}, ${Seed.newId(LogSourceId)}, 'true')`
  yield* sql`
    INSERT INTO workspace_agent_memory_resource_monitors (agent_id, enabled, threshold) VALUES (${id}, true, 80)`
  yield* sql`
    INSERT INTO workspace_agent_volume_resource_monitors (agent_id, path, enabled, threshold)
    VALUES (${id}, '/home', true, 80)`
  const connect = Agent.connect(url, People.showing(token))
  const scope = yield* Effect.scope
  let connection = yield* connect
  let calls = 0
  const call = Effect.fnUntraced(
    function* (tag: string, payload: string) {
      const requestId = String(++calls)
      yield* connection.send(`{"_tag":"Request","id":"${requestId}","tag":"${tag}","payload":${payload},"headers":[]}`)
      return { requestId, text: yield* Queue.take(connection.messages) }
    },
    // so that a smaller request can be found that ends a connection
    Effect.tapError(() => Effect.map(Scope.provide(connect, scope), (another) => (connection = another)))
  )
  return { call, known: [app, script, id, nil] }
})

layer(Service.layer, { excludeTestServices: true })("the agent API", (it) => {
  for (const { _tag: tag, errorSchema, payloadSchema } of AgentApi.requests.values()) {
    const shape = shapes[tag] ?? payloadSchema
    const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(shape))
    const decodeAnswer = Schema.decodeEffect(Answer)
    const decodeError = Schema.decodeUnknownEffect(Schema.toCodecJson(Schema.Union([errorSchema, InvalidRequest])))

    /** The problem of a response, if it has one. */
    const problemOf = Effect.fnUntraced(
      function* (requestId: string, text: string) {
        if (text.length > 200_000) return "a long answer"
        const answer = yield* decodeAnswer(text)
        if (answer.requestId !== requestId) return "the answer to something else"
        if (answer.exit._tag === "Success") return text.includes(' now"') ? "a part that is unavailable" : undefined
        const error = yield* decodeError(answer.exit.cause[0].error)
        // the database is well
        if (error._tag === "Unavailable") return "unavailable"
        if (!(error instanceof InvalidRequest)) return undefined
        return error.problem === "" || error.message.length > 700 ? "not a problem that can be read" : undefined
      },
      Effect.catchTag("SchemaError", ({ message }) => Effect.succeed(message))
    )

    it.effect(`returns the result of every ${tag}, or the problem of its request`, () =>
      Effect.gen(function* () {
        const { logs } = yield* Service.TestService
        const { call, known } = yield* connected
        const logged = logs.length

        const result = yield* Arbitrary.checkEffect(
          Arbitrary.all({ request: Arbitrary.schema(shape), mutations: Arbitrary.schema(Mutations) }),
          Effect.fnUntraced(function* ({ mutations, request }) {
            const payload = mutate(yield* Effect.orDie(encode(request)), mutations, known)
            // a larger payload is no message at all
            if (Utf8.byteLength(payload) > 4_000_000) return true
            const shown = payload.slice(0, 2_000)
            const { requestId, text } = yield* Effect.mapError(call(tag, payload), () => `no answer to ${shown}`)
            const problem = yield* problemOf(requestId, text)
            return problem === undefined || (yield* Effect.fail(`${problem}: ${text.slice(0, 1_000)} to ${shown}`))
          }),
          { runs: Number(runs), seed, maxShrinks: 200 }
        )

        assert.isUndefined(Arbitrary.formatCheckFailure(result), `with FUZZ_SEED="${seed}"`)
        yield* (yield* StatsBatcher).flush
        yield* (yield* MetadataBatcher).flush
        const complaints = logs.slice(logged).filter((line) => /"level":"(ERROR|FATAL)"|request died/.test(line))
        assert.deepStrictEqual(complaints, [])
      })
    )
  }
})
