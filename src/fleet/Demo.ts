/**
 * Runs a few simulated agents beside a new service, so that a newcomer sees live data at once.
 *
 * - The agents connect to the service's own address like any agent.
 * - Their owner may read them and nothing else. The owner's token is new at every start.
 */
import { Duration, Effect } from "effect"
import { FetchHttpClient } from "effect/http"
import type * as Token from "../access/Token.ts"
import * as Administrator from "../admin/Administrator.ts"
import * as Fleet from "./Fleet.ts"
import * as Work from "./SimulatedWork.ts"

/** The name of the user and of the workspace. */
export const name = "demo"

export interface Demo {
  /** The first of the agents. */
  readonly watched: Fleet.Member
  /** A token that may read the agents and nothing else. */
  readonly token: Token.Token
  readonly figures: Fleet.Figures
  /** Runs the agents until interrupted. */
  readonly run: Effect.Effect<void>
}

export const make = Effect.fn("Demo.make")(function* (options: { readonly url: string; readonly agents: number }) {
  const interval = Duration.seconds(2)
  const keys = Work.keys(8)
  const members = yield* Fleet.provision({
    url: options.url,
    token: yield* Administrator.mint(Administrator.username, name),
    workspace: name,
    owner: name,
    count: options.agents,
    keys,
    interval,
    equipment: Work.equipment
  }).pipe(Effect.provide(FetchHttpClient.layer))
  const figures = Fleet.figures()
  return {
    watched: members[0]!,
    token: yield* Administrator.mint(name, name),
    figures,
    run: Fleet.run({ url: options.url, members, keys, interval, jitter: 0.1, rampUp: Duration.seconds(2) }, figures)
  }
})
