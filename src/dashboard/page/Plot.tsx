/** A plot over time: lines on a canvas. The legend shows the values under the pointer, or the last values. */
import { useEffect, useRef, useState } from "preact/hooks"
import uPlot from "uplot"
import "uplot/dist/uPlot.min.css"
import { useListener } from "./useListener.ts"

export interface Line {
  readonly label: string
  /** The name of a custom property of the style sheet. */
  readonly color: string
  /** Whether the area beneath the line is filled. */
  readonly isArea?: boolean
}

const sync = uPlot.sync("time")

const colors = matchMedia("(prefers-color-scheme: dark)")

const time = (seconds: number) => new Date(seconds * 1_000).toLocaleTimeString([], { hour12: false })

/** The distances of labels from `least` on that no format has to round. */
const distances = (least: number) =>
  Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((digit) => digit * least * 10 ** power)).flat()

const [wholeDistances, tenths] = [distances(1), distances(0.1)]

export const Plot = ({
  data,
  format,
  isWhole = false,
  lines,
  title
}: {
  title: string
  /** The times in seconds, then the values of each line. */
  data: uPlot.AlignedData
  lines: ReadonlyArray<Line>
  format: (value: number) => string
  /** Whether all values are whole numbers. */
  isWhole?: boolean
}) => {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const latest = useRef(data)
  latest.current = data
  const [isDark, setDark] = useState(colors.matches)
  const [hovered, setHovered] = useState<number>()

  useListener(colors, "change", () => setDark(colors.matches))

  useEffect(() => {
    const element = place.current!
    const styles = getComputedStyle(element)
    const color = (name: string) => styles.getPropertyValue(`--${name}`).trim()
    const axis = {
      stroke: color("muted"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: color("line"), width: 1 },
      ticks: { show: false }
    }
    const size = () => ({ width: Math.max(120, element.clientWidth), height: 150 })
    const made = new uPlot(
      {
        ...size(),
        padding: [8, 24, 0, 0],
        legend: { show: false },
        cursor: { sync: { key: sync.key }, drag: { x: false, y: false }, points: { size: 7 }, y: false },
        scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
        axes: [
          {
            ...axis,
            grid: { show: false },
            space: 80,
            size: 24,
            values: (_, ticks, __, ___, apart) => ticks.map((tick) => time(tick).slice(0, apart < 60 ? 8 : 5))
          },
          {
            ...axis,
            size: 48,
            space: 34,
            incrs: isWhole ? wholeDistances : tenths,
            values: (_, ticks) => ticks.map(format)
          }
        ],
        series: [
          {},
          ...lines.map(({ color: name, isArea, label }) => ({
            label,
            stroke: color(name),
            width: 1.75,
            points: { show: false },
            ...(isArea === true ? { fill: `${color(name)}22` } : {})
          }))
        ],
        hooks: { setCursor: [({ cursor: { idx } }) => setHovered(idx ?? undefined)] }
      },
      latest.current,
      element
    )
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize(size()))
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = undefined
    }
  }, [isDark])

  useEffect(() => plot.current?.setData(data), [data])

  const index = hovered !== undefined && hovered < data[0].length ? hovered : data[0].length - 1
  const at = data[0][index]
  return (
    <figure class="plot panel">
      <figcaption>
        <h3>{title}</h3>
        <span class="muted time">{hovered === undefined || at == null ? "" : time(at)}</span>
        <ul class="legend">
          {lines.map(({ color, label }, line) => {
            const value = data[line + 1]![index]
            return (
              <li key={label}>
                <span class={`swatch swatch-${color}`} aria-hidden="true" />
                {label} <strong>{value == null ? "–" : format(value)}</strong>
              </li>
            )
          })}
        </ul>
      </figcaption>
      <div ref={place} class="canvas" aria-hidden="true" />
    </figure>
  )
}
