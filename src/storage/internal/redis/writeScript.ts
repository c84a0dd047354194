/**
 * The script that writes the rows of one agent, and the form in which a row is stored: the field of its key holds the
 * time in milliseconds, the length of the value, the value and the error.
 *
 * It has the rules of the functions of `PgMetadataStore`: the newer row stays; a row that is more than a minute ahead of
 * the server gets the server's time less the age of the row; a stored row that is so far ahead gives way. Times follow the
 * clock of the database, which is not that of the server: while the two are more than a minute apart, every row gets the
 * server's time less its age.
 */
import { DateTime } from "effect"
import { createHash } from "node:crypto"
import type { MetadataEntry } from "../../../domain/Metadata.ts"

/** Whether a key that the server does not have is written, or left out and returned. */
export type Mode = "update" | "create"

/** The most rows of one call: the arguments of a function of Lua are limited. */
export const maxRows = 1_000

/**
 * Takes a mode, the time at which the rows were sent by the clock of the newest one, the same by the present clock, and for
 * each row its key, time and content. Returns the number of rows that were written, how many times were ahead, and the
 * places of the rows that were left out, from 1.
 */
export const source = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local limit = now + 60000
local present = tonumber(ARGV[3])
local isApart = math.abs(present - now) > 60000
local keys = {}
for i = 4, #ARGV, 3 do keys[#keys + 1] = ARGV[i] end
local stored = redis.call('HMGET', KEYS[1], unpack(keys))
local fields, reply = {}, {0, 0}
for i = 1, #keys do
  local original = tonumber(ARGV[3 * i + 2])
  local isAhead = original > limit
  local sent = original > present and tonumber(ARGV[2]) or present
  local time = (isApart or isAhead) and now - math.max(sent - original, 0) or original
  local before = stored[i] and tonumber(string.match(stored[i], '^-?%d+'))
  local wins, isRepair = false, false
  if not before then
    wins = ARGV[1] == 'create'
    if not wins then reply[#reply + 1] = i end
  elseif before <= time then
    wins = true
  elseif before > limit and (not isAhead or before <= original) then
    wins, isRepair = true, true
  end
  if wins then
    reply[1] = reply[1] + 1
    if isAhead or isRepair then reply[2] = reply[2] + 1 end
    fields[#fields + 1] = keys[i]
    fields[#fields + 1] = string.format('%.0f ', time) .. ARGV[3 * i + 3]
  end
end
if #fields > 0 then redis.call('HSET', KEYS[1], unpack(fields)) end
return reply`

const digest = createHash("sha1").update(source).digest("hex")

/** Returns the command that runs the script on a hash: by its digest, or with its source for a server that lacks it. */
export const command = (how: "digest" | "source", hash: string, args: ReadonlyArray<string>): Array<string> =>
  how === "digest" ? ["EVALSHA", digest, "1", hash, ...args] : ["EVAL", source, "1", hash, ...args]

/** When rows were sent, in milliseconds, by the clock of the newest one and by the present one. */
export interface SentAt {
  readonly newest: number
  readonly present: number
}

export const args = (mode: Mode, sentAt: SentAt, rows: ReadonlyArray<MetadataEntry>): Array<string> => {
  const all = [mode, String(sentAt.newest), String(sentAt.present)]
  for (const { collectedAt, error, key, value } of rows) {
    all.push(key, String(Math.round(DateTime.toEpochMillis(collectedAt))), `${value.length} ${value}${error}`)
  }
  return all
}

/** The sample that a field holds. */
export interface Sample {
  readonly collectedAt: DateTime.Utc
  readonly value: string
  readonly error: string
}

/** Returns the sample that a field holds, or nothing for a field that is absent or holds something else. */
export const parse = (field: string | null): Sample | undefined => {
  const [all, time, length] = /^(-?\d+) (\d+) /.exec(field ?? "") ?? []
  if (all === undefined) return undefined
  const content = field!.slice(all.length)
  return {
    collectedAt: DateTime.makeUnsafe(Number(time)),
    value: content.slice(0, Number(length)),
    error: content.slice(Number(length))
  }
}
