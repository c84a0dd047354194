/** The connections of agents to a running service, over real WebSockets and a real Postgres. */
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Exit, Fiber, Layer, Queue, Schema, Scope, Stream } from "effect"
import { SqlClient } from "effect/sql"
import * as Token from "../../src/access/Token.ts"
import { Replica } from "../../src/domain/Replica.ts"
import { type AgentId, BuildId, type WorkspaceId } from "../../src/domain/Ids.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as Server from "../../src/Server.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Postgres from "../support/Postgres.ts"
import { newId } from "../support/seed.ts"
import * as Service from "../support/service.ts"
import * as WireAgent from "../support/wireAgent.ts"

const execute = (statement: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
  Effect.orDie(SqlClient.SqlClient.use(statement))

/** A newer build of a workspace. */
const build = (workspaceId: WorkspaceId, transition: "start" | "stop") =>
  execute(
    (sql) => sql`
      INSERT INTO workspace_builds (id, workspace_id, build_number, transition)
      VALUES (${newId(BuildId)}, ${workspaceId}, 2, ${transition})`
  )

const Times = Schema.Struct({
  first: Schema.NullOr(Schema.DateTimeUtcFromDate),
  last: Schema.NullOr(Schema.DateTimeUtcFromDate),
  gone: Schema.NullOr(Schema.DateTimeUtcFromDate),
  replica: Schema.NullOr(Schema.String)
})

const times = (id: AgentId) =>
  SqlClient.SqlClient.use(
    (sql) => sql`
      SELECT
        first_connected_at AS first, last_connected_at AS last, disconnected_at AS gone,
        last_connected_replica_id AS replica
      FROM workspace_agents WHERE id = ${id}`
  ).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Schema.Tuple([Times]))),
    Effect.map(([row]) => row)
  )

/** The events of a user's workspaces from now on. */
const events = Effect.fnUntraced(function* (ownerId: string) {
  const pubsub = yield* PubSub.PubSub
  const queue = yield* Stream.toQueue(pubsub.subscribe(`workspace_owner:${ownerId}`), { capacity: "unbounded" })
  // the first event says that the subscription is in place
  yield* Queue.take(queue)
  return {
    next: Effect.map(Queue.take(queue), (event) => (event._tag === "Message" ? JSON.parse(event.payload) : event._tag))
  }
})

const { accepted, exchange, report } = Agent

layer(Service.layer, { excludeTestServices: true })("the connection of an agent", (it) => {
  it.effect("takes a version that the service speaks, or none [CN-01]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent()

      for (const search of ["", "?version=2.0", "?version=2.10", "?version="]) {
        const connection = yield* Agent.connect(url, People.showing(token), { search })
        assert.deepStrictEqual(yield* exchange(connection, report("1")), accepted("1"), search)
      }
    })
  )

  it.effect("is rejected with the field and what it must be for any other version [CN-02, CN-03]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, token } = yield* People.agent()

      for (const version of ["2.100", "3.0", "1.9", "2", "x", "2.0.0"]) {
        const refused = yield* Effect.flip(Agent.connect(url, People.showing(token), { search: `?version=${version}` }))
        assert.strictEqual(refused.status, 400, version)
        assert.deepStrictEqual(JSON.parse(refused.body), {
          _tag: "ConnectionRefused",
          message: "Unknown or unsupported API version",
          validations: [{ field: "version", detail: "must be 2.99 or an earlier version of 2" }]
        })
      }
      assert.deepStrictEqual(yield* times(id), { first: null, last: null, gone: null, replica: null })
    })
  )

  it.effect(
    "is rejected for agents of an old build and for deleted ones, and not while their build stops [CN-04, CN-05, CN-06, CN-07]",
    () =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        const [old, deleted, stopping] = [yield* People.agent(), yield* People.agent(), yield* People.agent()]
        yield* build(old.workspace.id, "start")
        yield* build(stopping.workspace.id, "stop")
        yield* execute((sql) => sql`UPDATE workspace_agents SET deleted = true WHERE id = ${deleted.id}`)

        for (const token of [old.token, deleted.token, yield* Token.mint]) {
          const refused = yield* Effect.flip(Agent.connect(url, People.showing(token)))
          assert.strictEqual(refused.status, 401)
        }
        const connection = yield* Agent.connect(url, People.showing(stopping.token))
        assert.deepStrictEqual(yield* exchange(connection, report("1")), accepted("1"))
      })
  )

  it.effect("is noted with its replica and announced, and so is its end [CN-08, CN-09, CN-13, CN-14, CN-16]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { id, owner, token, workspace } = yield* People.agent()
      const { next } = yield* events(owner.id)
      const announced = { kind: "agt_connection_update", workspace_id: workspace.id, agent_id: id }
      const before = yield* DateTime.now

      const connection = yield* Agent.connect(url, People.showing(token))
      assert.deepStrictEqual(yield* next, announced)
      const connected = yield* times(id)
      assert.deepInclude(connected, { gone: null, replica: yield* Replica })
      assert.deepStrictEqual(connected.first, connected.last)
      assert.isTrue(DateTime.between(connected.first!, { minimum: before, maximum: yield* DateTime.now }))

      connection.tcp.destroy()
      assert.deepStrictEqual(yield* next, announced)
      const gone = yield* times(id)
      assert.deepStrictEqual({ ...gone, gone: null }, connected)
      assert.isTrue(DateTime.isGreaterThan(gone.gone!, connected.first!))

      const again = yield* Agent.connect(url, People.showing(token))
      assert.deepStrictEqual(yield* next, announced)
      const back = yield* times(id)
      assert.deepStrictEqual(back.first, connected.first)
      assert.isTrue(DateTime.isGreaterThan(back.last!, gone.gone!))
      yield* again.close
    })
  )

  it.effect("changes no times of the agent in another role than that of the agent [CN-17]", () =>
    Effect.gen(function* () {
      const { logged, url } = yield* Service.TestService
      const { id, token } = yield* People.agent("cpu")
      const none = { first: null, last: null, gone: null, replica: null }

      const connection = yield* Agent.connect(url, People.showing(token), { search: "?role=logstream" })
      assert.deepStrictEqual(yield* exchange(connection, report("1", Agent.sample("cpu"))), accepted("1"))
      assert.deepStrictEqual(yield* times(id), none)
      yield* connection.close
      yield* logged("agent disconnected", id)
      assert.deepStrictEqual(yield* times(id), none)

      yield* Agent.connect(url, People.showing(token), { search: "?role=agent" })
      assert.isNotNull((yield* times(id)).first)
    })
  )
})

const layerImpatient = Layer.provideMerge(
  Service.layerOver(Server.layerStorage, { AGENT_PING_INTERVAL: "50 millis", AGENT_PING_TIMEOUT: "2 seconds" }),
  Postgres.layer
)

layer(layerImpatient, { excludeTestServices: true })("the connection of an agent that is pinged", (it) => {
  it.effect(
    "ends with 1011 when it is silent for too long, and lasts when it responds slowly [CN-10, CN-11, CN-18]",
    () =>
      Effect.gen(function* () {
        const { logged, url } = yield* Service.TestService
        const [silent, slow, prompt] = [yield* People.agent(), yield* People.agent(), yield* People.agent()]
        const connect = (token: Token.Token, answersPings: boolean) =>
          Agent.connect(url, People.showing(token), { answersPings })
        const { next } = yield* events(silent.owner.id)
        const silence = yield* connect(silent.token, false)
        const [slowly, promptly] = [yield* connect(slow.token, false), yield* connect(prompt.token, true)]
        yield* next
        const answering = yield* Effect.forkScoped(
          Effect.repeat(Effect.andThen(Queue.take(slowly.pings), Effect.delay(slowly.pong, "1500 millis")), {
            times: 1
          })
        )

        assert.strictEqual((yield* silence.closed).code, 1011)
        yield* logged("agent does not answer pings", silent.id)
        yield* next
        assert.isNotNull((yield* times(silent.id)).gone)
        yield* Fiber.join(answering)
        assert.isNull((yield* times(slow.id)).gone)
        assert.isAbove(yield* Queue.size(promptly.pings), 10)
        assert.isBelow(yield* Queue.size(slowly.pings), 3)
        for (const connection of [slowly, promptly]) {
          assert.deepStrictEqual(yield* exchange(connection, report("1")), accepted("1"))
        }
      })
  )

  it.effect("ends with 1008 within a period once its workspace has a newer build [CN-12]", () =>
    Effect.gen(function* () {
      const { logged, url } = yield* Service.TestService
      const { id, token, workspace } = yield* People.agent()
      const connection = yield* Agent.connect(url, People.showing(token))

      yield* build(workspace.id, "start")

      assert.strictEqual((yield* connection.closed).code, 1008)
      yield* logged("no longer the latest", id)
      assert.strictEqual((yield* Effect.flip(Agent.connect(url, People.showing(token)))).status, 401)
    })
  )
})

layer(Postgres.layer, { excludeTestServices: true })("a service that stops", (it) => {
  it.effect(
    "records that its agents have left before it has stopped, and closes with 1012 so that they come back [CN-19]",
    () =>
      Effect.gen(function* () {
        const scope = yield* Scope.fork(yield* Effect.scope)
        const services = yield* Layer.buildWithScope(Service.layerOver(Server.layerStorage), scope)
        const agents = yield* Effect.forEach(["JSON", "original", "JSON"], (protocol) =>
          Effect.gen(function* () {
            const { url } = yield* Service.TestService
            const { id, token } = yield* People.agent()
            const { closed } = yield* protocol === "JSON"
              ? Agent.connect(url, People.showing(token))
              : WireAgent.connect(url, People.showing(token))
            return { id, closed }
          })
        ).pipe(Effect.provideContext(services))

        yield* Scope.close(scope, Exit.void)

        for (const { closed, id } of agents) {
          assert.isNotNull((yield* times(id)).gone)
          assert.strictEqual((yield* closed).code, 1012)
        }
      })
  )
})
