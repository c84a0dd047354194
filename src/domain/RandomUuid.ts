import { Effect, Random } from "effect"

/**
 * Makes a version 4 UUID with the `Random` service, so that a seeded test gets the same one again. Unique, not secret.
 */
export const randomUuid: Effect.Effect<string> = Effect.map(Random.Random, (random) =>
  "00000000-0000-4000-8000-000000000000".replaceAll("0", () => Math.floor(random.nextDoubleUnsafe() * 16).toString(16))
)
