/** Loaded before a process of the service, so that its clock is off by as many milliseconds as `CLOCK_OFFSET` says. */
const offset = Number(process.env["CLOCK_OFFSET"])
const now = Date.now
Date.now = () => now() + offset
