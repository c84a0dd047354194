/** The environment variables of settings. */
import { Config, Option } from "effect"
import type { SettingValue } from "./SettingValue.ts"

/** The environment variable of a setting. */
export interface Variable<A> {
  /** The name of the environment variable. */
  readonly name: string
  /** The setting in a sentence. */
  readonly description: string
  /** The default, as a person would write it. */
  readonly default: string | undefined
  /** The end of the sentence "The variable must be …". */
  readonly requirement: string
  /** Whether the value must never be shown. */
  readonly isSecret: boolean
  /** Reads the value. */
  readonly config: Config.Config<A>
}

export interface Definition<A> {
  readonly name: string
  readonly value: SettingValue<A>
  readonly description: string
}

/** A variable with a default. */
export const required = <A>(definition: Definition<A> & { readonly default: string }): Variable<A> => ({
  ...described(definition),
  default: definition.default,
  config: Config.schema(definition.value.codec, definition.name)
})

/** A variable whose setting may be absent. */
export const optional = <A>(definition: Definition<A>): Variable<A | undefined> => ({
  ...described(definition),
  default: undefined,
  config: Config.map(Config.option(Config.schema(definition.value.codec, definition.name)), Option.getOrUndefined)
})

const described = ({ description, name, value: { isSecret, requirement } }: Definition<unknown>) => ({
  name,
  description,
  requirement,
  isSecret
})
