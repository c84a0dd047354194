/** Converts the relays of the tailnet to a message, from the JSON form that operators and clients use. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import type { DERPMapSchema } from "../../wire/generated/tailnet_pb.ts"

export type DerpMapMessage = MessageInitShape<typeof DERPMapSchema>

/** A map without a relay. A stock agent exits if `homeParams` is absent. */
export const empty: DerpMapMessage = { homeParams: {}, regions: {} }

/**
 * Returns the message of a map in JSON with the field names of the network's own software. Leaves out invalid parts.
 */
export const fromJson = (json: { readonly [name: string]: unknown }): DerpMapMessage => ({
  homeParams: { regionScore: mapOf(objectOf(json["HomeParams"])["RegionScore"], numberOf) },
  regions: mapOf(json["Regions"], (region) => {
    const { Avoid, EmbeddedRelay, Nodes, RegionCode, RegionID, RegionName } = objectOf(region)
    return {
      regionId: BigInt(intOf(RegionID)),
      embeddedRelay: EmbeddedRelay === true,
      regionCode: textOf(RegionCode),
      regionName: textOf(RegionName),
      avoid: Avoid === true,
      nodes: (Array.isArray(Nodes) ? Nodes : []).map((node: unknown) => nodeOf(objectOf(node)))
    }
  })
})

// ----- internals -----

const nodeOf = (node: Json) => ({
  name: textOf(node["Name"]),
  regionId: BigInt(intOf(node["RegionID"])),
  hostName: textOf(node["HostName"]),
  certName: textOf(node["CertName"]),
  ipv4: textOf(node["IPv4"]),
  ipv6: textOf(node["IPv6"]),
  stunPort: intOf(node["STUNPort"]),
  stunOnly: node["STUNOnly"] === true,
  derpPort: intOf(node["DERPPort"]),
  insecureForTests: node["InsecureForTests"] === true,
  forceHttp: node["ForceHTTP"] === true,
  stunTestIp: textOf(node["STUNTestIP"]),
  canPort80: node["CanPort80"] === true
})

type Json = { readonly [name: string]: unknown }

const objectOf = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {})
const textOf = (value: unknown): string => (typeof value === "string" ? value : "")
const numberOf = (value: unknown): number => (typeof value === "number" ? value : 0)
const intOf = (value: unknown): number => Math.trunc(numberOf(value))

/** Converts the entries of an object whose names are whole numbers. */
const mapOf = <A>(value: unknown, of: (entry: unknown) => A): { [key: string]: A } =>
  Object.fromEntries(
    Object.entries(objectOf(value)).flatMap(([key, entry]) => (/^-?\d{1,15}$/.test(key) ? [[key, of(entry)]] : []))
  )
