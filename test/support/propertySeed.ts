/**
 * Gives all properties of a run one seed, which the start of the run prints. `FUZZ_SEED` repeats the inputs of a run; a
 * failure also prints a token that replays its smallest input alone.
 */
import { Arbitrary } from "effect"
import { inject } from "vitest"

Arbitrary.configureGlobal({ check: { seed: inject("propertySeed") } })
