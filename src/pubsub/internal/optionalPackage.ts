import { Effect } from "effect"
import { BrokerError } from "./brokerError.ts"

/** Loads the client of a broker, a package that is installed only where that broker is used. */
export const load = <A>(name: string, version: string, load: () => Promise<A>): Effect.Effect<A, BrokerError> =>
  Effect.tryPromise({
    try: load,
    catch: (cause) =>
      new BrokerError({
        reason: "package",
        detail: `the broker of PUBSUB_URL needs the package ${name}: install it with npm install ${name}@${version}`,
        cause
      })
  })
