/**
 * Writes a float the way values of that type turn into text for labels, variables and rendered files: fewest digits, an
 * exponent of two digits below 1e-4 and from 1e21 (`wide`), or from 1e6 on.
 */
export function formatFloat(value: number, wide = false): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const size = Math.abs(value);
  const exponent = size !== 0 && (size < 1e-4 || size >= (wide ? 1e21 : 1e6));
  return (exponent ? value.toExponential() : String(value)).replace(/e([-+])(\d)$/, 'e$10$2');
}
