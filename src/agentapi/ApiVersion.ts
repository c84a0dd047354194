/**
 * The version of the agent API that a connection speaks: `major.minor`, as in the original.
 *
 * An agent may be older than the service, but not newer, because the service must have every call that the agent makes.
 * An agent that names no version speaks the first one.
 */
import { Option } from "effect"

export interface ApiVersion {
  readonly major: number
  readonly minor: number
}

/** The version of the service. */
export const current: ApiVersion = { major: 2, minor: 10 }

/** The version of an agent that names no version. */
export const first: ApiVersion = { major: 2, minor: 0 }

export const format = ({ major, minor }: ApiVersion): string => `${major}.${minor}`

/**
 * Returns the version of an agent if it is served. A minor version above the service's own may be served as well: an
 * agent of the original keeps asking for its own version, silently does without calls that are not served, and ignores
 * fields that it does not know.
 */
export const negotiate = (version: string | undefined, maxMinor: number = current.minor): Option.Option<ApiVersion> =>
  version === undefined || version === ""
    ? Option.some(first)
    : Option.filter(parse(version), ({ major, minor }) => major === current.major && minor <= maxMinor)

const parse = (version: string): Option.Option<ApiVersion> => {
  const [, major, minor] = /^(\d{1,4})\.(\d{1,4})$/.exec(version) ?? []
  return major === undefined ? Option.none() : Option.some({ major: Number(major), minor: Number(minor) })
}
