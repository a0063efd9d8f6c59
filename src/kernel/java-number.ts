// Floating-point numbers as Java prints them: 1.0, 1.0E10, -0.0, NaN. Between 10^-3 and 10^7 plain, else with an exponent,
// always with a digit after the point.

export function javaDouble(value: number): string {
  return javaForm(value, (number) => number.toExponential())
}

export function javaFloat(value: number): string {
  return javaForm(value, shortestFloat)
}

function javaForm(value: number, exponential: (value: number) => string): string {
  if (!Number.isFinite(value)) return String(value)
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const [mantissa = '', exponentText = '0'] = exponential(value).split('e')
  const exponent = Number(exponentText)
  if (exponent < -3 || exponent >= 7) return `${withPoint(mantissa)}E${exponent}`
  return withPoint(Number(`${mantissa}e${exponent}`).toString())
}

function withPoint(digits: string): string {
  return digits.includes('.') ? digits : `${digits}.0`
}

/** The fewest digits that name this float among the floats. */
function shortestFloat(value: number): string {
  for (let digits = 0; digits < 8; digits++) {
    const text = value.toExponential(digits)
    if (Math.fround(Number(text)) === value) return text
  }
  return value.toExponential(8)
}
