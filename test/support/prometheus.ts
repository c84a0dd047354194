/** A strict reader of Prometheus text, version 0.0.4: it fails on every text that a scraper may reject. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly type: string
  readonly help: string
  readonly samples: ReadonlyArray<Sample>
}

const metric = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/
const types = new Set(["counter", "gauge", "histogram", "summary", "untyped"])

const check = (isFine: boolean, what: string, line: string) => {
  if (!isFine) throw new Error(`${what}: ${line}`)
}

const parseLabels = (text: string, line: string): Readonly<Record<string, string>> => {
  const labels: Record<string, string> = {}
  for (let rest = text; rest !== "";) {
    const match = label.exec(rest)
    check(match !== null, "a label that is none", line)
    const [all, name = "", value = ""] = match!
    check(!(name in labels), "a label given twice", line)
    labels[name] = value.replaceAll(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char))
    rest = rest.slice(all.length)
  }
  return labels
}

const parseValue = (text: string, line: string) => {
  const value = text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text)
  check(text === "NaN" || !Number.isNaN(value), "a value that is no number", line)
  return value
}

/** The suffixes that the samples of a family may have. */
const suffixes = (type: string) =>
  type === "histogram" ? ["_bucket", "_sum", "_count"] : type === "summary" ? ["", "_sum", "_count"] : [""]

const checkHistogram = (name: string, { samples }: Family) => {
  const series = Map.groupBy(samples, ({ labels: { le: _, ...labels } }) => JSON.stringify(labels))
  for (const [labels, parts] of series) {
    const buckets = parts.filter((part) => part.name === `${name}_bucket`)
    const bounds = buckets.map(({ labels: { le = "" } }) => parseValue(le, name))
    const counts = buckets.map(({ value }) => value)
    const total = parts.find((part) => part.name === `${name}_count`)?.value
    check(String(bounds) === String(bounds.toSorted((a, b) => a - b)), "buckets out of order", `${name}${labels}`)
    check(String(counts) === String(counts.toSorted((a, b) => a - b)), "buckets that do not add up", `${name}${labels}`)
    check(bounds.at(-1) === Infinity && counts.at(-1) === total, "no last bucket of all", `${name}${labels}`)
  }
}

/** Reads a page of metrics. Throws an error that quotes the line where something is wrong. */
export const parse = (page: string): ReadonlyMap<string, Family> => {
  const families = new Map<string, { type: string; help: string; samples: Array<Sample> }>()
  const seen = new Set<string>()
  let current = ""
  check(page.endsWith("\n"), "no end of the last line", page.slice(-80))
  for (const line of page.slice(0, -1).split("\n")) {
    if (line === "") continue
    const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? []
    if (keyword === "HELP") {
      check(metric.test(name) && !families.has(name), "a family described twice", line)
      families.set(name, { help: rest, type: "", samples: [] })
      current = name
    } else if (keyword === "TYPE") {
      const family = families.get(name)
      check(name === current && family?.type === "" && types.has(rest), "a type in the wrong place", line)
      family!.type = rest
    } else {
      const [, name = "", labels = "", value = ""] = sampleLine.exec(line) ?? []
      check(name !== "", "a line that is none", line)
      const family = families.get(current)
      check(
        family !== undefined && suffixes(family.type).some((suffix) => name === `${current}${suffix}`),
        "a sample outside its family",
        line
      )
      const sample = { name, labels: parseLabels(labels, line), value: parseValue(value, line) }
      const identity = `${name}${JSON.stringify(Object.entries(sample.labels).sort())}`
      check(!seen.has(identity), "a series given twice", line)
      seen.add(identity)
      family!.samples.push(sample)
    }
  }
  for (const [name, family] of families) {
    check(family.type !== "" && family.help !== "" && family.samples.length > 0, "a family that is not complete", name)
    if (family.type === "histogram") checkHistogram(name, family)
    if (family.type === "counter")
      check(
        family.samples.every(({ value }) => value >= 0),
        "a counter below zero",
        name
      )
  }
  return families
}

/** The complaints of `promtool check metrics`, and labels that are spelled unlike names. */
export const lint = (families: ReadonlyMap<string, Family>): ReadonlyArray<string> =>
  [...families].flatMap(([name, { samples, type }]) => {
    const words = name.split("_")
    const labels = new Set(samples.flatMap(({ labels }) => Object.keys(labels)))
    const rules: ReadonlyArray<readonly [isBroken: boolean, rule: string]> = [
      [!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name), "a name is lower-case words with underscores between them"],
      [type === "counter" && !name.endsWith("_total"), "a counter ends in _total"],
      [type !== "counter" && name.endsWith("_total"), "only a counter ends in _total"],
      [/_(bucket|sum|count|info)$/.test(name), "these endings are for samples"],
      [words.some((word) => types.has(word)), "a name does not hold a type"],
      [words.some((word) => foreignUnits.test(word)), "units are seconds, bytes and the like, written out"],
      [[...labels].some((label) => !/^(le|[a-z]+(_[a-z]+)*)$/.test(label)), "labels are lower-case words"],
      [type === "untyped", "every metric has a type"]
    ]
    return rules.filter(([isBroken]) => isBroken).map(([, rule]) => `${name}: ${rule}`)
  })

const foreignUnits =
  /^((milli|micro|nano)seconds?|ms|us|ns|sec|secs|minutes?|hours?|days?|(kilo|mega|giga|kibi|mebi|gibi)bytes?|[kmg]i?b|bits?|percent)$/

/** The names, labels and values of labels in an expression that are not among the families. */
export const unknownIn = (expression: string, families: ReadonlyMap<string, Family>): ReadonlyArray<string> => {
  const samples = Map.groupBy(
    [...families.values()].flatMap(({ samples }) => samples),
    ({ name }) => name
  )
  const named: ReadonlyArray<readonly [name: string, matchers: string]> = [
    ...expression.replaceAll(/by \([^)]*\)/g, "").matchAll(/\b([a-z]+_[a-z_]+)\b(?! ?\()(?:\{([^}]*)\})?/g)
  ]
    // placeholders of Grafana, and functions
    .filter(([, name]) => !name!.startsWith("__"))
    .map(([, name, matchers = ""]) => [name!, matchers])
  const grouped = [...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels]) => labels!.split(", "))
  const labels = new Set(
    named.flatMap(([name]) => (samples.get(name) ?? []).flatMap(({ labels }) => Object.keys(labels)))
  )
  return [
    ...named.filter(([name]) => !samples.has(name)).map(([name]) => `there is no ${name}: ${expression}`),
    ...named.flatMap(([name, matchers]) =>
      [...matchers.matchAll(/(\w+)="([^"]*)"/g)]
        .filter(([, label, value]) => !(samples.get(name) ?? []).some(({ labels }) => labels[label!] === value))
        .map(([matcher]) => `there is no ${name}{${matcher}}: ${expression}`)
    ),
    // a scraper always adds these labels
    ...grouped
      .filter((label) => label !== "instance" && !labels.has(label))
      .map((label) => `there is no label ${label}: ${expression}`)
  ]
}

/** Returns the values of a family by a label of their samples. */
export const valuesBy = (label: string, family: string, text: string) =>
  parse(text)
    .get(family)!
    .samples.map(({ labels, value }) => [labels[label], value] as const)
