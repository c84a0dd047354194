/**
 * The relays of the tailnet, in the JSON form that operators and clients use: the schema, and what else must hold.
 */
import { Schema } from "effect"

const Name = Schema.String.check(Schema.isMaxLength(255))
const Port = Schema.Int.check(Schema.isBetween({ minimum: -1, maximum: 65_535 }))
const RegionId = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2_147_483_647 }))

/** A relay of a region. Port 0 stands for the usual port, −1 for none. */
export const DerpNode = Schema.Struct({
  Name: Name.check(Schema.isNonEmpty()),
  RegionID: RegionId,
  HostName: Name,
  CertName: Schema.optionalKey(Name),
  IPv4: Schema.optionalKey(Name),
  IPv6: Schema.optionalKey(Name),
  STUNPort: Schema.optionalKey(Port),
  STUNOnly: Schema.optionalKey(Schema.Boolean),
  DERPPort: Schema.optionalKey(Port),
  InsecureForTests: Schema.optionalKey(Schema.Boolean),
  ForceHTTP: Schema.optionalKey(Schema.Boolean),
  STUNTestIP: Schema.optionalKey(Name),
  CanPort80: Schema.optionalKey(Schema.Boolean)
})
export type DerpNode = typeof DerpNode.Type

export const DerpRegion = Schema.Struct({
  EmbeddedRelay: Schema.optionalKey(Schema.Boolean),
  RegionID: RegionId,
  RegionCode: Name,
  RegionName: Schema.optionalKey(Name),
  Avoid: Schema.optionalKey(Schema.Boolean),
  Nodes: Schema.optionalKey(Schema.NullOr(Schema.Array(DerpNode)))
})
export type DerpRegion = typeof DerpRegion.Type

const Scores = Schema.Record(Schema.String, Schema.Finite)

export const DerpMap = Schema.Struct({
  HomeParams: Schema.optionalKey(
    Schema.NullOr(Schema.Struct({ RegionScore: Schema.optionalKey(Schema.NullOr(Scores)) }))
  ),
  Regions: Schema.Record(Schema.String, DerpRegion),
  omitDefaultRegions: Schema.optionalKey(Schema.Boolean)
}).check(Schema.makeFilter((map) => problemOf(map)))
export type DerpMap = typeof DerpMap.Type

/** A map without a relay. A stock client takes it, and waits for a better one. */
export const empty: DerpMap = { Regions: {} }

/** The largest map, in bytes of JSON. */
export const maxBytes = 1_048_576

/** The map in a text. Fails with what is wrong with it. */
export const parse = Schema.decodeEffect(Schema.fromJsonString(DerpMap))

/** The same text for the same map. */
export const format = (map: DerpMap): string => JSON.stringify(map)

const problemOf = ({ HomeParams, Regions }: typeof DerpMap.Encoded): string | undefined => {
  for (const [key, { Nodes, RegionID }] of Object.entries(Regions)) {
    if (key !== String(RegionID))
      return `a region whose key is its RegionID (got ${RegionID} at ${JSON.stringify(key)})`
    for (const node of Nodes ?? []) {
      if (node.RegionID !== RegionID) return `nodes with the RegionID of their region (got ${node.RegionID} in ${key})`
      if (node.HostName === "" && (node.IPv4 ?? "") === "" && (node.IPv6 ?? "") === "") {
        return `nodes with a host name or an address (${JSON.stringify(node.Name)} in ${key} has none)`
      }
    }
    const names = (Nodes ?? []).map(({ Name }) => Name)
    if (new Set(names).size < names.length) return `nodes with names of their own (two in ${key} share one)`
  }
  const stray = Object.keys(HomeParams?.RegionScore ?? {}).find((key) => !/^[1-9]\d{0,9}$/.test(key))
  return stray === undefined ? undefined : `scores of regions by their ids (got ${JSON.stringify(stray)})`
}
