import { assert, describe, it } from "@effect/vitest"
import type { PeerCertificate } from "node:tls"
import * as RedisServer from "../../src/platform/RedisServer.ts"

/** A certificate of these names and addresses. */
const certificate = (subjectaltname: string) => ({ subject: {}, subjectaltname }) as PeerCertificate

/** Whether a node may show this certificate when the address of its cluster names these hosts. */
const fits = (node: string, hosts: ReadonlyArray<string>, names: string) =>
  RedisServer.tlsEndpointOf(node, hosts).checkServerIdentity("", certificate(names)) === undefined

describe("RedisServer", () => {
  it("takes from a node of a cluster a certificate of its own or of a host of the address, and no other [RS-01]", () => {
    const hosts = ["cache.shop.example:6379", "10.0.0.1:6379"]

    assert.isTrue(fits("10.0.0.2:6379", hosts, "DNS:cache.shop.example"))
    assert.isTrue(fits("10.0.0.2:6379", hosts, "DNS:*.shop.example"))
    assert.isTrue(fits("10.0.0.2:6379", hosts, "IP Address:10.0.0.2"))
    assert.isTrue(fits("node-2.example:6379", hosts, "DNS:node-2.example"))
    assert.isFalse(fits("10.0.0.2:6379", hosts, "DNS:other.example"))
    assert.isFalse(fits("10.0.0.2:6379", hosts, "IP Address:10.0.0.3"))
    assert.isFalse(fits("10.0.0.2:6379", [], "DNS:cache.shop.example"))
  })

  it("tells a server the name by which it is known, and no address [RS-01]", () => {
    const nameOf = (node: string, hosts: ReadonlyArray<string>) => RedisServer.tlsEndpointOf(node, hosts).servername

    assert.strictEqual(nameOf("node-2.example:6379", ["cache.example:6379"]), "node-2.example")
    assert.strictEqual(nameOf("10.0.0.2:6379", ["10.0.0.1:6379", "cache.example:6379"]), "cache.example")
    assert.isUndefined(nameOf("10.0.0.2:6379", ["10.0.0.1:6379"]))
  })

  it("reads the addresses that clusters give to their nodes, which have no brackets [RS-01]", () => {
    assert.deepStrictEqual(RedisServer.endpointOf("fd00::2:6380"), { host: "fd00::2", port: 6380 })
    assert.deepStrictEqual(RedisServer.endpointOf("[fd00::2]:6380"), { host: "fd00::2", port: 6380 })
    assert.deepStrictEqual(RedisServer.endpointOf("[fd00::2]"), { host: "fd00::2", port: 6379 })
    assert.deepStrictEqual(RedisServer.endpointOf("10.0.0.2:6380"), { host: "10.0.0.2", port: 6380 })
  })
})
