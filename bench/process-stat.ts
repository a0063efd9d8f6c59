// What the kernel says about a process: the CPU time of all its threads, its resident memory, its descriptors and
// threads. Linux only (/proc), as the whole bench.

import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ: what /proc counts CPU time in. It is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** utime + stime of all threads, dead ones included. Moves in steps of 10 ms. */
export function processCpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The command name, in parentheses, may hold blanks: fields are counted from behind it; utime and stime are 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND
}

/** All that all cores have done, whoever for; waiting for the disk is no work. */
export function machineCpuMs(): number {
  const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'latin1')
    .slice('cpu '.length, 200)
    .trimStart()
    .split(' ')
    .map(Number)
  return ((user! + nice! + system! + irq! + softirq! + steal!) * 1_000) / TICKS_PER_SECOND
}

export interface ProcessMemory {
  /** VmRSS: everything resident, the mapped node binary too. */
  readonly residentMb: number
  /** RssAnon: heap, buffers and stacks alone. */
  readonly anonymousMb: number
}

export function processMemory(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return { residentMb: kilobytesOf(status, 'VmRSS') / 1_024, anonymousMb: kilobytesOf(status, 'RssAnon') / 1_024 }
}

export function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

export function threadCount(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).length
}

function kilobytesOf(status: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)
  if (!match) throw new Error(`/proc/<pid>/status has no ${field}`)
  return Number(match[1])
}
