import { layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as NatsPubSub from "../../src/pubsub/NatsPubSub.ts"
import * as PgPubSub from "../../src/pubsub/PgPubSub.ts"
import { layerMemory, PubSub } from "../../src/pubsub/PubSub.ts"
import * as RedisPubSub from "../../src/pubsub/RedisPubSub.ts"
import * as Brokers from "../support/brokers.ts"
import { Server } from "./brokerSuite.ts"
import { contract } from "./pubSubSuite.ts"
import { quiet } from "./support.ts"

layer(layerMemory, { excludeTestServices: true })("the pubsub in memory", (it) => {
  contract(it, { replica: PubSub, isRemote: false })
})

layer(quiet, { excludeTestServices: true })("the pubsub over Postgres", (it) => {
  contract(it, { replica: PgPubSub.make(), isRemote: true })
})

const url = Server.useSync(({ url }) => Redacted.make(url))

Brokers.describeWith("nats", () => {
  layer(Server.layer("nats"), { excludeTestServices: true })("the pubsub over NATS", (it) => {
    contract(it, {
      replica: Effect.flatMap(url, (url) => NatsPubSub.make({ url })),
      isRemote: true,
      marksLateness: true
    })
  })
})

Brokers.describeWith("redis", () => {
  layer(Server.layer("redis"), { excludeTestServices: true })("the pubsub over Redis", (it) => {
    contract(it, {
      replica: Effect.flatMap(url, (url) => RedisPubSub.make({ url })),
      isRemote: true,
      marksLateness: true
    })
  })
})
