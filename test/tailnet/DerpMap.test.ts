/** The validity of DERP maps, up to the limits of each field. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as DerpMap from "../../src/tailnet/DerpMap.ts"

const node = { Name: "1a", RegionID: 1, HostName: "derp.example" }
const region = { RegionID: 1, RegionCode: "here", Nodes: [node] }
const map = { Regions: { "1": region } }

const withNode = (part: object) => ({ Regions: { "1": { ...region, Nodes: [{ ...node, ...part }] } } })
const withRegion = (part: object) => ({ Regions: { "1": { ...region, ...part } } })

const problemOf = (json: object) =>
  Effect.map(Effect.result(DerpMap.parse(JSON.stringify(json))), (result) => {
    if (Result.isFailure(result)) return result.failure.message
    assert.deepStrictEqual(JSON.parse(DerpMap.format(result.success)), json)
    return undefined
  })

const long = "x".repeat(255)

describe("a DERP map", () => {
  it.effect("keeps every field of regions and of nodes", () =>
    Effect.gen(function* () {
      const full = {
        ...node,
        CertName: "name",
        IPv4: "192.0.2.1",
        IPv6: "2001:db8::1",
        STUNPort: 3_478,
        STUNOnly: true,
        DERPPort: 443,
        InsecureForTests: true,
        ForceHTTP: true,
        STUNTestIP: "192.0.2.2",
        CanPort80: true
      }
      assert.isUndefined(
        yield* problemOf({
          HomeParams: { RegionScore: { "1": 0.5 } },
          Regions: {
            "1": {
              EmbeddedRelay: true,
              RegionID: 1,
              RegionCode: "here",
              RegionName: "Here",
              Avoid: true,
              Nodes: [full, { ...full, Name: "1b" }]
            }
          },
          omitDefaultRegions: true
        })
      )
    })
  )

  it.effect("is valid up to the limits of its fields", () =>
    Effect.gen(function* () {
      const largest = { RegionID: 2_147_483_647, RegionCode: "", Nodes: [{ ...node, RegionID: 2_147_483_647 }] }
      for (const valid of [
        map,
        { Regions: {} },
        { ...map, HomeParams: null },
        { ...map, HomeParams: {} },
        { ...map, HomeParams: { RegionScore: null } },
        withRegion({ Nodes: null }),
        { Regions: { "1": { RegionID: 1, RegionCode: long } } },
        { Regions: { "2147483647": largest } },
        withNode({ Name: long, HostName: long }),
        withNode({ HostName: "", IPv4: "192.0.2.1" }),
        withNode({ HostName: "", IPv6: "2001:db8::1" }),
        withNode({ STUNPort: -1, DERPPort: 65_535 }),
        withNode({ STUNPort: 0, DERPPort: 0 })
      ]) {
        assert.isUndefined(yield* problemOf(valid), JSON.stringify(valid).slice(0, 200))
      }
    })
  )

  it.effect("is not valid beyond them, and says why", () =>
    Effect.gen(function* () {
      for (const [json, problem] of [
        [{}, /Regions/],
        [withRegion({ RegionID: 2 }), /a region whose key is its RegionID \(got 2 at "1"\)/],
        [{ Regions: { "0": { RegionID: 0, RegionCode: "" } } }, /RegionID/],
        [{ Regions: { "2147483648": { RegionID: 2_147_483_648, RegionCode: "" } } }, /RegionID/],
        [withRegion({ RegionCode: `${long}x` }), /RegionCode/],
        [withNode({ RegionID: 2 }), /nodes with the RegionID of their region \(got 2 in 1\)/],
        [withNode({ Name: "" }), /Name/],
        [withNode({ Name: `${long}x` }), /Name/],
        [withNode({ HostName: "", IPv4: "", IPv6: "" }), /nodes with a host name or an address \("1a" in 1 has none\)/],
        [withNode({ HostName: "" }), /nodes with a host name or an address/],
        [withNode({ STUNPort: -2 }), /STUNPort/],
        [withNode({ DERPPort: 65_536 }), /DERPPort/],
        [withRegion({ Nodes: [node, { ...node, HostName: "other" }] }), /names of their own \(two in 1 share one\)/],
        [{ ...map, HomeParams: { RegionScore: { here: 1 } } }, /scores of regions by their ids \(got "here"\)/]
      ] as const) {
        assert.match((yield* problemOf(json)) ?? "", problem, JSON.stringify(json).slice(0, 200))
      }
    })
  )
})
