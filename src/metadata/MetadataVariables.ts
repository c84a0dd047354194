/** The settings of how metadata is batched and written. */
import * as Value from "../domain/SettingValue.ts"
import { optional, required } from "../domain/SettingVariable.ts"
import type { Role } from "../platform/RemoteServer.ts"
import * as RemoteServerVariables from "../platform/RemoteServerVariables.ts"

/** The word for a metadata store that is not the database, and the part that the names of its settings share. */
export const storeRole: Role = { name: "metadata store", settings: "METADATA_STORE" }

export const defaultStorePrefix = "metadata_batcher"

const tls = RemoteServerVariables.tls(storeRole)

export const variables = {
  maxBatchSize: required({
    name: "METADATA_MAX_BATCH_SIZE",
    default: "500",
    value: Value.wholeNumber(1, 10_000),
    description: "Entries in a batch; the batcher writes as soon as so many are pending."
  }),
  maxBacklogBatchSize: optional({
    name: "METADATA_MAX_BACKLOG_BATCH_SIZE",
    value: Value.wholeNumber(1, 10_000),
    description: "Entries in a batch when more than one batch is waiting. Without it, ten batches."
  }),
  maxBatchBytes: required({
    name: "METADATA_MAX_BATCH_BYTES",
    default: "4194304",
    value: Value.wholeNumber(1_024, 1_073_741_824),
    description: "Bytes in a batch; a larger entry is written alone."
  }),
  flushInterval: required({
    name: "METADATA_FLUSH_INTERVAL",
    default: "5 seconds",
    value: Value.duration,
    description: "The time from the end of a flush to the next scheduled one."
  }),
  announceInterval: required({
    name: "METADATA_ANNOUNCE_INTERVAL",
    default: "250 millis",
    value: Value.pause,
    description: "How long changed agents are collected before they are announced, unless a message is full sooner."
  }),
  queueCapacity: optional({
    name: "METADATA_QUEUE_CAPACITY",
    value: Value.wholeNumber(1, 1_000_000),
    description: "Entries that may queue while a batch is being written. Without it, five batches."
  }),
  maxPending: required({
    name: "METADATA_MAX_PENDING",
    default: "100000",
    value: Value.wholeNumber(1, 10_000_000),
    description: "Keys whose newest value is kept while the database is away."
  }),
  maxPendingBytes: required({
    name: "METADATA_MAX_PENDING_BYTES",
    default: "67108864",
    value: Value.wholeNumber(1_048_576, 17_179_869_184),
    description:
      "Bytes of memory for what is kept while the database is away. Beyond it, entries of the agents that have the most are lost."
  }),
  maxPendingPerAgent: required({
    name: "METADATA_MAX_PENDING_PER_AGENT",
    default: "10000",
    value: Value.wholeNumber(1, 10_000_000),
    description: "Keys of one agent whose newest value is kept while the database is away."
  }),
  writeTimeout: required({
    name: "METADATA_WRITE_TIMEOUT",
    default: "10 seconds",
    value: Value.duration,
    description: "The longest time that one write may take; then it is cancelled and tried again."
  }),
  storeUrl: optional({
    name: "METADATA_STORE_URL",
    value: Value.secretUrl(/^rediss?:\/\//, "an address that begins with redis:// or rediss://"),
    description:
      "Redis or Valkey for the values of metadata, or hosts of its cluster with commas. Without it, Postgres. Change it on all replicas at once."
  }),
  storePrefix: required({
    name: "METADATA_STORE_PREFIX",
    default: defaultStorePrefix,
    value: Value.pattern(
      /^[\w-]+([.:][\w-]+)*$/,
      "letters, digits, _ and -, in parts with dots or colons between them"
    ),
    description: "The first part of the names of keys at the metadata store, different for each service that shares it."
  }),
  storeCredentialsFile: optional({
    name: "METADATA_STORE_CREDENTIALS_FILE",
    value: Value.text("a file"),
    description:
      "A file with the user and the password for the metadata store (user:password) or the password. It is read for each connection."
  }),
  storeTlsCa: tls.ca,
  storeTlsCert: tls.cert,
  storeTlsKey: tls.key
} as const
