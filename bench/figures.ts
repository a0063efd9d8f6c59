// How figures are shown in the table.

export function count(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`
  return Math.round(value).toLocaleString('en')
}

export function ratio(value: number): string {
  return value >= 10 ? `${Math.round(value)} x` : `${value.toFixed(2)} x`
}

export function milliseconds(value: number): string {
  if (value >= 10_000) return `${(value / 1_000).toFixed(1)} s`
  if (value >= 100) return `${Math.round(value)} ms`
  return `${value.toFixed(value >= 10 ? 1 : 2)} ms`
}

export function megabytes(value: number): string {
  return `${Math.round(value)} MB`
}
