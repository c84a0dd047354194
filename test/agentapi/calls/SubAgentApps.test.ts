/** The apps that sub-agents are created with. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Crypto from "node:crypto"
import { workspace } from "../../support/identity.ts"
import { away, bareApp, start } from "../../support/subAgents.ts"
import { sharingLevels } from "../../../src/agentapi/ports/SubAgentStore.ts"

describe("the apps of CreateSubAgent", () => {
  it.effect("lists each app that is wrong with its place and field, and creates the others [SA-06, SA-07]", () =>
    Effect.gen(function* () {
      const { apps, create, rows } = yield* start()
      const field = (field: string) => (index: number) => ({ index, field })
      const wrong: ReadonlyArray<readonly [app: object, error: (index: number) => object]> = [
        [{}, field("slug")],
        [{ slug: "Web" }, field("slug")],
        [{ slug: "a--b" }, field("slug")],
        [{ slug: "x".repeat(256) }, field("slug")],
        [{ slug: "web" }, field("slug")],
        [{ slug: "shared", share: "EVERYBODY" }, field("share")],
        [{ slug: "shared", share: "toString" }, field("share")],
        [{ slug: "opened", open_in: "WINDOW" }, field("open_in")],
        ...["command", "display_name", "group", "icon", "url"].map(
          (name) => [{ slug: "long", [name]: "x".repeat(2_049) }, field(name)] as const
        ),
        [{ slug: "long", healthcheck: { url: "x".repeat(2_049) } }, field("healthcheck.url")]
      ]

      const { agent, app_creation_errors } = yield* create({
        name: "dev",
        apps: [{ slug: "web" }, ...wrong.map(([app]) => app), { slug: "shared" }, { slug: "x".repeat(255) }]
      })

      assert.isTrue(rows.has(agent.id))
      assert.deepStrictEqual(
        app_creation_errors.map(({ error: _, ...place }) => place),
        wrong.map(([, error], index) => error(index + 1))
      )
      assert.include(app_creation_errors[4]!.error, "another app of the request")
      assert.deepStrictEqual(
        apps.map(({ slug }) => slug.slice(9)),
        ["web", "shared", "x".repeat(255)]
      )
    })
  )

  it.effect("lists the apps beyond a thousand of an agent, and creates or changes the others [SA-15]", () =>
    Effect.gen(function* () {
      const { apps, create } = yield* start()
      const some = (prefix: string, count: number) =>
        Array.from({ length: count }, (_, index) => ({ slug: `${prefix}${index}` }))
      const { agent } = yield* create({ name: "dev", apps: some("first", 999) })

      const { app_creation_errors } = yield* create({
        id: agent.id,
        apps: [...some("second", 2), { slug: "" }, ...some("first", 1)]
      })

      assert.deepStrictEqual(app_creation_errors, [
        { index: 1, error: "an agent may have at most 1000 apps" },
        { index: 2, field: "slug", error: "must not be empty" }
      ])
      assert.deepStrictEqual(
        apps.slice(999).map(({ slug }) => slug.slice(9)),
        ["second0", "first0"]
      )
    })
  )

  it.effect("lists all apps when none can be written, and creates the sub-agent [SA-06]", () =>
    Effect.gen(function* () {
      const { create, logs, rows } = yield* start({ putApps: () => away })

      const { agent, app_creation_errors } = yield* create({
        name: "dev",
        apps: [{ slug: "web" }, { slug: "" }, { slug: "api" }]
      })

      assert.isTrue(rows.has(agent.id))
      assert.deepStrictEqual(app_creation_errors, [
        { index: 0, error: "cannot do that now" },
        { index: 1, field: "slug", error: "must not be empty" },
        { index: 2, error: "cannot do that now" }
      ])
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Error"]
      )
    })
  )

  it.effect("puts eight digits of the hash of name and slug before a slug [SA-08]", () =>
    Effect.gen(function* () {
      const { apps, create } = yield* start()
      /** RFC 4648, section 7: five bits for each digit. */
      const base32hex = (bytes: Uint8Array) =>
        Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0"))
          .join("")
          .match(/.{5}/g)!
          .map((bits) => "0123456789abcdefghijklmnopqrstuv"[Number.parseInt(bits, 2)])
          .join("")
      const hashed = (name: string, slug: string) =>
        `${base32hex(Crypto.createHash("sha256").update(`${name}/${slug}`).digest()).slice(0, 8)}-${slug}`
      const slugs = Array.from({ length: 100 }, (_, index) => `app-${index}`)

      for (const name of ["dev", "Test-1"]) yield* create({ name, apps: slugs.map((slug) => ({ slug })) })

      assert.deepStrictEqual(
        apps.map(({ slug }) => slug),
        ["dev", "Test-1"].flatMap((name) => slugs.map((slug) => hashed(name, slug)))
      )
      assert.isTrue(apps.some(({ slug }) => slug.startsWith("0")))
    })
  )

  it.effect("begins with the health of whether it is checked, and with defaults for what is left out [SA-09]", () =>
    Effect.gen(function* () {
      const { apps, create } = yield* start()
      const healthcheck = { url: "http://localhost/health", interval: 5, threshold: 3 }
      const full = {
        slug: "full",
        command: "serve",
        display_name: "Full",
        external: true,
        group: "Servers",
        healthcheck,
        hidden: true,
        icon: "/icon.svg",
        open_in: "TAB",
        order: -3,
        share: "AUTHENTICATED",
        subdomain: true,
        url: "http://localhost:8080"
      }

      yield* create({
        name: "dev",
        apps: [full, { slug: "bare" }, { slug: "unchecked", healthcheck: { interval: 5 } }]
      })

      assert.deepStrictEqual(
        apps.map(({ slug: _, ...app }) => app),
        [
          {
            command: "serve",
            displayName: "Full",
            displayGroup: "Servers",
            displayOrder: -3,
            external: true,
            hidden: true,
            icon: "/icon.svg",
            openIn: "tab",
            sharingLevel: "authenticated",
            subdomain: true,
            url: "http://localhost:8080",
            healthcheckUrl: "http://localhost/health",
            healthcheckInterval: 5,
            healthcheckThreshold: 3,
            health: "initializing"
          },
          bareApp,
          { ...bareApp, healthcheckInterval: 5 }
        ]
      )
    })
  )

  it.effect("lets others see no more of an app than the template allows", () =>
    Effect.gen(function* () {
      const asked = ["OWNER", "ORGANIZATION", "AUTHENTICATED", "PUBLIC"]
      const given = {
        owner: ["owner", "owner", "owner", "owner"],
        organization: ["owner", "organization", "organization", "organization"],
        authenticated: ["owner", "organization", "authenticated", "authenticated"],
        public: ["owner", "organization", "authenticated", "public"]
      }
      for (const level of sharingLevels) {
        const { apps, create } = yield* start({
          maxSharingLevel: (templateId) =>
            templateId === workspace.templateId ? Effect.succeed(level) : Effect.die("another template")
        })

        yield* create({ name: "dev", apps: asked.map((share, index) => ({ slug: `app-${index}`, share })) })

        assert.deepStrictEqual(
          apps.map(({ sharingLevel }): string => sharingLevel),
          given[level]
        )
      }
    })
  )

  it.effect("creates nothing while it is not known what the template allows", () =>
    Effect.gen(function* () {
      const { create, rows } = yield* start({ maxSharingLevel: () => away })

      const error = yield* Effect.flip(create({ name: "dev", apps: [{ slug: "web", share: "PUBLIC" }] }))

      assert.deepInclude(error, { _tag: "Unavailable", message: "cannot do that now" })
      assert.strictEqual(rows.size, 0)
      yield* create({ name: "dev", apps: [{ slug: "web" }] })
    })
  )
})
