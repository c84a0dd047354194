/** The whole HTTP API, for its description and for the methods that its addresses take. */
import { HttpApi, OpenApi } from "effect/http-api"
import { AdminApi } from "./admin/AdminApi.ts"
import { AgentHttpApi } from "./agentapi/AgentHttpApi.ts"
import { AgentSocketApi } from "./agentapi/AgentSocketApi.ts"
import { DashboardApi } from "./dashboard/DashboardApi.ts"
import { OverviewApi } from "./operations/OverviewApi.ts"
import { UsageApi } from "./usage/UsageApi.ts"
import { TailnetApi } from "./tailnet/TailnetApi.ts"
import { ReadApi } from "./watch/ReadApi.ts"
import { WatchApi } from "./watch/WatchApi.ts"

/**
 * All groups of the API. Their type is longer than the compiler writes into a declaration, so the package declares none.
 *
 * @internal
 */
export const Api = HttpApi.make("metadata-batcher")
  .addHttpApi(AdminApi)
  .addHttpApi(UsageApi)
  .addHttpApi(WatchApi)
  .addHttpApi(ReadApi)
  .addHttpApi(DashboardApi)
  .addHttpApi(OverviewApi)
  .addHttpApi(AgentSocketApi)
  .addHttpApi(AgentHttpApi)
  .addHttpApi(TailnetApi)
  .annotateMerge(OpenApi.annotations({ title: "metadata-batcher", version: "2" }))
