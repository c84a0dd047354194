/** The whole service with a route of our own beside its routes, on one port. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { Ids, MetadataStore } from "metadata-batcher"
import * as Config from "metadata-batcher/Config"
import * as Administrator from "metadata-batcher/Administrator"
import * as Server from "metadata-batcher/Server"
import * as Fatal from "metadata-batcher/Fatal"

const Params = HttpRouter.schemaPathParams(Schema.Struct({ agent: Ids.AgentId, key: Schema.String }))

// Our route: one value as plain text, over the store of the service.
const Badges = HttpRouter.use((router) =>
  Effect.gen(function* () {
    const store = yield* MetadataStore.MetadataStore
    const badge = Effect.gen(function* () {
      const { agent, key } = yield* Params
      const [found] = yield* store.read(agent, [key])
      return HttpServerResponse.text(found === undefined ? `${key}: unknown` : `${key}: ${found.value}`)
    })
    yield* router.add(
      "GET",
      "/badges/:agent/:key",
      Effect.catchTags(badge, {
        SchemaError: () => Effect.succeed(HttpServerResponse.text("no such badge", { status: 404 })),
        StoreError: ({ message }) => Effect.succeed(HttpServerResponse.text(message, { status: 503 }))
      })
    )
  })
)

const Application = Layer.unwrap(
  Effect.map(Config.read(), (settings) =>
    Layer.merge(Badges, Layer.effectDiscard(Administrator.ensure(settings.adminToken))).pipe(
      Layer.provideMerge(Server.layer(settings)),
      // the one router that all routes are registered with, ours and those of the service
      Layer.provideMerge(HttpRouter.layer)
    )
  )
)

// Until it is interrupted, or something is gone without which the service cannot work.
const program = Effect.gen(function* () {
  yield* HttpServer.addressFormattedWith((address) => Console.log(`listening at ${address}`))
  return yield* (yield* Fatal.Fatal).failure
})

if (import.meta.main) NodeRuntime.runMain(Effect.provide(program, Application))
